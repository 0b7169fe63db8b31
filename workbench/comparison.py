"""Checkpoints beside each other, as a record for the terminal, the page and the report to show. The first is the reference.

Figures that could not be had are None, and `refused` says why. Samples are numbered by their place in `Comparison.samples`,
think tokens and layers from 1.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from workbench.types import ImageRef, PatchGrid, Provenance

SCHEMA = "thinkscope.comparison"
VERSION = 1
"""Raised when a key changes its meaning or goes; new keys may come at any time."""

Writes = Literal["reasoning", "target", "nothing"]
Kind = Literal["same", "gone", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over samples with its 95% bootstrap interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was asked of every checkpoint."""

    data: str
    split: str
    title: str
    revision: str
    n: int
    """Rows that were looked at, bad ones included."""
    n_candidates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One checkpoint."""

    name: str
    title: str
    knows: str
    n_think: int
    n_layers: int
    width: int
    dim: int
    writes: Writes
    read: int
    """Samples that it could read."""
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A measure of quality of each checkpoint."""

    name: str
    about: str
    values: tuple[Estimate | None, ...]
    """One for each side; None where it is not defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a metric differs between the reference and the other, sample by sample."""

    metric: str
    change: Estimate
    """Other minus reference: the mean of the samples' own differences."""
    higher: int
    """Samples at which the other has more of it."""
    lower: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuality:
    """Quality of the samples with one value in the column that `Comparison.grouped_by` names."""

    name: str
    n: int
    """Rows of the group, whoever could read them."""
    metrics: tuple[Metric, ...]
    """With two values each: of the reference and of the other."""
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two rankings of the same candidates agree."""

    name: str
    about: str
    value: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How alike two spaces are that hold the same samples. Every figure stands beside what it reads by chance."""

    of: Literal["embedding", "thoughts", "thought"]
    """The embedding, the mean of the think tokens' states, or the state of one think token."""
    think: tuple[int, ...]
    """Which think token of the reference and of the other; empty for the others."""
    layer: tuple[int, ...]
    """Layer of the reference and of the other; empty for embeddings."""
    n: int
    neighbours: int
    overlap: Estimate
    """Share of a sample's nearest neighbours (by cosine) that are the same in both spaces."""
    overlap_chance: float
    """k / (n - 1); where likeness chose the pair, the mean over shuffled samples that are matched anew."""
    overlap_p: float
    """Of a permutation test; so is `cka_p`. Where likeness chose the pair, each shuffle is matched anew, for CKA and residual
    too. Not corrected for the number of rows."""
    cka: float
    """Debiased linear CKA."""
    cka_chance: float
    """Mean over shuffled samples."""
    cka_p: float
    residual: float
    """Share of the variance that the best turn, scale and shift leaves (Procrustes)."""
    residual_chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Likeness of many spaces of the reference (rows) to many of the other (columns)."""

    rows: tuple[str, ...]
    cols: tuple[str, ...]
    overlap: Float[np.ndarray, "rows cols"]
    cka: Float[np.ndarray, "rows cols"]
    overlap_chance: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A think token of one checkpoint and its counterpart in the other; None where none is left for it."""

    reference: int | None
    other: int | None
    overlap: float | None
    cka: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How far two checkpoints' attention on the image agrees, of one pair of think tokens or of the embed tokens."""

    think: tuple[int, ...]
    """Which think token of the reference and of the other; empty for the embed tokens."""
    n: int
    """Samples whose images both cut into the same patches."""
    agreement: Estimate
    """Spearman's correlation of both shares of attention on the patches (mean over layers and heads), -1 to 1."""
    chance: float | None
    """The same with the other's map of another image that is cut alike; None where there is no second one."""
    chance_n: int
    """Samples that `chance` and `p` are of: those whose image is cut like another one."""
    chance_agreement: float | None
    """Mean agreement of these samples alone, which is what `chance` and `p` are to be held against."""
    p: float | None
    """Of a permutation test within images that are cut alike. Not corrected for the number of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A part that could not be compared, and why, in one sentence."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one sample between the reference and the other."""

    sample: int
    rank_reference: int | None
    """Place of the right document among the candidates, 1 the best."""
    rank_other: int | None
    words: float | None
    """Share of the words of both thoughts that the other has not, 0 to 1; None unless both write the same kind of text."""
    neighbours: float | None
    """Share of its nearest neighbours among the embeddings that changed, 0 to 1."""

    @property
    def gained(self) -> int | None:
        """Places that the right document rose."""
        if self.rank_reference is None or self.rank_other is None:
            return None
        return self.rank_reference - self.rank_other


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """The reference and one other checkpoint."""

    reference: int
    other: int
    """Number of the side."""
    differences: tuple[Difference, ...]
    groups: tuple[GroupQuality, ...]
    """Empty where nothing is grouped."""
    agreements: tuple[Agreement, ...]
    looks: tuple[Look, ...]
    """Of matched think tokens, then of the embed tokens; empty where no image is cut into the same patches by both."""
    likeness: tuple[Likeness, ...]
    by_depth: tuple[Likeness, ...]
    """Of thoughts at every layer of the reference and the layer of like depth of the other: averaged, then each matched pair.
    Empty where thoughts are not compared."""
    layers: Grid | None
    """Mean of the think tokens' states, layer by layer."""
    steps: Grid | None
    """Single think tokens at the last layer."""
    depths: Grid | None
    """Matched think tokens (columns) at each layer of the reference (rows) and the layer of like depth of the other: the
    figures of `by_depth` as a table, with their mean chance."""
    matches: tuple[Match, ...]
    matched: Literal["likeness", "position"]
    """How think tokens were matched: by position where there are equally many, or too few samples to tell; else so that the
    overlaps of `steps` sum to the most (Hungarian method)."""
    changes: tuple[Change, ...]
    """Of every sample that both could read, in their order."""
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A candidate in a ranking."""

    id: str
    text: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSample:
    """One row of the data, and what each checkpoint made of it."""

    id: str
    row: int
    text: str
    images: tuple[str, ...]
    answer: str
    target: str
    """Id of the right document; empty when the data names none."""
    thoughts: tuple[str | None, ...]
    """One for each side; None where none was written."""
    ranks: tuple[int | None, ...]
    first: tuple[tuple[Placed, ...], ...]
    """The best candidates of each side, best first."""
    errors: tuple[str, ...]
    """Why a side could not read it; empty where it could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that was found about two or more checkpoints on one data set."""

    source: Source
    sides: tuple[Side, ...]
    metrics: tuple[Metric, ...]
    grouped_by: str
    """Column of the data by whose values `PairComparison.groups` are told; empty where there is none."""
    pairs: tuple[PairComparison, ...]
    refused: tuple[Refused, ...] = ()
    """Checkpoints, by name, that were asked for and could not be compared with the reference: one that could not be read is not
    among `sides`, one that has no sample in common with it is, without a pair."""
    samples: tuple[ComparedSample, ...]
    notes: tuple[str, ...]
    seconds: float

    def place_of(self, sample_id: str) -> int | None:
        """The number of a sample by its id; None when it is not there."""
        return next((place for place, sample in enumerate(self.samples) if sample.id == sample_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPiece:
    """Words of a diff: in both thoughts, only in the reference's (gone), or only in the other's (new)."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAs:
    """What one think token reads as at the last layer."""

    words: tuple[str, ...]
    """Likeliest first; empty where the model reads no words."""
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Two attention rows beside each other: matched think tokens, or the embed tokens. Numbers count the rows of each side."""

    label: str
    reference: int | None
    other: int | None
    read_reference: ReadAs | None
    read_other: ReadAs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A candidate under both."""

    text: str
    is_target: bool
    rank_reference: int
    rank_other: int
    score_reference: float
    score_other: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributed:
    """What the patches of one sample add to its think tokens and its embedding under both, as one attribution method says it."""

    method: str
    """Registered name."""
    title: str
    signed: bool
    maps: tuple[Float[np.ndarray, "rows cells"], Float[np.ndarray, "other_rows other_cells"]]
    """Rows as those of `SampleView.maps`, each as shares: absolute values sum to 1, signs are kept. NaN in a row without a
    map, no row where a side has none."""
    gaps: tuple[tuple[float | None, ...], tuple[float | None, ...]]
    """Share of each row's number that its map leaves unexplained (completeness); None where the method does not tell."""
    notes: tuple[str, ...]
    """What is missing and why, and what was sampled or stopped early."""

    @property
    def high(self) -> float:
        """The top of the colour scale that all maps of both sides share; for signed ones its bottom lies as far below 0."""
        return max(map(self.high_of, (0, 1)))

    def high_of(self, side: int) -> float:
        """The same for one side alone."""
        known = np.abs(self.maps[side][np.isfinite(self.maps[side])])
        return float(known.max()) if known.size else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleView:
    """One sample side by side."""

    pair: int
    sample: int
    images: tuple[ImageRef, ...]
    diff: tuple[WordPiece, ...]
    """Empty unless both wrote, and the same kind of text."""
    cards: tuple[Card, ...]
    grids: tuple[tuple[PatchGrid, ...], tuple[PatchGrid, ...]]
    maps: tuple[Float[np.ndarray, "rows cells"], Float[np.ndarray, "other_rows other_cells"]]
    """Share of attention on each cell, mean over layers and heads: of the think tokens, then of the embed token."""
    apart: str
    """Why the two sides' maps may not lie over each other; empty when they may."""
    standings: tuple[Standing, ...]
    """The first candidates of both, and the right one, in the reference's order."""
    attributed: Attributed | None = None
    """None unless it was asked for and made."""

    @property
    def high(self) -> float:
        """The top of the colour scale that all maps of both sides share."""
        return max((float(one.max()) for one in self.maps if one.size), default=0.0)
