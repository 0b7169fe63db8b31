"""How alike two checkpoints' spaces are: embeddings and thoughts, by neighbours first, then CKA and Procrustes, each with its chance.

Everything is measured on the same samples, which both could read; of many, on a seeded draw.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from workbench.comparing.matching import Pairs, Shuffles, left_over, match, place_of, shuffle
from workbench.comparing.reading import Reading
from workbench.comparing.scores import SEED, estimate
from workbench.comparison import Grid, Likeness, Match
from workbench.stats import bootstrap_interval, overlap
from workbench.stats_spaces import (
    centred_points,
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
_RESIDUAL_SHUFFLES = 9


@dataclass(frozen=True, slots=True)
class Space:
    """Vectors of the measured samples, as each figure needs them, made once."""

    points: Float[np.ndarray, "n dims"]
    """About their mean, in at most n dimensions."""
    near: Int[np.ndarray, "n k"]
    kernel: Float[np.ndarray, "n n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thoughts:
    """Likeness of the thoughts of two checkpoints."""

    likeness: tuple[Likeness, ...]
    """At the last layers: of their mean, then of each pair."""
    by_depth: tuple[Likeness, ...]
    """The same at every layer of the reference and the layer of like depth of the other."""
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
    return Space(centred_points(vectors), unit_neighbours(vectors, n_neighbours(len(vectors))), u_centred(vectors))


def liken(
    one: Sequence[Space],
    other: Sequence[Space],
    pair: tuple[int, int],
    drawn: Shuffles,
    of: Literal["embedding", "thoughts", "thought"],
    layer: tuple[int, ...] = (),
) -> Likeness:
    """All figures of two spaces, each beside what it reads over shuffled samples.

    Args:
        one: spaces of the reference.
        other: of the other checkpoint.
        pair: places of the two.
        drawn: the shuffles. Where likeness chose the pairs, the two are held against those chosen in each shuffle.
        of: what the spaces are of.
        layer: their layers, to be told.
    """
    mine, yours = one[pair[0]], other[pair[1]]
    n, k = mine.near.shape
    at = pair[place_of(len(one), len(other))]
    overlaps, ckas, residuals = _by_chance(one, other, at, drawn)
    shared, cka = overlap(mine.near, yours.near), debiased_cka(mine.kernel, yours.kernel)
    return Likeness(
        of=of,
        think=(pair[0] + 1, pair[1] + 1) if of == "thought" else (),
        layer=layer,
        n=n,
        neighbours=k,
        overlap=estimate(bootstrap_interval(shared, seed=SEED)),
        overlap_chance=float(overlaps.mean()) if drawn.matched else k / (n - 1),
        overlap_p=permutation_p(float(shared.mean()), overlaps),
        cka=cka,
        cka_chance=float(ckas.mean()),
        cka_p=permutation_p(cka, ckas),
        residual=procrustes_residual(mine.points, yours.points),
        residual_chance=float(residuals.mean()),
    )


def liken_alone(
    one: Space, other: Space, of: Literal["embedding", "thoughts"], layer: tuple[int, ...] = ()
) -> Likeness:
    """All figures of two spaces that were not chosen among others."""
    return liken((one,), (other,), (0, 0), shuffle(len(one.near)), of, layer)


def liken_thoughts(
    one: Reading, other: Reading, at: Int[np.ndarray, " n"], tell: Callable[[float], None] = lambda _: None
) -> Thoughts:
    """Compare think tokens layer by layer, token by token at the last layer, and matched ones at every layer.

    Args:
        one: the reference; both have think tokens.
        other: another checkpoint, of any number of layers and think tokens and any width.
        at: rows that are measured, at least 4.
        tell: told the share done before each layer; may raise to stop.
    """
    readings = (one, other)
    layers = [
        [make_space(_pooled(reading, layer, at)) for layer in range(reading.info.n_layers)] for reading in readings
    ]
    names = [_names("layer", len(spaces)) for spaces in layers]
    grid = _grid(layers[0], layers[1], names[0], names[1])
    n_layers = len(layers[0])
    like = [like_depth(layer, n_layers, len(layers[1])) for layer in range(n_layers)]
    steps = [_steps(reading, reading.info.n_layers - 1, at) for reading in readings]
    n, m = len(steps[0]), len(steps[1])
    by_step = _grid(steps[0], steps[1], _names("think", n), _names("think", m))
    # Of equally many each has its counterpart; otherwise likeness decides who goes with whom.
    pairs, drawn = _pair_up(steps[0], steps[1])
    pooled: list[Likeness] = []
    single: list[Likeness] = []
    for layer, deep in enumerate(like):
        tell(layer / n_layers)
        told = (layer + 1, deep + 1)
        pooled.append(liken_alone(layers[0][layer], layers[1][deep], "thoughts", told))
        mine, yours = steps if layer == n_layers - 1 else (_steps(one, layer, at), _steps(other, deep, at))
        single += [liken(mine, yours, pair, drawn, "thought", told) for pair in pairs]
    matches = (
        Match(reference=a + 1, other=b + 1, overlap=float(by_step.overlap[a, b]), cka=float(by_step.cka[a, b]))
        for a, b in pairs
    )
    return Thoughts(
        likeness=(pooled[-1], *single[-len(pairs) :]),
        by_depth=(*pooled, *single),
        layers=grid,
        steps=by_step,
        depths=_depths(single, pairs, n_layers == other.info.n_layers),
        matches=(*matches, *left_over(pairs, n, m)),
    )


def like_depth(layer: int, n: int, m: int) -> int:
    """The layer of m that stands as deep as this one of n, from 0; the last for the last."""
    return round(layer * (m - 1) / (n - 1)) if n > 1 else m - 1


def _pair_up(one: Sequence[Space], other: Sequence[Space]) -> tuple[Pairs, Shuffles]:
    if len(one) == len(other):
        return [(k, k) for k in range(len(one))], shuffle(len(one[0].near), len(one))
    return match(np.stack([space.near for space in one]), np.stack([space.near for space in other]))


def _by_chance(
    one: Sequence[Space], other: Sequence[Space], at: int, drawn: Shuffles
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, " few"]]:
    """Overlap, CKA and residual of the pair at a place under every shuffle; the residual, which is slow, under a few."""
    overlaps, ckas = np.empty(len(drawn.orders)), np.empty(len(drawn.orders))
    taken = drawn.pairs[:, at]
    for a, b in np.unique(taken, axis=0).tolist():
        here = np.flatnonzero((taken == (a, b)).all(axis=1))
        overlaps[here] = shuffled_overlap(one[a].near, other[b].near, drawn.orders[here])
        ckas[here] = shuffled_cka(one[a].kernel, other[b].kernel, drawn.orders[here])
    residuals = [
        procrustes_residual(one[a].points, other[b].points[order])
        for (a, b), order in zip(taken[:_RESIDUAL_SHUFFLES].tolist(), drawn.orders, strict=False)
    ]
    return overlaps, ckas, np.array(residuals)


def _depths(found: Sequence[Likeness], pairs: Pairs, same: bool) -> Grid:
    """What was found of the pairs at each layer, one layer after the other, as a table."""
    rows = [found[begin : begin + len(pairs)] for begin in range(0, len(found), len(pairs))]
    return Grid(
        rows=tuple(f"layer {a}" if same else f"layer {a} | {b}" for a, b in (row[0].layer for row in rows)),
        cols=tuple(f"think {a + 1} | {b + 1}" for a, b in pairs),
        overlap=np.array([[one.overlap.value for one in row] for row in rows], dtype=np.float32),
        cka=np.array([[one.cka for one in row] for row in rows], dtype=np.float32),
        overlap_chance=float(np.mean([one.overlap_chance for one in found])),
        n=found[0].n,
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
