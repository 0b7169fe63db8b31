"""How alike two checkpoints' spaces are: embeddings and thoughts, by neighbours first, then CKA and Procrustes, each with its chance.

Everything is measured on the same samples, which both could read; of many, on a seeded draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from workbench.comparing.reading import Reading
from workbench.comparing.scores import SEED, estimate
from workbench.comparison import Grid, Likeness, Match
from workbench.stats import bootstrap_interval, overlap
from workbench.stats_spaces import (
    LEAST,
    debiased_cka,
    permutation_p,
    procrustes_residual,
    shuffled_cka,
    shuffled_overlap,
    u_centred,
    unit_neighbours,
)

MEASURED = 500
"""Samples beyond which some are drawn: matrices of n x n for every layer must fit, and more of them sharpen little."""
NEIGHBOURS = 10
SHUFFLES = 199
"""So the smallest p is 0.005."""
_RESIDUAL_SHUFFLES = 9


@dataclass(frozen=True, slots=True)
class Space:
    """Vectors of the measured samples, with what is compared of them made once."""

    vectors: Float[np.ndarray, "n dim"]
    near: Int[np.ndarray, "n k"]
    kernel: Float[np.ndarray, "n n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thoughts:
    """Likeness of the thoughts of two checkpoints."""

    likeness: tuple[Likeness, ...]
    layers: Grid
    steps: Grid
    depths: Grid
    matches: tuple[Match, ...]


def n_neighbours(n: int) -> int:
    """Neighbours that are looked at among n samples: 10, or fewer than half of them."""
    return max(1, min(NEIGHBOURS, (n - 1) // 2))


def draw_measured(common: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """The samples that spaces are measured on, in order."""
    drawn = np.random.default_rng(SEED).permutation(len(common))[:MEASURED]
    return common[np.sort(drawn)]


def make_space(vectors: Float[np.ndarray, "n dim"]) -> Space:
    """What is compared of some vectors. Raises ValueError for fewer than 4."""
    return Space(vectors, unit_neighbours(vectors, n_neighbours(len(vectors))), u_centred(vectors))


def liken(
    one: Space,
    other: Space,
    of: Literal["embedding", "thoughts", "thought"],
    *,
    think: tuple[int, ...] = (),
    layer: tuple[int, ...] = (),
) -> Likeness:
    """All figures of two spaces, with permutation tests; the numbers only name what was compared."""
    n, k = one.near.shape
    generator = np.random.default_rng(SEED)
    orders = np.stack([generator.permutation(n) for _ in range(SHUFFLES)])
    shared = overlap(one.near, other.near)
    cka, null = debiased_cka(one.kernel, other.kernel), shuffled_cka(one.kernel, other.kernel, orders)
    by_chance = [procrustes_residual(one.vectors, other.vectors[order]) for order in orders[:_RESIDUAL_SHUFFLES]]
    return Likeness(
        of=of,
        think=think,
        layer=layer,
        n=n,
        neighbours=k,
        overlap=estimate(bootstrap_interval(shared, seed=SEED)),
        overlap_chance=k / (n - 1),
        overlap_p=permutation_p(float(shared.mean()), shuffled_overlap(one.near, other.near, orders)),
        cka=cka,
        cka_chance=float(null.mean()),
        cka_p=permutation_p(cka, null),
        residual=procrustes_residual(one.vectors, other.vectors),
        residual_chance=float(np.mean(by_chance)),
    )


def liken_thoughts(one: Reading, other: Reading, at: Int[np.ndarray, " n"]) -> Thoughts:
    """Compare think tokens layer by layer, token by token at the last layer, and matched ones at every layer.

    Args:
        one: the reference; both have think tokens.
        other: another checkpoint, of any number of layers and think tokens and any width.
        at: rows that are measured, at least 4.
    """
    layers = [
        [make_space(_pooled(reading, layer, at)) for layer in range(reading.info.n_layers)] for reading in (one, other)
    ]
    grid = _grid(layers[0], layers[1], _names("layer", len(layers[0])), _names("layer", len(layers[1])))
    last = (one.info.n_layers, other.info.n_layers)
    likeness = [liken(layers[0][-1], layers[1][-1], "thoughts", layer=last)]
    del layers
    steps = [_steps(reading, reading.info.n_layers - 1, at) for reading in (one, other)]
    by_step = _grid(steps[0], steps[1], _names("think", len(steps[0])), _names("think", len(steps[1])))
    n, m = len(steps[0]), len(steps[1])
    # Of equally many each has its counterpart; otherwise likeness decides who goes with whom.
    pairs = [(k, k) for k in range(n)] if n == m else match(by_step.overlap)
    likeness += [liken(steps[0][a], steps[1][b], "thought", think=(a + 1, b + 1), layer=last) for a, b in pairs]
    matches = tuple(
        Match(reference=a + 1, other=b + 1, overlap=float(by_step.overlap[a, b]), cka=float(by_step.cka[a, b]))
        for a, b in pairs
    )
    return Thoughts(
        likeness=tuple(likeness),
        layers=grid,
        steps=by_step,
        depths=_depths(one, other, at, pairs),
        matches=(*matches, *left_over(pairs, n, m)),
    )


def match(likeness: Float[np.ndarray, "rows cols"]) -> list[tuple[int, int]]:
    """Pairs of rows and columns, each used once, whose likeness sums to the most (the Hungarian method), by row."""
    from scipy.optimize import linear_sum_assignment

    rows, cols = linear_sum_assignment(likeness, maximize=True)
    return sorted(zip(rows.tolist(), cols.tolist(), strict=True))


def by_position(n: int, m: int) -> tuple[Match, ...]:
    """Think tokens matched by their place alone, for too few samples to tell how alike they are."""
    pairs = [(k, k) for k in range(min(n, m))]
    found = tuple(Match(reference=a + 1, other=b + 1, overlap=None, cka=None) for a, b in pairs)
    return (*found, *left_over(pairs, n, m))


def left_over(pairs: Sequence[tuple[int, int]], n: int, m: int) -> tuple[Match, ...]:
    """Think tokens that no pair took."""
    mine, yours = ({pair[side] for pair in pairs} for side in (0, 1))
    return (
        *(Match(reference=a + 1, other=None, overlap=None, cka=None) for a in range(n) if a not in mine),
        *(Match(reference=None, other=b + 1, overlap=None, cka=None) for b in range(m) if b not in yours),
    )


def like_depth(layer: int, n: int, m: int) -> int:
    """The layer of m that stands as deep as this one of n, from 0; the last for the last."""
    return round(layer * (m - 1) / (n - 1)) if n > 1 else m - 1


def _depths(one: Reading, other: Reading, at: Int[np.ndarray, " n"], pairs: Sequence[tuple[int, int]]) -> Grid:
    n, m = one.info.n_layers, other.info.n_layers
    rows = []
    for layer in range(n):
        mine, yours = _steps(one, layer, at), _steps(other, like_depth(layer, n, m), at)
        rows.append(
            [
                (overlap(mine[a].near, yours[b].near).mean(), debiased_cka(mine[a].kernel, yours[b].kernel))
                for a, b in pairs
            ]
        )
    values = np.array(rows, dtype=np.float32).reshape(n, len(pairs), 2)
    deep = tuple(
        f"layer {layer + 1}" if n == m else f"layer {layer + 1} | {like_depth(layer, n, m) + 1}" for layer in range(n)
    )
    return Grid(
        rows=deep,
        cols=tuple(f"think {a + 1} | {b + 1}" for a, b in pairs),
        overlap=np.ascontiguousarray(values[..., 0]),
        cka=np.ascontiguousarray(values[..., 1]),
        overlap_chance=n_neighbours(len(at)) / (len(at) - 1),
        n=len(at),
    )


def _grid(rows: Sequence[Space], cols: Sequence[Space], row_names: Sequence[str], col_names: Sequence[str]) -> Grid:
    n, k = rows[0].near.shape
    shared = [[overlap(one.near, other.near).mean() for other in cols] for one in rows]
    cka = [[debiased_cka(one.kernel, other.kernel) for other in cols] for one in rows]
    return Grid(
        rows=tuple(row_names),
        cols=tuple(col_names),
        overlap=np.array(shared, dtype=np.float32),
        cka=np.array(cka, dtype=np.float32),
        overlap_chance=k / (n - 1),
        n=n,
    )


def _names(what: str, n: int) -> tuple[str, ...]:
    return tuple(f"{what} {number}" for number in range(1, n + 1))


def _pooled(reading: Reading, layer: int, at: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n width"]:
    return reading.states(layer)[at].mean(axis=1)


def _steps(reading: Reading, layer: int, at: Int[np.ndarray, " n"]) -> list[Space]:
    states = reading.states(layer)[at]
    return [make_space(np.ascontiguousarray(states[:, k])) for k in range(states.shape[1])]


__all__ = [
    "LEAST",
    "Space",
    "Thoughts",
    "by_position",
    "draw_measured",
    "like_depth",
    "liken",
    "liken_thoughts",
    "make_space",
    "match",
    "n_neighbours",
]
