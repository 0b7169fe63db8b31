"""A lock that is given to those who wait in the order in which they came, and that a long job can hand on half-way."""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """One thread at a time, first come, first served. Not to be entered twice by one thread.

    Python's own lock goes to whoever is quickest, which is the thread that has just let it go.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    def __enter__(self) -> None:
        with self._changed:
            self._line_up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._waiting.popleft()
            self._changed.notify_all()

    def give_way(self) -> None:
        """Let everyone who waits go first, then go on; returns at once when nobody does. Only the holder calls it."""
        with self._changed:
            if len(self._waiting) > 1:
                self._waiting.popleft()
                self._changed.notify_all()
                self._line_up()

    def _line_up(self) -> None:
        mine = object()
        self._waiting.append(mine)
        self._changed.wait_for(lambda: self._waiting[0] is mine)
