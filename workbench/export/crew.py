"""Parts handed out to workers and taken back, whatever the workers are: what a pool of processes and a cluster share."""

import abc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

from workbench.export.engine import Outcome
from workbench.export.plan import Plan

DEATHS = 2
"""Workers that may die at one part before it is given up: one may be chance, two are the part's fault or the machine's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A part that is in no worker's hands any more."""

    part: int
    outcome: Outcome | None = None
    """None: its worker died."""
    death: str = ""
    """How, to follow "the worker": "was killed by SIGKILL"."""
    blamed: bool = True
    """Whether the part may be why. Not when the worker's whole machine went."""


class Crew(abc.ABC):
    """Workers that make one part each at a time. Leaving it as a context manager ends them, whatever they are at."""

    size: int
    """How many parts may be begun at once."""

    @abc.abstractmethod
    def begin(self, part: int) -> None:
        """Have an idle worker make a part; starts one where there is none, also in place of one that died."""

    @abc.abstractmethod
    def settle(self) -> list[Settled]:
        """Wait a moment, and return the begun parts that were made or whose worker died; perhaps none."""

    def withdraw(self) -> set[int]:
        """Take back the begun parts that no worker has in hand yet, and return them."""
        return set()

    @abc.abstractmethod
    def dismiss(self) -> None:
        """End all workers now. Parts that are being made stay unwritten."""

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.dismiss()


def make_parts(crew: Crew, plan: Plan, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
    """Have parts made as `Engine.run` promises, and dismiss the crew at the end or when nobody asks for more."""
    fresh = iter(parts)
    again: list[int] = []
    begun: set[int] = set()
    deaths: Counter[int] = Counter()
    with crew:
        while True:
            if stopped():
                fresh, again = iter(()), []
                begun -= crew.withdraw()
            while len(begun) < crew.size and (part := again.pop(0) if again else next(fresh, None)) is not None:
                begun.add(part)
                crew.begin(part)
            if not begun:
                return
            for settled in crew.settle():
                begun.remove(settled.part)
                outcome = settled.outcome
                if outcome is None:
                    deaths[settled.part] += settled.blamed
                    if deaths[settled.part] < DEATHS:
                        again.append(settled.part)
                        continue
                    outcome = Outcome(part=settled.part, rows=0, problem=_given_up(plan, settled))
                if outcome.problem:
                    fresh, again = iter(()), []
                elif not outcome.rows:
                    fresh = iter(())
                yield outcome


def _given_up(plan: Plan, settled: Settled) -> str:
    first = settled.part * plan.part_rows
    return (
        f"Part {settled.part} (rows {first + 1} to {first + plan.part_rows}) was not made, because {DEATHS} workers died at "
        f"it and the last {settled.death}; go on with fewer workers or a smaller batch, and when it dies alone too, take the "
        "row that ends it out of the data."
    )
