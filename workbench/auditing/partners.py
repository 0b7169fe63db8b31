"""Whose thoughts are given to whom: other samples, always such with another right candidate, fixed by the seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from workbench.comparing.question import Question

_TRIES = 64
_ROWS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Partners:
    """For each row of the question the row it gets thoughts from; -1 where there is none."""

    random: Int[np.ndarray, " rows"]
    nearest: Int[np.ndarray, " rows"]
    mixed: Int[np.ndarray, "rows think"]
    """One for each think token."""
    image: Int[np.ndarray, " rows"]
    """Two rows with different images are each other's partner, within a part."""


def find_partners(
    question: Question, embeddings: Float[np.ndarray, "rows dim"], *, n_think: int, size: int, seed: int
) -> Partners:
    """Draw partners for every row that was read.

    Args:
        question: the rows.
        embeddings: NaN for a row that could not be read.
        n_think: thoughts of a sample.
        size: rows of a part.
        seed: of the draws.
    """
    read = np.isfinite(embeddings[:, 0]) if embeddings.shape[1] else np.zeros(len(embeddings), dtype=bool)
    groups = _groups(question)
    draw = np.random.default_rng([seed, 1])
    usable = np.flatnonzero(read)
    random = np.full(len(read), -1)
    mixed = np.full((len(read), n_think), -1)
    for row in usable.tolist():
        random[row] = _other(row, usable, groups, draw)
        mixed[row] = [_other(row, usable, groups, draw) for _ in range(n_think)]
    return Partners(
        random=random,
        nearest=_nearest(embeddings, usable, groups),
        mixed=mixed,
        image=_by_image(question, read, size),
    )


def _groups(question: Question) -> Int[np.ndarray, " rows"]:
    """Equal for rows with the same right candidate, or, where none is known, with the same query."""
    seen: dict[object, int] = {}
    found = []
    for row in question.rows:
        query = None if row.pair is None else row.pair.query
        key = row.target if row.target is not None else (None if query is None else query.id)
        found.append(seen.setdefault(key, len(seen)))
    return np.array(found)


def _other(row: int, usable: np.ndarray, groups: np.ndarray, draw: np.random.Generator) -> int:
    for _ in range(_TRIES):
        other = int(usable[draw.integers(len(usable))])
        if groups[other] != groups[row]:
            return other
    others = usable[groups[usable] != groups[row]]
    return int(others[draw.integers(len(others))]) if others.size else -1


def _nearest(embeddings: np.ndarray, usable: np.ndarray, groups: np.ndarray) -> Int[np.ndarray, " rows"]:
    found = np.full(len(embeddings), -1)
    for begin in range(0, len(usable), _ROWS):
        rows = usable[begin : begin + _ROWS]
        cosines = embeddings[rows] @ embeddings[usable].T
        cosines[groups[rows][:, None] == groups[usable][None]] = -np.inf
        best = cosines.argmax(axis=1)
        some = np.isfinite(cosines[np.arange(len(rows)), best])
        found[rows[some]] = usable[best[some]]
    return found


def _by_image(question: Question, read: np.ndarray, size: int) -> Int[np.ndarray, " rows"]:
    found = np.full(len(read), -1)
    for begin in range(0, len(read), size):
        waiting: list[tuple[int, Sequence[str]]] = []
        for row in range(begin, min(begin + size, len(read))):
            pair = question.rows[row].pair
            if pair is None or not read[row] or not pair.query.images or not pair.query.text:
                continue
            images = [image.sha256 for image in pair.query.images]
            mate = next((place for place, (_, other) in enumerate(waiting) if other != images), None)
            if mate is None:
                waiting.append((row, images))
                continue
            other, _ = waiting.pop(mate)
            found[row], found[other] = other, row
    return found
