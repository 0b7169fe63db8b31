"""The records that flow through the workbench. Frozen, keyword-only; arrays are NumPy, on the CPU, C order.

Axis names used everywhere: `layers heads think seq rows cols width dim vocab token rank`. No record has a batch axis: a
batch is a list. Grids are (rows, cols), row-major. A token is its position, never its text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

Role = Literal["query", "document"]
TokenKind = Literal["text", "image", "think", "reasoning", "embed", "control"]
"""`control`: marks of the chat template and of a written text. `reasoning`: words that the model wrote before it embedded."""
Better = Literal["higher", "lower", "neither"]
Context = Literal["latents_only", "query_and_latents"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """An image that was checked but not yet decoded: where its bytes are and what they are."""

    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    """Encoded file content, when the image is not on disk. Exactly one of `path` and `data` is set."""
    sha256: str
    """Of the encoded bytes."""
    width: int
    """Pixels, after the EXIF rotation was applied."""
    height: int
    name: str = "image"

    def __post_init__(self) -> None:
        if (self.path is None) == (self.data is None):
            raise ValueError("an ImageRef holds either a path or bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One query or document, as the user gave it."""

    id: str
    text: str = ""
    images: tuple[ImageRef, ...] = ()
    role: Role = "query"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.text and not self.images:
            raise ValueError(f"sample '{self.id}' has neither text nor image")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchGrid:
    """How the merged visual tokens of one image lie: token j is row j // cols, column j % cols of frame j // (rows*cols)."""

    frames: int
    rows: int
    cols: int
    start: int
    """Position of the image's first visual token in the sequence."""

    @property
    def n_tokens(self) -> int:
        return self.frames * self.rows * self.cols

    @property
    def positions(self) -> slice:
        return slice(self.start, self.start + self.n_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTable:
    """The positions of one sequence: what is where."""

    ids: Int[np.ndarray, " seq"]
    texts: tuple[str, ...]
    kinds: tuple[TokenKind, ...]

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.texts) == len(self.kinds):
            raise ValueError(f"token table of unequal columns: {len(self.ids)}, {len(self.texts)}, {len(self.kinds)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A sample as the model takes it. `inputs` is opaque outside `workbench.models`."""

    sample: Sample
    inputs: Mapping[str, Any] = field(repr=False)
    tokens: TokenTable
    grids: tuple[PatchGrid, ...]
    think: slice
    """Positions of the K think tokens."""
    embed: int
    """Position whose final hidden state is the embedding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a number comes from, enough to make it again."""

    checkpoint: str
    weights_sha256: str
    """Of the weight files alone."""
    checkpoint_sha256: str = ""
    """Of everything in the checkpoint that decides its results: weights, settings, tokenizer, layout."""
    family: str
    format: str
    dtype: str
    device: str
    seed: int | None = None
    processor: Mapping[str, Any] = field(default_factory=dict)
    data_revision: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one forward pass leaves behind for probes. `rows` are the K think tokens, then the embed token."""

    sample: Sample
    tokens: TokenTable
    grids: tuple[PatchGrid, ...]
    think: slice
    embed: int
    latents: Float[np.ndarray, "_layers think width"]
    """Residual stream after each decoder layer at the think positions, before the final norm. No layers (the axis need not
    be as long as that of `attention`) when the trace did not keep latents."""
    attention: Float[np.ndarray, "layers heads rows seq"]
    """Softmax weights of the think and embed rows; each row sums to 1. Later positions than the row hold 0."""
    embedding: Float[np.ndarray, " dim"]
    """Unit length."""
    stepwise: Float[np.ndarray, "steps dim"]
    """Entry k: the embedding when it sees only the first k thoughts (0 ... K); the last entry is the embedding, and the
    only one when the trace did not keep edits."""
    knockout: Float[np.ndarray, "hidden dim"]
    """K entries, or none when the trace did not keep edits. Entry k: the embedding when thought k alone is hidden from it. The *direct* effect: later thoughts saw thought k."""
    provenance: Provenance
    continuation: Any = field(default=None, repr=False, compare=False)
    """Key-value cache from which the model can go on to decode; opaque, never stored."""

    @property
    def n_think(self) -> int:
        return self.think.stop - self.think.start


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedThought:
    """Text that a model wrote from its thought, or, where it has no think tokens, before it embedded."""

    text: str
    tokens: tuple[str, ...]
    """The pieces that `text` is made of, in order; their concatenation is `text`."""
    token_ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    """Natural log, one for each token, under the decoder's own distribution (temperature 1)."""
    context: Context
    finish: Literal["end", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScore:
    """Teacher-forced log-probability (nats) of a given text under a thought, token by token."""

    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    likeliest: tuple[bool, ...]
    """Whether the decoder, after the tokens before, finds this one likeliest: greedy writing gives the text where it finds so
    of all."""

    @property
    def total(self) -> float:
        return float(sum(self.log_probabilities))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Numbers (or words) with their meaning.

    `values` is float32, int64 or a string array with one axis for each name in `dims`; `coords` labels the axes that have
    labels. A scalar has no dims.
    """

    name: str
    values: np.ndarray
    dims: tuple[str, ...]
    units: str
    coords: Mapping[str, tuple[str | int | float, ...]] = field(default_factory=dict)
    signed: bool = False
    better: Better = "neither"
    about: str = ""
    """One plain sentence: what it says and when it misleads."""

    def __post_init__(self) -> None:
        if self.values.ndim != len(self.dims):
            raise ValueError(f"measure '{self.name}' has {self.values.ndim} axes but dims {self.dims}")
        for dim, labels in self.coords.items():
            size = self.values.shape[self.dims.index(dim)]
            if len(labels) != size:
                raise ValueError(f"measure '{self.name}': axis '{dim}' has {size} entries but {len(labels)} labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A test that a result was put to: a control, a completeness gap, an invariance."""

    name: str
    value: float
    tolerance: float | None
    """None when the check only informs."""
    passed: bool
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a probe measured on one sample."""

    probe: str
    version: int
    sample_id: str
    parameters: Mapping[str, Any]
    measures: tuple[Measure, ...]
    checks: tuple[Check, ...]
    provenance: Provenance

    def measure(self, name: str) -> Measure:
        """Return the measure called `name`. Raises KeyError naming the measures there are."""
        for measure in self.measures:
            if measure.name == name:
                return measure
        raise KeyError(f"{self.probe} has no measure '{name}', only {[m.name for m in self.measures]}")
