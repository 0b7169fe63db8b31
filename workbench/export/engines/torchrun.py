"""One rank of `torchrun` or `accelerate launch`: every rank runs the same command and makes its share of the parts."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import final

from workbench.errors import BadInput
from workbench.export.engine import ENGINES, Engine, Outcome, load_maker
from workbench.export.plan import Plan
from workbench.export.surroundings import gpus, wants_any_gpu


@ENGINES.register("torchrun")
@final
@dataclass(frozen=True, kw_only=True)
class TorchrunEngine(Engine):
    """Part p is made by rank `p % WORLD_SIZE`, in this process; ranks do not talk to each other.

    The split is fixed: a rank that is slow, or that finds its parts made already, takes none of another's. Whoever launched
    the ranks decides what becomes of a rank that dies (`torchrun --max-restarts`); the same command goes on where it ended.
    """

    name = "torchrun"
    about = "The processes that torchrun or accelerate launch started, on one machine or several; needs nothing else."
    shared = True

    def run(self, plan: Plan, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        if self.workers is not None:
            raise BadInput("The engine 'torchrun' has as many workers as torchrun started; leave out --workers.")
        rank, world, local = (_launched(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        if not 0 <= rank < world:
            raise BadInput(
                f"RANK is {rank} and WORLD_SIZE {world}, but ranks count from 0 to {world - 1}; use torchrun."
            )
        return self._make(_seated(plan, local), (part for part in parts if part % world == rank), stopped)

    def _make(self, plan: Plan, parts: Iterable[int], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        make = None
        for part in parts:
            if stopped():
                return
            make = make or load_maker(self.maker)(plan)
            outcome = make(part)
            yield outcome
            if outcome.problem or not outcome.rows:
                return


def _launched(name: str) -> int:
    value = os.environ.get(name, "")
    if not value.isdecimal():
        raise BadInput(
            f"The engine 'torchrun' needs {name} in the environment, which holds '{value}'; start the command with "
            "`torchrun --nproc-per-node N -m workbench.cli export ...`."
        )
    return int(value)


def _seated(plan: Plan, local: int) -> Plan:
    """The plan on the GPU of this rank, when it leaves open which."""
    if wants_any_gpu(plan) and (count := len(gpus())):
        return replace(plan, device=f"cuda:{local % count}")
    return plan
