"""Progress and timing of work that goes through named stages."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Is told how far something has come."""

    def __call__(self, done: float, message: str) -> None:
        """`done` from 0 to 1, and what is being done in a few plain words."""


def quiet(done: float, message: str) -> None:
    """Tell nobody."""
    del done, message


def part_of(progress: Callable[[float, str], None], begin: float, share: float, told: str = "") -> Progress:
    """A progress whose whole is a part of another's; `told` stands for whatever the part says."""

    def tell(done: float, message: str) -> None:
        progress(begin + share * done, told or message)

    return tell


class StageClock:
    """Tells stages to whoever listens, and keeps their seconds."""

    def __init__(self, progress: Progress | None, *, n_stages: int) -> None:
        self._progress = progress
        self._n_stages = n_stages
        self._seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str, message: str) -> Iterator[None]:
        """Announce a stage and time it, even when it fails."""
        if self._progress is not None:
            self._progress(min(1.0, len(self._seconds) / self._n_stages), message)
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = time.perf_counter() - start

    def finish(self) -> dict[str, float]:
        """Announce the end; return the seconds of each stage, and `total` since the clock was made."""
        if self._progress is not None:
            self._progress(1.0, "Done")
        return self._seconds | {"total": time.perf_counter() - self._start}
