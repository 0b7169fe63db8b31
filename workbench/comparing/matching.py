"""Which think tokens of two checkpoints go together, and who would go with whom where nothing joins the two.

A match is the best of many, so it reads above the chance of a pair that was fixed beforehand. What it is held against is
therefore the best of as many: each shuffle of the samples is matched anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from workbench.comparing.scores import SEED
from workbench.comparison import Match

SHUFFLES = 199
"""So the smallest p is 0.005."""
Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffles:
    """The other checkpoint's samples in other orders, with the pairs that are compared under each of them."""

    orders: Int[np.ndarray, "shuffles n"]
    pairs: Int[np.ndarray, "shuffles pairs 2"]
    """Place of the reference's and of the other's space; a pair stands at its place on the side that has fewer."""
    matched: bool = False
    """Whether likeness chose the pairs."""


def shuffle(n: int, n_pairs: int = 1) -> Shuffles:
    """Orders of n samples under pairs that are fixed beforehand, each with its like."""
    generator = np.random.default_rng(SEED)
    orders = np.stack([generator.permutation(n) for _ in range(SHUFFLES)])
    pairs = np.broadcast_to(np.arange(n_pairs)[None, :, None], (SHUFFLES, n_pairs, 2))
    return Shuffles(orders=orders, pairs=pairs)


def match(
    one: Int[np.ndarray, "rows n k"], other: Int[np.ndarray, "cols n k"]
) -> tuple[list[tuple[int, int]], Shuffles]:
    """Pair think tokens so that the neighbours they share sum to the most, each used once (the Hungarian method).

    Args:
        one: the nearest k of each sample, by think tokens of the reference.
        other: likewise of the other; of another number of think tokens.

    Returns:
        The pairs by the reference's token, and shuffles of the samples, each with the pairs that it would have.
    """
    drawn = shuffle(one.shape[1])
    n = one.shape[1]
    near = np.zeros((len(one), n, n), dtype=bool)
    np.put_along_axis(near, one.astype(np.intp), True, axis=2)
    shuffled = []
    for order in drawn.orders:
        place = np.empty(n, dtype=np.intp)
        place[order] = np.arange(n)
        shuffled.append(_best(_shared(near, place[other[:, order]])))
    pairs = _best(_shared(near, other.astype(np.intp)))
    side = place_of(len(one), len(other))
    by_place = np.array([sorted(found, key=lambda pair: pair[side]) for found in shuffled])
    return pairs, Shuffles(orders=drawn.orders, pairs=by_place, matched=True)


def place_of(n: int, m: int) -> int:
    """Which of a pair's two numbers is its place among the pairs of n and m: that of the side that has fewer."""
    return 0 if n <= m else 1


def by_position(n: int, m: int) -> tuple[Match, ...]:
    """Think tokens matched by their place alone, for too few samples to tell how alike they are."""
    pairs = [(k, k) for k in range(min(n, m))]
    found = tuple(Match(reference=a + 1, other=b + 1, overlap=None, cka=None) for a, b in pairs)
    return (*found, *left_over(pairs, n, m))


def left_over(pairs: Pairs, n: int, m: int) -> tuple[Match, ...]:
    """Think tokens that no pair took."""
    mine, yours = ({pair[side] for pair in pairs} for side in (0, 1))
    return (
        *(Match(reference=a + 1, other=None, overlap=None, cka=None) for a in range(n) if a not in mine),
        *(Match(reference=None, other=b + 1, overlap=None, cka=None) for b in range(m) if b not in yours),
    )


def _shared(near: Bool[np.ndarray, "rows n n"], other: Int[np.ndarray, "cols n k"]) -> Int[np.ndarray, "rows cols"]:
    """Neighbours that each two have in common, counted over all samples: whole numbers, so that ties stay ties."""
    rows, n, _ = near.shape
    flat = near.reshape(rows, n * n)
    places = (np.arange(n)[:, None] * n + other).reshape(len(other), -1)
    return np.stack([flat[:, one].sum(axis=1) for one in places], axis=1)


def _best(shared: Int[np.ndarray, "rows cols"]) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment

    rows, cols = linear_sum_assignment(shared, maximize=True)
    return sorted(zip(rows.tolist(), cols.tolist(), strict=True))
