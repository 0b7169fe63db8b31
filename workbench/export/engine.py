"""What an engine is: something that has the parts of an export made, here or elsewhere, by one process or by many.

A new engine is one new file in `workbench.export.engines`, or one in another package's entry point. It decides who makes
which part and when; what a part is, is the same for all of them, so that an export begun on one engine can be finished on
another.
"""

import abc
import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from workbench.export.plan import Plan
from workbench.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one part."""

    part: int
    rows: int
    """Rows of the data set that it holds; 0 behind the end of the data. Fewer than the plan's `part_rows` in the last."""
    done: int = 0
    failed: int = 0
    """Rows whose record holds an error instead of a thought."""
    seconds: float = 0.0
    """From the rows to the files, without the loading of the model."""
    model_seconds: float = 0.0
    """Of them, in the model."""
    problem: str = ""
    """One sentence on why the part was not written and the export must stop: a bad row under "stop", a full disk, a
    changed checkpoint. The other fields but `part` mean nothing then."""


class Making(Protocol):
    """Makes parts of one export, one after the other; loads the model for the first and keeps it."""

    def __call__(self, part: int) -> Outcome:
        """Make a part and write its files; whole or not at all. Told problems are in the outcome, never raised."""
        ...


PART_MAKER = "workbench.export.part:PartMaker"


@dataclass(frozen=True, kw_only=True)
class Engine(abc.ABC):
    """A way to have parts made. Built with its settings; used for one export."""

    name: ClassVar[str]
    about: ClassVar[str]
    """One plain sentence on when to take it."""

    workers: int | None = None
    """How many make parts at the same time; None: as many as have something to run on. An engine that cannot choose
    refuses a number with BadInput when it runs."""
    maker: str = PART_MAKER
    """Import path of what makes the parts, `maker(plan) -> Making`. A name and not the thing, because each worker imports
    it by itself, once its environment says how many threads torch gets."""
    shared: ClassVar[bool] = False
    """Whether several processes run it at once on one output, as ranks of one run: then one that finds the output begun
    goes along without being asked to resume."""

    @abc.abstractmethod
    def run(self, plan: Plan, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        """Have the parts made, by `maker(plan)` in each worker, and yield outcomes as they come.

        Args:
            plan: the export.
            parts: numbers in increasing order, perhaps without end; ends early at an outcome of 0 rows, whose followers
                are not begun (parts begun before it was known have 0 rows too and leave no files), and at one with a
                problem (parts begun before are finished).
            stopped: asked between parts; when it says yes, begun parts are left unwritten or finished, never halved.

        Raises:
            WorkbenchError: when the engine itself cannot run here. A worker that dies is replaced and its part made again;
                after a second death at the same part the outcome of that part says so.
        """


def load_maker(path: str) -> Callable[[Plan], Making]:
    """Import what an engine's `maker` names ("package.module:name")."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def default_engine() -> str:
    """The engine for those who name none: the launcher's, where a launcher started several of us."""
    return "torchrun" if os.environ.get("WORLD_SIZE", "1") not in ("", "1") else "local"


ENGINES: Registry[type[Engine]] = Registry("engine", package="workbench.export.engines", group="thinkscope.engines")
