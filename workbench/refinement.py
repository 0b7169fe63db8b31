"""Integrals along a way, read more closely where they need it, and known to be right by the changes that they must sum to.

The way [0, 1] is cut into equal sections. Of each target the change over every section is known beforehand (values are cheap,
gradients are not), so the error of a section is measured, not estimated, and only sections that are wrong are read again, at
twice the places, of which half are known already.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from workbench.quadrature import fejer

SECTIONS = 4
COUNTS = (1, 3, 7, 15, 31, 63)
"""Places in a section, one after the other; by Fejer's second rule each one's places are among those of the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Where to read the integrand next, and of which targets."""

    rules: tuple[tuple[int, int], ...]
    """Sections, each with how many places its rule will have. Every second place, the first among them, is fresh."""
    targets: tuple[int, ...]

    @property
    def shares(self) -> Float[np.ndarray, " fresh"]:
        """The fresh places, rule after rule, as shares of the whole way."""
        return np.concatenate([(section + fejer(count)[0][::2]) / SECTIONS for section, count in self.rules])


@final
class Refinement:
    """The integrals of all targets while they are read.

    A target is done when two errors are within `tolerance` of its change over the whole way: that of the sum (the
    completeness gap), and the root of the summed squares over the sections, so that errors of opposite sign do not pass for
    none. `least` is the smallest change that counts as one.
    """

    def __init__(
        self, changes: Float[np.ndarray, "targets sections"], *, n_cells: int, tolerance: float, most: int, least: float
    ) -> None:
        n_targets = len(changes)
        self._changes = changes
        self._allowed = tolerance * np.maximum(np.abs(changes.sum(axis=1)), least)
        self._most = most
        self._level = np.full(changes.shape, -1)
        self._sums = np.zeros((n_targets, SECTIONS, n_cells))
        self._read: dict[tuple[int, int], Float[np.ndarray, "targets cells"]] = defaultdict(
            lambda: np.zeros((n_targets, n_cells))
        )

    @property
    def relevance(self) -> Float[np.ndarray, "targets cells"]:
        """The integrals so far."""
        return self._sums.sum(axis=1)

    @property
    def steps(self) -> Int[np.ndarray, " targets"]:
        """Places read for each target."""
        return np.where(self._level < 0, 0, np.array(COUNTS)[self._level]).sum(axis=1)

    def readings(self) -> Iterator[Reading]:
        """What is to be read, until every target is done or has `most` places. Take each one before asking for the next."""
        everything = tuple(range(len(self._changes)))
        yield Reading(rules=tuple((section, COUNTS[0]) for section in range(SECTIONS)), targets=everything)
        while raised := self._wrong():
            asking: dict[tuple[int, int], list[int]] = defaultdict(list)
            for target, section in raised:
                asking[section, COUNTS[self._level[target, section] + 1]].append(target)
            alike: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
            for rule, targets in sorted(asking.items()):
                alike[tuple(targets)].append(rule)
            for targets, rules in alike.items():
                yield Reading(rules=tuple(rules), targets=targets)

    def take(self, reading: Reading, found: Float[np.ndarray, "targets fresh cells"]) -> None:
        """The integrand at a reading's fresh places, for its targets."""
        targets, begin = list(reading.targets), 0
        for section, count in reading.rules:
            # Places by their number in the longest rule, from 1: the same place has the same number in all rules.
            numbers = range((COUNTS[-1] + 1) // (count + 1), COUNTS[-1] + 1, (COUNTS[-1] + 1) // (count + 1))
            for offset, number in enumerate(numbers[::2]):
                self._read[section, number][targets] = found[:, begin + offset]
            begin += len(numbers[::2])
            weights = fejer(count)[1] / SECTIONS
            self._sums[targets, section] = sum(
                weight * self._read[section, number][targets] for weight, number in zip(weights, numbers, strict=True)
            )
            self._level[targets, section] = COUNTS.index(count)

    def _wrong(self) -> list[tuple[int, int]]:
        """Targets and sections to read more closely: of a target that is not done, what errs by more than its part."""
        errors = self._sums.sum(axis=2) - self._changes
        left = np.maximum(np.abs(errors.sum(axis=1)), np.sqrt((errors**2).sum(axis=1))) > self._allowed
        raised, taken = [], self.steps
        for target in np.flatnonzero(left):
            by_error = [int(section) for section in np.argsort(-np.abs(errors[target]), kind="stable")]
            part = self._allowed[target] / np.sqrt(SECTIONS)
            begun = len(raised)
            for section in by_error:
                level = self._level[target, section]
                enough = len(raised) > begun and abs(errors[target, section]) <= part
                if enough or level + 1 == len(COUNTS):
                    continue
                more = COUNTS[level + 1] - COUNTS[level]
                if taken[target] + more <= self._most:
                    taken[target] += more
                    raised.append((int(target), section))
        return raised
