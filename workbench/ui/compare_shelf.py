"""Comparisons that were made or are being made. They are known by what was asked, so that nothing is made twice."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from workbench.comparing.kept import Kept
from workbench.comparing.making import Compared
from workbench.errors import BadInput, Cancelled
from workbench.once import Once
from workbench.ui.jobs import Jobs

MAX_KEPT = 8
MAX_JOBS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOrder:
    """What is compared, in names that the page offered."""

    checkpoints: tuple[str, ...]
    """The reference first."""
    data: str
    split: str
    n: int


@final
class CompareShelf:
    """The latest comparisons of all tabs; safe to share between threads.

    A comparison is known by a hash of its content and not by a secret: whoever can ask for it here can make it here.

    Args:
        kept: where readings lie.
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self.kept = kept or Kept()
        self.jobs = Jobs(MAX_JOBS, busy="Too many comparisons are being made at the moment; try again in a minute.")
        self._made: Once[Compared] = Once(max_entries=MAX_KEPT)
        self._lock = threading.Lock()
        self._running: dict[str, tuple[CompareOrder, str]] = {}

    def make(self, key: str, make: Callable[[], Compared], waiting: Callable[[], None]) -> Compared:
        """The comparison of a key, made unless it is known; who asks for one that is being made waits for it.

        `waiting` raises Cancelled when its caller waits no more.
        """
        while True:
            try:
                return self._made.get(key, make, waiting=waiting)
            except Cancelled:
                waiting()  # It was somebody else who left, unless this raises.

    def get(self, key: object) -> Compared:
        """A comparison that was made. Raises BadInput when it is there no longer."""
        found = self._made.peek(key) if isinstance(key, str) else None
        if found is None:
            raise BadInput(
                "This comparison is no longer in memory; press 'Compare' again, which takes little time now."
            )
        return found

    def running(self, tab: str | None, order: CompareOrder) -> str | None:
        """The job of a tab that makes just this, so that a second click begins no second one; none that was given up."""
        with self._lock:
            found = self._running.get(tab) if tab is not None else None
        return found[1] if found is not None and found[0] == order and self.jobs.knows(found[1]) else None

    def note(self, tab: str | None, order: CompareOrder, job: str) -> None:
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
