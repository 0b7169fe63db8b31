"""A bounded memory of results that are costly to make, where two threads that want the same thing make it once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

V = TypeVar("V")
_LOOK_UP = 0.2
"""Seconds between two calls of `waiting`."""


class Once(Generic[V]):
    """Results by key; the least recently used is forgotten first. Safe to share between threads.

    Args:
        max_entries: how many results are kept.
        max_bytes: how much they may weigh together, by `weigh`; one result alone may weigh more. None is no limit.
        weigh: bytes of one result.
        room_first: make room for a result before it is begun, what is being made counted in: for what would not fit beside so
            many others, though one that fails has then cost another its place.
    """

    def __init__(
        self,
        *,
        max_entries: int,
        max_bytes: int | None = None,
        weigh: Callable[[V], int] | None = None,
        room_first: bool = False,
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._weigh = weigh
        self._room_first = room_first
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, V] = OrderedDict()
        self._begun: dict[Hashable, Future[V]] = {}

    def get(
        self,
        key: Hashable,
        make: Callable[[], V],
        *,
        stale: V | None = None,
        waiting: Callable[[], None] | None = None,
    ) -> V:
        """Return the result of `key`, made by `make` unless it is known; a thread that comes second waits for the first.

        What `make` raises reaches everyone who waited, and is not remembered. `make` must not ask for its own key.
        A result that is the object `stale` is made anew; it stays until the new one is there, and when `make` raises.
        `waiting` is called several times a second by a thread that waits; what it raises ends that thread's wait alone.
        """
        with self._lock:
            found = self._made.get(key)
            if found is not None and found is not stale:
                self._made.move_to_end(key)
                return found
            future = self._begun.get(key)
            mine = future is None
            if future is None:
                future = self._begun[key] = Future()
                if self._room_first:
                    self._forget(spare=0)
        if not mine:
            return _result(future, waiting)
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._begun[key]
            future.set_exception(error)
            raise
        with self._lock:
            del self._begun[key]
            self._made[key] = value
            self._made.move_to_end(key)
            self._forget(spare=1)
        future.set_result(value)
        return value

    def peek(self, key: Hashable) -> V | None:
        """Return the result of `key` if it is there already, else None; waits for nobody."""
        with self._lock:
            found = self._made.get(key)
            if found is not None:
                self._made.move_to_end(key)
            return found

    def __len__(self) -> int:
        with self._lock:
            return len(self._made)

    def _forget(self, *, spare: int) -> None:
        """Keep within the bounds, but keep as many results whatever they are. To be called with the lock."""
        held = len(self._begun) if self._room_first else 0
        while len(self._made) > spare and (held + len(self._made) > self._max_entries or self._is_heavy()):
            self._made.popitem(last=False)

    def _is_heavy(self) -> bool:
        if self._max_bytes is None or self._weigh is None:
            return False
        return sum(map(self._weigh, self._made.values())) > self._max_bytes


def _result(future: Future[V], waiting: Callable[[], None] | None) -> V:
    while waiting is not None and not future.done():
        waiting()
        wait([future], timeout=_LOOK_UP)
    return future.result()
