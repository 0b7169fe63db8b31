"""This process alone, for tests and small exports."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import final

from workbench.errors import BadInput
from workbench.export.engine import ENGINES, Engine, Outcome, load_maker
from workbench.export.plan import Plan
from workbench.export.surroundings import share_memory


@ENGINES.register("single")
@final
@dataclass(frozen=True, kw_only=True)
class SingleEngine(Engine):
    """Makes one part after the other where it is called. Torch gets the threads of the plan for as long as it runs."""

    name = "single"
    about = "This process alone: the model is loaded once, nothing else is started."

    def run(self, plan: Plan, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        if self.workers not in (None, 1):
            raise BadInput(f"The engine '{self.name}' has one worker, not {self.workers}; take --engine local.")
        return self._run(plan, parts, stopped)

    def _run(self, plan: Plan, parts: Iterable[int], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        import torch

        share_memory()
        threads = torch.get_num_threads()
        make = load_maker(self.maker)(plan)
        try:
            for part in parts:
                if stopped():
                    return
                outcome = make(part)
                yield outcome
                if outcome.rows == 0:
                    return
        finally:
            torch.set_num_threads(threads)
