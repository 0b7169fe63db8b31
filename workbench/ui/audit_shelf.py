"""Audits that were made or are being made. They are known by what was asked, so that nothing is made twice."""

import threading
from dataclasses import dataclass
from typing import final

from workbench.audit import Audit
from workbench.comparing.kept import Kept
from workbench.errors import BadInput
from workbench.once import Once
from workbench.ui.jobs import Jobs

MAX_KEPT = 8
MAX_JOBS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOrder:
    """What is audited, in names that the page offered."""

    checkpoint: str
    data: str
    split: str
    n: int
    seed: int


@final
class AuditShelf:
    """Audits that were made or are being made, by what was asked; safe to share between threads."""

    def __init__(self, kept: Kept | None = None) -> None:
        self.kept = kept or Kept()
        self.jobs = Jobs(MAX_JOBS, busy="Too many audits are being made at the moment; try again in a minute.")
        self.made: Once[Audit] = Once(max_entries=MAX_KEPT)
        self._lock = threading.Lock()
        self._running: dict[str, tuple[AuditOrder, str]] = {}

    def get(self, key: object) -> Audit:
        """An audit that was made. Raises BadInput when it is there no longer."""
        found = self.made.peek(key) if isinstance(key, str) else None
        if found is None:
            raise BadInput("This audit is no longer in memory; press 'Audit' again, which takes little time now.")
        return found

    def running(self, tab: str | None, order: AuditOrder) -> str | None:
        """The job of a tab that makes just this, so that a second click begins no second one."""
        with self._lock:
            found = self._running.get(tab) if tab is not None else None
        return found[1] if found is not None and found[0] == order and self.jobs.knows(found[1]) else None

    def note(self, tab: str | None, order: AuditOrder, job: str) -> None:
        """Remember what a tab waits for."""
        if tab is not None:
            with self._lock:
                self._running[tab] = (order, job)

    def leave(self, tab: str | None) -> None:
        """Give up what a tab waits for."""
        with self._lock:
            found = self._running.pop(tab, None) if tab is not None else None
        if found is not None:
            self.jobs.cancel(found[1])
