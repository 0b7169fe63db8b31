"""Can a map be trusted? What a test of a map is given, and what every such test is.

A check is a probe of a map: it gets the map with all that it takes to make it again (other weights, other noise, another
target), and returns measures and plain verdicts that stand beside the map.
"""

import abc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from workbench.attribution import AttributionProbe, Tick, cells_of
from workbench.embedder import Differentiable, Level, Objective
from workbench.errors import Unsupported
from workbench.probe import Probe
from workbench.stages import quiet
from workbench.targets import Target
from workbench.types import Check, Context, Encoded, Measure, ProbeResult, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCase:
    """A map under test, and what it takes to make it again."""

    model: Any
    """Differentiable; a check's `needs` say what else."""
    encoded: Encoded
    """With the text held that a model wrote before it embedded (`Differentiable.hold`)."""
    trace: Trace
    targets: tuple[Target, ...]
    method: AttributionProbe
    result: ProbeResult
    """What the method said of these targets."""
    context: Context | None = None
    """Of the decoded thought that the word targets are from."""
    truth: Float[np.ndarray, "targets cells"] | None = None
    """Where the evidence is known to lie: for each target, the share of each cell's pixels. None: not known."""

    @property
    def relevance(self) -> Float[np.ndarray, "targets cells"]:
        """The map under test."""
        return cells_of(self.result)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the targets are called."""
        return tuple(target.label for target in self.targets)

    def objective(self, level: Level, *, targets: Sequence[Target] | None = None) -> Objective:
        """The sample opened again, at any level."""
        return self.model.objective(
            self.encoded, self.targets if targets is None else targets, level=level, context=self.context
        )

    def explain_again(
        self,
        *,
        model: Any = None,
        encoded: Encoded | None = None,
        targets: Sequence[Target] | None = None,
        tick: Tick = quiet,
    ) -> Float[np.ndarray, "targets cells"]:
        """The map that the same method makes with another model, input or list of targets; the rest stays."""
        objective = (self.model if model is None else model).objective(
            self.encoded if encoded is None else encoded,
            self.targets if targets is None else targets,
            level=self.method.level,
            context=self.context,
        )
        found = self.method.attribute(objective, tick).relevance
        if not np.isfinite(found).all():
            raise Unsupported(f"{self.method.title} gave numbers that are not finite when it was run again.")
        return found


class MapCheck(Probe):
    """A test that a map is put to."""

    needs: ClassVar[tuple[type, ...]] = (Differentiable,)
    """Abilities that the model must have."""

    @abc.abstractmethod
    def judge(self, case: MapCase, tick: Tick = quiet) -> ProbeResult:
        """Test one map. Raises Unsupported with one sentence when this map cannot be tested so."""

    def found(self, case: MapCase, measures: Sequence[Measure], checks: Sequence[Check]) -> ProbeResult:
        """Wrap up: what was measured, of which method's map."""
        return ProbeResult(
            probe=self.name,
            version=self.version,
            sample_id=case.trace.sample.id,
            parameters={**asdict(self), "method": case.method.name, "method_parameters": asdict(case.method)},  # pyright: ignore[reportArgumentType]
            measures=tuple(measures),
            checks=tuple(checks),
            provenance=case.trace.provenance,
        )


def make_case(
    model: Any,
    encoded: Encoded,
    trace: Trace,
    targets: Sequence[Target],
    method: AttributionProbe,
    *,
    context: Context | None = None,
    truth: Float[np.ndarray, "targets cells"] | None = None,
    tick: Tick = quiet,
) -> MapCase:
    """Make a map and lay it out for testing."""
    encoded = model.hold(encoded, trace)
    objective = model.objective(encoded, tuple(targets), level=method.level, context=context)
    return MapCase(
        model=model,
        encoded=encoded,
        trace=trace,
        targets=tuple(targets),
        method=method,
        result=method.explain(objective, trace, tick),
        context=context,
        truth=truth,
    )
