"""What an attribution of one sample leaves behind, for the terminal, the page and the export to show."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from workbench.assets import CheckpointCard
from workbench.attribution import cells_of, maps_of
from workbench.embedder import EmbedderInfo
from workbench.targets import Target
from workbench.types import DecodedThought, ProbeResult, Sample, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Which patches made which number, and what speaks for the map."""

    sample: Sample
    target: str
    """As it was asked for: `words`, `think:3:effect`, ..."""
    trace: Trace
    """Without its continuation."""
    thought: DecodedThought | None
    """The text whose words can be targets."""
    result: ProbeResult
    """Of the attribution method."""
    targets: tuple[Target, ...]
    judged: Mapping[str, ProbeResult] = field(default_factory=dict)
    """What the tests of the map found, by name."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Test -> why it did not run, in one sentence."""
    notes: tuple[str, ...]
    """What was changed or left out on the way, in plain sentences."""
    seconds: Mapping[str, float]
    """Wall time of each stage, and `total`; of the run that made this."""
    card: CheckpointCard
    info: EmbedderInfo

    @property
    def labels(self) -> tuple[str, ...]:
        """What the targets are called, one for each that the text named."""
        return tuple(target.label for target in self.targets)


def values_of(result: ProbeResult, name: str) -> tuple[float, ...] | None:
    """The numbers of a result that has one for each target (`value`, `baseline_value`, `completeness_gap`), else None."""
    for measure in result.measures:
        if measure.name == name:
            return tuple(float(value) for value in measure.values)
    return None


def shares_of(result: ProbeResult) -> Float[np.ndarray, "targets cells"]:
    """Each target's map as shares of the whole: absolute values sum to 1 over all images, signs are kept.

    Maps of different targets, methods and units can then be laid on one scale; how large the effect is in the target's own
    units can no longer be read from them.
    """
    cells = cells_of(result).astype(np.float64)
    total = np.abs(cells).sum(axis=1, keepdims=True)
    return np.divide(cells, total, out=np.zeros_like(cells), where=total > 0)


def sentences_of(result: ProbeResult) -> tuple[str, ...]:
    """What a map of this result means, in plain words, for everyone who shows one."""
    first = maps_of(result)[0]
    if result.parameters.get("level") == "pixels":
        level = "Attributed to pixels, through the vision tower; each cell of the map sums up its own pixels."
    else:
        level = (
            "Attributed to the model's visual tokens. The vision tower ran before and has mixed neighbouring patches, so the "
            "edges of a map are softer than they look."
        )
    if first.signed:
        sign = "Above 0: the patch raises the number that is explained. Below 0: it lowers it."
    else:
        sign = "The map says how much the number depends on a patch, not in which direction."
    return level, sign
