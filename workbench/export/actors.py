"""Workers that are actors of Ray, each with a model of its own, wherever Ray puts them."""

import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from workbench import store
from workbench.errors import BadInput
from workbench.export.attempt import Attempt
from workbench.export.crew import Crew, Settled
from workbench.export.engine import Outcome
from workbench.export.plan import Plan

MOMENT = 0.2
"""Seconds after which waiting for answers looks up."""
PATIENCE = 30.0
"""Seconds for which a worker looks for the export's folder. A shared file system may be slow to show what is new."""
STARTS = 3
"""Workers that may fail to start, one after the other, before the engine gives up."""
GONE = "its node has died"
"""What Ray says of an actor whose machine is lost."""


class Hand:
    """The worker itself, in a process of its own."""

    def __init__(self, maker: str, plan: str) -> None:
        self._attempt = Attempt(maker, plan)

    def look(self, mark: str, patience: float) -> tuple[str, bool]:
        """Return this machine's name, and whether what was just made in the export's folder is seen here."""
        until = time.monotonic() + patience
        while not (seen := Path(mark).exists()) and time.monotonic() < until:
            time.sleep(0.2)
        return socket.gethostname(), seen

    def make(self, part: int) -> dict[str, Any]:
        """Make one part and return its outcome's fields."""
        return self._attempt(part)


@dataclass(slots=True, kw_only=True, eq=False)
class Actor:
    """One actor, what it was asked last, and what it is at."""

    handle: Any
    asked: Any
    machine: str = ""
    """Its name, once it was seen; empty while the actor starts."""
    part: int | None = None


@final
class Actors(Crew):
    """At most `size` actors. A part is given to an actor that lives, so those that Ray has no place for hold up none."""

    def __init__(self, ray: Any, maker: str, plan: Plan, *, size: int, mark: str, options: dict[str, Any]) -> None:
        self.size = size
        self._ray = ray
        self._kind = ray.remote(Hand).options(**options)
        self._job = (maker, store.dumps(plan))
        self._folder = plan.folder
        self._mark = mark
        self._actors: list[Actor] = []
        self._waiting: list[int] = []
        self._failed_starts = 0

    def begin(self, part: int) -> None:
        self._waiting.append(part)
        self._deal()

    def settle(self) -> list[Settled]:
        at_work = {actor.asked: actor for actor in self._actors if actor.asked is not None}
        if self._ray.wait(list(at_work), num_returns=1, timeout=MOMENT)[0]:
            # All that are ready: the first alone would be the same actor's again where parts are quick.
            ready, _ = self._ray.wait(list(at_work), num_returns=len(at_work), timeout=0)
        else:
            ready = []
        settled = [found for ref in ready if (found := self._hear(at_work[ref])) is not None]
        self._deal()
        return settled

    def withdraw(self) -> set[int]:
        taken, self._waiting = set(self._waiting), []
        return taken

    def dismiss(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._actors.clear()

    def _deal(self) -> None:
        """Give waiting parts to actors that live and are idle, and start as many actors as there are parts left for."""
        for actor in self._actors:
            if self._waiting and actor.machine and actor.asked is None:
                actor.part = self._waiting.pop(0)
                actor.asked = actor.handle.make.remote(actor.part)
        starting = sum(not actor.machine for actor in self._actors)
        for _ in range(min(len(self._waiting) - starting, self.size - len(self._actors))):
            handle = self._kind.remote(*self._job)
            self._actors.append(Actor(handle=handle, asked=handle.look.remote(self._mark, PATIENCE)))

    def _hear(self, actor: Actor) -> Settled | None:
        part, asked = actor.part, actor.asked
        actor.part = actor.asked = None
        try:
            answer = self._ray.get(asked)
        except self._ray.exceptions.RayError as error:
            self._actors.remove(actor)
            self._ray.kill(actor.handle)
            lost = _lost_machine(self._ray, error)
            if part is not None:
                return Settled(part=part, death=_manner(error, actor.machine), blamed=not lost)
            if not lost:
                self._miss(error)
            return None
        if part is not None:
            return Settled(part=part, outcome=Outcome(**answer))
        actor.machine, seen = answer
        self._failed_starts = 0
        if not seen:
            raise BadInput(
                f"The Ray worker on the machine '{actor.machine}' does not see the folder '{self._folder}'; give --out a "
                "folder that all machines of the cluster share under the same path."
            )
        return None

    def _miss(self, error: Exception) -> None:
        self._failed_starts += 1
        if self._failed_starts >= STARTS:
            raise BadInput(
                f"Ray could not start a worker ({_last_line(error)}); every machine of the cluster needs the same Python "
                "packages as this one, Thinkscope among them."
            ) from error


def _lost_machine(ray: Any, error: Exception) -> bool:
    kinds = ray.exceptions
    if isinstance(error, kinds.ActorUnavailableError | kinds.NodeDiedError):
        return True
    return bool(getattr(error, "preempted", False)) or GONE in str(error)


def _manner(error: Exception, machine: str) -> str:
    """How an actor ended, to follow "the worker"."""
    return f"on the machine '{machine}' ended with: {_last_line(error)}"


def _last_line(error: Exception) -> str:
    """The gist of what Ray says: of a bug the exception, of a death the fact without the list of possible causes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).split(" Some common causes")[0][:300].rstrip(".")
