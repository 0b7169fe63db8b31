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
        max_entries: how many results are kept, one that is being made counted in: room for it is made before it is begun.
        max_bytes: how much they may weigh together, by `weigh`; one result alone may weigh more. None is no limit.
        weigh: bytes of one result.
    """

    def __init__(
        self, *, max_entries: int, max_bytes: int | None = None, weigh: Callable[[V], int] | None = None
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._weigh = weigh
        self._lock = threading.Lock()
        self._futures: OrderedDict[Hashable, Future[V]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V], *, waiting: Callable[[], None] | None = None) -> V:
        """Return the result of `key`, made by `make` unless it is known; a thread that comes second waits for the first.

        What `make` raises reaches everyone who waited, and is not remembered. `make` must not ask for its own key.
        `waiting` is called several times a second by a thread that waits; what it raises ends that thread's wait alone.
        """
        with self._lock:
            future = self._futures.get(key)
            mine = future is None
            if future is None:
                future = self._futures[key] = Future()
                self._forget(spare=0)
            else:
                self._futures.move_to_end(key)
        if not mine:
            return _result(future, waiting)
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                self._futures.pop(key, None)
            future.set_exception(error)
            raise
        future.set_result(value)
        with self._lock:
            self._forget(spare=1)
        return value

    def peek(self, key: Hashable) -> V | None:
        """Return the result of `key` if it is there already, else None; waits for nobody."""
        with self._lock:
            future = self._futures.get(key)
            if future is None or not future.done():
                return None
            self._futures.move_to_end(key)
        return future.result()

    def forget(self, key: Hashable) -> None:
        """Make the result of `key` anew the next time; one that is being made is left alone."""
        with self._lock:
            future = self._futures.get(key)
            if future is not None and future.done():
                del self._futures[key]

    def __len__(self) -> int:
        with self._lock:
            return len(self._futures)

    def _forget(self, *, spare: int) -> None:
        """Keep within the bounds, but keep as many results whatever they are. To be called with the lock."""
        done = [key for key, future in self._futures.items() if future.done()]
        while len(done) > spare and (len(self._futures) > self._max_entries or self._is_heavy(done)):
            del self._futures[done.pop(0)]

    def _is_heavy(self, keys: list[Hashable]) -> bool:
        if self._max_bytes is None or self._weigh is None:
            return False
        return sum(self._weigh(self._futures[key].result()) for key in keys) > self._max_bytes


def _result(future: Future[V], waiting: Callable[[], None] | None) -> V:
    while waiting is not None and not future.done():
        waiting()
        wait([future], timeout=_LOOK_UP)
    return future.result()
