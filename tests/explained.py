"""A model and methods for tests of what stands around attribution: their maps are known, and no gradient is taken."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal, final

import numpy as np
from planted import PlantedModel

from workbench.attribution import Attribution, AttributionProbe
from workbench.embedder import Differentiable
from workbench.errors import Unsupported
from workbench.probe import Control
from workbench.stages import quiet
from workbench.trust import MapCase, MapCheck
from workbench.types import Check, Measure, ProbeResult, Trace
from workbench.views import Panel


class ExplainedModel(PlantedModel, Differentiable):
    """The planted model, which can be opened for attribution."""

    def objective(self, encoded: Any, targets: Sequence[Any], *, level: str = "tokens", context: Any = None) -> Any:
        return SimpleNamespace(targets=tuple(targets), grids=encoded.grids, level=level, context=context)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedMap(AttributionProbe):
    """Target number i depends on cell number i alone, with relevance i + 1. In nats; it misleads nobody."""

    name = "planted_map"
    title = "Planted map"
    version = 1
    reference = "none"
    signed = True
    complete = True

    calls: ClassVar[list[tuple[str, ...]]] = []
    between: ClassVar[Callable[[int], None]] = lambda step: None
    """Called at each step, so that a test can stand in the middle of one."""

    level: Annotated[Literal["tokens", "pixels"], Control(help="Says nothing here.")] = "tokens"
    steps: Annotated[int, Control(help="How often it stops on its way.", low=1, high=100)] = 3

    def attribute(self, objective: Any, tick: Any = quiet) -> Attribution:
        raise NotImplementedError

    def explain(self, objective: Any, trace: Trace, tick: Any = quiet) -> ProbeResult:
        labels = tuple(target.label for target in objective.targets)
        type(self).calls.append(labels)
        for step in range(self.steps):
            tick(step / self.steps, f"step {step + 1}")
            type(self).between(step)
        tick(1.0, "last step")
        n, n_cells = len(labels), sum(grid.n_tokens for grid in objective.grids)
        cells = np.zeros((n, n_cells), np.float32)
        cells[range(n), np.arange(n) % n_cells] = np.arange(n) + 1
        measures, begin, by_target = [], 0, {"target": labels}
        for number, grid in enumerate(objective.grids):
            part = cells[:, begin : begin + grid.n_tokens].reshape(n, grid.rows, grid.cols)
            begin += grid.n_tokens
            name, dims = f"attribution_image_{number}", ("target", "rows", "cols")
            measures.append(Measure(name=name, values=part, dims=dims, units="nats", coords=by_target, signed=True))
        for name, values in (("value", np.arange(n) + 1.0), ("completeness_gap", np.linspace(0, 0.2, n))):
            numbers = values.astype(np.float32)
            measures.append(Measure(name=name, values=numbers, dims=("target",), units="nats", coords=by_target))
        return ProbeResult(
            probe=self.name,
            version=self.version,
            sample_id=trace.sample.id,
            parameters=asdict(self),
            measures=tuple(measures),
            checks=(Check(name="completeness gap", value=0.0, tolerance=0.05, passed=True, about="it adds up"),),
            provenance=trace.provenance,
        )


class Flies:
    """An ability that no model has."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Flying(AttributionProbe):
    """Needs a model that flies."""

    name = "flying"
    title = "Flying"
    version = 1
    reference = "none"
    signed = True
    needs = (Flies,)

    def attribute(self, objective: Any, tick: Any = quiet) -> Attribution:
        raise NotImplementedError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedCheck(MapCheck):
    """Counts the targets of a map."""

    name = "planted_check"
    title = "Planted check"
    version = 1
    reference = "none"
    refuses: Annotated[bool, Control(help="Say no.")] = False

    def judge(self, case: MapCase, tick: Any = quiet) -> ProbeResult:
        if self.refuses:
            raise Unsupported("The truth of this sample is not known.")
        check = Check(
            name="count", value=1.0, tolerance=None, passed=True, about=f"a map of {len(case.labels)} targets"
        )
        value = np.array(len(case.labels), np.float32)
        return self.found(case, [Measure(name="n", values=value, dims=(), units="targets")], [check])

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        return ()


def in_threads(*works: Callable[[], Any]) -> list[threading.Thread]:
    """Start each piece of work in a thread of its own."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads
