"""Long work of the page: started by one request, looked at by later ones, and given up when nobody looks any more."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import BadInput, WorkbenchError
from workbench.stages import Progress
from workbench.ui.guard import BUG

MAX_JOBS = 16
PATIENCE = 90.0
"""Seconds without a look after which a job's page is taken to be gone; browsers let hidden pages look once a minute."""
_AT_ONCE = 0.4
"""Seconds that a start waits for an answer, so that what is known already comes back with it."""
_BUSY = "Too many maps are being made at the moment; try again in a minute."
_log = logging.getLogger(__name__)

Work = Callable[[Progress, Callable[[], bool]], Mapping[str, Any]]
"""Given a progress to tell and a question whether to stop; returns what the page is sent."""


@dataclass(slots=True, kw_only=True)
class _Job:
    looked: float
    done: float = 0.0
    message: str = ""
    unwanted: bool = False
    answer: Mapping[str, Any] | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class Jobs:
    """Jobs by an id that only the page which started one knows. Safe to share between threads.

    Args:
        max_jobs: how many may run or wait at once, of all pages together.
        patience: seconds without a look after which a job is given up.
        busy: the sentence for too many jobs.
    """

    def __init__(self, max_jobs: int = MAX_JOBS, patience: float = PATIENCE, busy: str = _BUSY) -> None:
        self._max_jobs = max_jobs
        self._patience = patience
        self._busy = busy
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}

    def start(self, work: Work) -> dict[str, Any]:
        """Begin some work; returns as `look` does. Raises BadInput when too much is running already."""
        key, job = secrets.token_hex(8), _Job(looked=time.monotonic())
        with self._lock:
            self._jobs = {name: other for name, other in self._jobs.items() if not self._forgotten(other)}
            if sum(not other.ended.is_set() for other in self._jobs.values()) >= self._max_jobs:
                raise BadInput(self._busy)
            self._jobs[key] = job
        threading.Thread(target=self._run, args=(job, work), name=f"job-{key}", daemon=True).start()
        job.ended.wait(_AT_ONCE)
        return self.look(key)

    def look(self, key: object) -> dict[str, Any]:
        """How far a job is (`job`, `share`, `doing`), or its `answer`, or its `error` as one sentence; then it is gone."""
        with self._lock:
            job = self._jobs.get(key) if isinstance(key, str) else None
            if job is None:
                raise BadInput("This is no longer being made; ask for it again.")
            job.looked = time.monotonic()
            if job.answer is not None:
                del self._jobs[str(key)]
                return dict(job.answer)
        return {"job": key, "share": job.done, "doing": job.message}

    def knows(self, key: object) -> bool:
        """Whether a job can still be looked at: neither given up nor already answered."""
        with self._lock:
            return isinstance(key, str) and key in self._jobs

    def cancel(self, key: object) -> None:
        """Give a job up; it stops at its next step. Nothing happens when there is no such job."""
        with self._lock:
            job = self._jobs.pop(key, None) if isinstance(key, str) else None
        if job is not None:
            job.unwanted = True

    def _forgotten(self, job: _Job) -> bool:
        return job.ended.is_set() and time.monotonic() - job.looked > self._patience

    def _run(self, job: _Job, work: Work) -> None:
        def tell(done: float, message: str) -> None:
            job.done, job.message = done, message

        def is_unwanted() -> bool:
            return job.unwanted or time.monotonic() - job.looked > self._patience

        try:
            job.answer = {"answer": work(tell, is_unwanted)}
        except WorkbenchError as error:
            job.answer = {"error": str(error)}
        except Exception:
            _log.exception("a job of the page failed")
            job.answer = {"error": BUG}
        finally:
            job.ended.set()
