"""What the long pages share: results known by what was asked, and for each tab the job that it waits for."""

import abc
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from workbench.comparing.kept import Kept
from workbench.errors import BadInput, Cancelled
from workbench.once import Once
from workbench.ui.jobs import Jobs

MAX_KEPT = 8
Order = TypeVar("Order")
Made = TypeVar("Made")


class Shelf(abc.ABC, Generic[Order, Made]):
    """The latest results of all tabs; safe to share between threads.

    A result is known by a hash of its content and not by a secret: whoever can ask for it here can make it here.

    Args:
        kept: where readings lie.
    """

    max_jobs: int
    busy: str
    """What is said when more jobs than that are asked for."""
    gone: str
    """What is said of a result that is no longer in memory."""

    def __init__(self, kept: Kept | None = None) -> None:
        self.kept = kept or Kept()
        self.jobs = Jobs(self.max_jobs, busy=self.busy)
        self._made: Once[Made] = Once(max_entries=MAX_KEPT)
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Order, str]] = {}

    @staticmethod
    @abc.abstractmethod
    def is_whole(made: Made) -> bool:
        """Whether a result would come out the same again; one that would not is made anew when it is asked for again."""

    def make(self, key: str, make: Callable[[], Made], waiting: Callable[[], None]) -> Made:
        """The result of a key, made unless it is known; who asks for one that is being made waits for it.

        One that is made anew stays there for others until the new one is made, and when that fails or is cancelled.
        `waiting` raises Cancelled when its caller waits no more.
        """
        while True:
            found = self._made.peek(key)
            stale = None if found is None or self.is_whole(found) else found
            try:
                return self._made.get(key, make, stale=stale, waiting=waiting)
            except Cancelled:
                waiting()  # It was somebody else who left, unless this raises.

    def get(self, key: object) -> Made:
        """A result that was made. Raises BadInput when it is there no longer."""
        found = self._made.peek(key) if isinstance(key, str) else None
        if found is None:
            raise BadInput(self.gone)
        return found

    def running(self, tab: str | None, order: Order) -> str | None:
        """The job of a tab that makes just this, so that a second click begins no second one; none that was given up."""
        with self._lock:
            found = self._running.get(tab) if tab is not None else None
        return found[1] if found is not None and found[0] == order and self.jobs.knows(found[1]) else None

    def note(self, tab: str | None, order: Order, job: str) -> None:
        """Remember what a tab waits for; a job before it is given up."""
        if tab is None:
            return
        with self._lock:
            before = self._running.get(tab)
            self._running[tab] = (order, job)
        if before is not None:
            self.jobs.cancel(before[1])

    def leave(self, tab: str | None) -> None:
        """Give up what a closed tab waited for."""
        with self._lock:
            found = self._running.pop(tab, None) if tab is not None else None
        if found is not None:
            self.jobs.cancel(found[1])
