"""Random draws that are the same on every machine and under every numpy version."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
_AT_ONCE = 32


class Dice:
    """Draws from a PCG64 stream keyed by integers.

    Only the raw stream is used: numpy promises that one for good, and not the methods of `Generator`.
    """

    __slots__ = ("_ahead", "_bits")

    def __init__(self, *key: int) -> None:
        """`key`: non-negative integers; equal keys give equal draws, different keys unrelated ones."""
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._ahead: list[int] = []

    def below(self, n: int) -> int:
        """A whole number in [0, n), for n up to 2**32."""
        if not self._ahead:
            # Many at once: asking numpy costs more than drawing.
            self._ahead = self._bits.random_raw(_AT_ONCE)[::-1].tolist()
        return (self._ahead.pop() >> 32) * n >> 32

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high], both ends included."""
        return low + self.below(high - low + 1)

    def choice(self, options: Sequence[T]) -> T:
        """One of `options`, which must not be empty."""
        return options[self.below(len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[int]) -> T:
        """One of `options`, in proportion to whole-number `weights`."""
        left = self.below(sum(weights))
        for option, weight in zip(options, weights, strict=True):
            left -= weight
            if left < 0:
                return option
        raise AssertionError("weights add up to less than their sum")

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """All of `options` in random order."""
        return self.sample(options, len(options))

    def sample(self, options: Sequence[T], n: int) -> list[T]:
        """`n` different entries of `options` in random order."""
        pool = list(options)
        for i in range(n):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:n]
