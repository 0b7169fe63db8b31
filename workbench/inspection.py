"""What a look at one sample leaves behind, for the terminal, the page and the export to show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from workbench.assets import CheckpointCard
from workbench.embedder import EmbedderInfo
from workbench.samples import Candidate
from workbench.types import Context, DecodedThought, ProbeResult, Sample, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A candidate with its place among the candidates."""

    rank: int
    """1 is the best."""
    candidate: Candidate
    score: float
    """Cosine of the two embeddings, -1 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """What the ranking becomes when the embedding does not see a thought: the direct effect, since later thoughts saw it."""

    thought: int | None
    """From 1; None for all of them."""
    first: str
    """Id of the candidate that is first now."""
    rank_of_first: int
    """Where the candidate stands that is first with all thoughts."""
    margin: float
    """Cosine of that candidate less the best other's: below 0 where another is first."""
    change: float
    """1 - cosine of the embedding with that of all thoughts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Everything that was found about one sample."""

    sample: Sample
    trace: Trace
    """Without its continuation, so that keeping inspections stays cheap."""
    thought: DecodedThought | None
    """None when the checkpoint writes no thoughts."""
    results: Mapping[str, ProbeResult]
    """By probe name."""
    skipped: Mapping[str, str]
    """Probe -> why it did not run, in one sentence."""
    ranking: tuple[Ranked, ...]
    """Best first; empty when no candidates were given."""
    notes: tuple[str, ...]
    """What was changed or left out on the way, in plain sentences."""
    seconds: Mapping[str, float]
    """Wall time of each stage, and `total`; of the run that made this, not of a later look at it."""
    card: CheckpointCard
    info: EmbedderInfo
    hidden: tuple[Hidden, ...] = ()
    """One for each thought, then one for all; empty without candidates, or for a model that does not think."""


def thought_of(result: ProbeResult) -> DecodedThought:
    """The text of a result of the decode probe, as the record that the model wrote it in."""
    measures = {measure.name: measure for measure in result.measures}
    logs = measures["log_probability"]
    ids = measures["token_id"].values.tolist() if "token_id" in measures else []
    return DecodedThought(
        text=str(measures["text"].values),
        tokens=tuple(str(token) for token in logs.coords["token"]),
        token_ids=tuple(ids),
        log_probabilities=tuple(logs.values.tolist()),
        context=cast(Context, str(measures["context"].values)),
        finish=cast(Literal["end", "length"], str(measures["finish"].values)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one think token reads as at the last layer, after the lens probe."""

    think: int
    """Counted from 1."""
    words: tuple[str, ...]
    """Likeliest first."""
    probabilities: tuple[float, ...]
    entropy: float
    """Nats over the vocabulary."""


def readings_of(result: ProbeResult) -> tuple[Reading, ...]:
    """One reading for each think token of a result of the lens probe."""
    words, probabilities = result.measure("word").values[-1], result.measure("probability").values[-1]
    entropies = result.measure("entropy").values[-1]
    return tuple(
        Reading(think=k, words=tuple(map(str, ranked)), probabilities=tuple(likely.tolist()), entropy=float(entropy))
        for k, (ranked, likely, entropy) in enumerate(zip(words, probabilities, entropies, strict=True), start=1)
    )
