"""A pool of processes on this machine, each with a model of its own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import final

from workbench.errors import BadInput
from workbench.export.crew import make_parts
from workbench.export.engine import ENGINES, Engine, Outcome
from workbench.export.plan import Plan
from workbench.export.pool import Pool
from workbench.export.surroundings import VISIBLE, cores, gpus, wants_any_gpu


@ENGINES.register("local")
@final
@dataclass(frozen=True, kw_only=True)
class LocalEngine(Engine):
    """Processes of this machine, begun one by one as there are parts for them; a worker that dies is replaced.

    Takes one worker for each GPU, or as many as the CPU cores hold threads of the plan. Every worker holds the model once:
    the machine's memory must hold it that often.
    """

    name = "local"
    about = "Several processes on this machine: a worker for each GPU, or CPU cores in equal shares."

    def run(self, plan: Plan, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        if self.workers is not None and self.workers < 1:
            raise BadInput(f"{self.workers} workers make no parts; give --workers 1 or more.")
        seats = [{VISIBLE: gpu} for gpu in gpus()] if wants_any_gpu(plan) else []
        size = self.workers or len(seats) or max(1, cores() // plan.threads)
        return make_parts(Pool(self.maker, plan, size=size, seats=seats), plan, parts, stopped=stopped)
