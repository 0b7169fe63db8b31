"""What an attribution method is, and what every one of them returns.

A method is a probe in a file of its own under `probes/`: it gets an `Objective` (the sample's numbers as functions of what
the model sees) and returns one relevance for each target and unit. Everything else, how maps become measures, how the
completeness gap is judged, is the same for all of them and lives here.
"""

import abc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from workbench.embedder import Differentiable, EmbedderInfo, Level, Objective
from workbench.errors import Unsupported
from workbench.probe import PROBES, Control, Probe
from workbench.stages import quiet
from workbench.types import Check, Measure, PatchGrid, ProbeResult, Trace
from workbench.views import Note, Overlay, Panel

Tick = Callable[[float, str], None]
"""Told the share done (0 to 1) and what is being done; raises `Cancelled` when nobody waits for the result any more."""
DEFAULT_METHOD = "integrated_gradients"
"""What terminal and page attribute with unless told otherwise: `Board.default` on the bundled checkpoint (docs/maps.md)."""
_MAP = "attribution_image_"
CONVERGED = 0.05
"""Largest completeness gap of a map that counts as converged, as a share of the value it explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What a method found."""

    relevance: Float[np.ndarray, "targets cells"]
    """One number for each target and cell, all images one after the other."""
    gap: Float[np.ndarray, " targets"] | None = None
    """Completeness: |sum of relevances - (value - baseline's value)| as a share of |value - baseline's value|. None for
    methods without that property."""
    baseline: Float[np.ndarray, " targets"] | None = None
    """The targets' values at the baseline, for methods that have one."""
    error: Float[np.ndarray, "targets cells"] | None = None
    """Standard error of each relevance, for methods that sample."""
    passes: int
    """Forward passes of one sample, to compare costs by."""
    remarks: tuple[str, ...] = ()
    """What was capped, sampled or stopped early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionProbe(Probe):
    """A method that says how much each patch adds to each target."""

    needs: ClassVar[tuple[type, ...]] = (Differentiable,)
    signed: ClassVar[bool]
    """Whether negative relevance means "speaks against"; otherwise relevances are at least 0."""
    complete: ClassVar[bool] = False
    """Whether relevances are meant to sum to the value less the baseline's value."""
    units: ClassVar[str] = ""
    """Of the relevances; empty: each target's own."""
    level: Annotated[
        Level, Control(help="Attribute to visual tokens (fast), or to pixels through the vision tower.")
    ] = "tokens"

    @abc.abstractmethod
    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        """Attribute every target of the objective. All targets go through the model together."""

    def explain(self, objective: Objective, trace: Trace, tick: Tick = quiet) -> ProbeResult:
        """Attribute, check and wrap up. Raises Unsupported when the numbers are not finite."""
        values = objective(objective.features[None])[0].cpu().numpy()
        found = self.attribute(objective, tick)
        if not np.isfinite(found.relevance).all() or not np.isfinite(values).all():
            raise Unsupported(
                f"{self.title} gave numbers that are not finite for this sample; try another method, or load the "
                "checkpoint in float32."
            )
        labels = tuple(target.label for target in objective.targets)
        return ProbeResult(
            probe=self.name,
            version=self.version,
            sample_id=trace.sample.id,
            parameters=asdict(self),
            measures=(*_maps(self, found.relevance, objective, labels), *_numbers(found, values, labels)),
            checks=_checks(found, labels),
            provenance=trace.provenance,
        )

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        """The maps, and a warning for each check that failed."""
        panels: list[Panel] = [
            Overlay(measure=found.name, image=number, each="target", title=f"{self.title} on image {number + 1}")
            for number, found in enumerate(maps_of(result))
        ]
        return (*panels, *(Note(text=f"{c.name}: {c.about}", kind="warning") for c in result.checks if not c.passed))


def held_text(info: EmbedderInfo) -> tuple[str, ...]:
    """What is to be said of every map of a model that writes before it embeds; nothing of others."""
    if not info.writes_first:
        return ()
    return (
        f"'{info.name}' wrote its reasoning first, and the map holds that text as it is: what the image does by changing "
        "the words is not in the map.",
    )


def methods() -> dict[str, type[AttributionProbe]]:
    """The registered attribution methods by name."""
    return {name: probe for name, probe in PROBES.items() if issubclass(probe, AttributionProbe)}


def cells_of(result: ProbeResult) -> Float[np.ndarray, "targets cells"]:
    """A result's maps as one row of cells for each target, as the objective orders them."""
    return np.concatenate([found.values.reshape(len(found.values), -1) for found in maps_of(result)], axis=1)


def maps_of(result: ProbeResult) -> list[Measure]:
    """A result's maps, one measure for each image."""
    return [measure for measure in result.measures if measure.name.startswith(_MAP)]


def remarks_of(result: ProbeResult) -> list[str]:
    """What was capped, sampled or stopped early on the way to a result."""
    return [str(text) for measure in result.measures if measure.name == "remarks" for text in measure.values]


def _maps(
    method: AttributionProbe, relevance: Float[np.ndarray, "targets cells"], objective: Objective, labels: Sequence[str]
) -> list[Measure]:
    measures, begin = [], 0
    known = {method.units} if method.units else {target.units for target in objective.targets}
    units = known.pop() if len(known) == 1 else "each target's own units"
    about = "what the patch adds to the target" if method.signed else "how much the target depends on the patch"
    for number, grid in enumerate(objective.grids):
        part = relevance[:, begin : begin + grid.n_tokens]
        begin += grid.n_tokens
        measures.append(
            Measure(
                name=f"{_MAP}{number}",
                values=part.reshape(len(part), *_shape(grid)).astype(np.float32),
                dims=("target", *(("frame",) if grid.frames > 1 else ()), "rows", "cols"),
                units=units,
                coords={"target": tuple(labels)},
                signed=method.signed,
                about=about,
            )
        )
    return measures


def _shape(grid: PatchGrid) -> tuple[int, ...]:
    return (grid.frames, grid.rows, grid.cols) if grid.frames > 1 else (grid.rows, grid.cols)


def _numbers(found: Attribution, values: np.ndarray, labels: Sequence[str]) -> list[Measure]:
    by_target = {"target": tuple(labels)}
    rows = [("value", values, "each target's own units", "the number that is explained")]
    if found.baseline is not None:
        rows.append(("baseline_value", found.baseline, "each target's own units", "the number at the baseline"))
    if found.gap is not None:
        rows.append(("completeness_gap", found.gap, "share of the value", "what the map leaves unexplained"))
    if found.error is not None:
        about = "standard error of the relevances from sampling, mean over the cells"
        rows.append(("attribution_error", found.error.mean(axis=1), "each target's own units", about))
    measures = [
        Measure(
            name=name, values=numbers.astype(np.float32), dims=("target",), units=units, coords=by_target, about=about
        )
        for name, numbers, units, about in rows
    ]
    measures.append(Measure(name="passes", values=np.array(found.passes), dims=(), units="forward passes"))
    if found.remarks:
        measures.append(Measure(name="remarks", values=np.array(found.remarks), dims=("remark",), units="text"))
    return measures


def _checks(found: Attribution, labels: Sequence[str]) -> tuple[Check, ...]:
    if found.gap is None:
        return ()
    worst = int(np.argmax(found.gap))
    value, passed = float(found.gap[worst]), bool((found.gap <= CONVERGED).all())
    said = f"{value:.1%} of '{labels[worst]}' is left unexplained, the most of {len(labels)} targets"
    about = said if passed else f"not converged: {said}; take more steps or another baseline"
    return (Check(name="completeness gap", value=value, tolerance=CONVERGED, passed=passed, about=about),)
