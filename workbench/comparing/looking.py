"""Whether two checkpoints look at the same places: rank correlation of their attention on the image, beside its chance."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from workbench.comparing.matching import SHUFFLES
from workbench.comparing.reading import Reading
from workbench.comparing.scores import SEED, estimate
from workbench.comparison import Look, Match
from workbench.stats import bootstrap_interval, ranks
from workbench.stats_spaces import permutation_p


def liken_looks(
    readings: tuple[Reading, Reading], rows: Int[np.ndarray, " n"], matches: Sequence[Match]
) -> tuple[Look, ...]:
    """How far attention on the image agrees, of each think token with its counterpart, and of the embed token.

    By chance each sample's map is set beside maps of the other samples whose images are cut into the same patches. What is
    left there is what both do on any image: looking at its middle, or at one corner that takes attention up (a sink). A sample
    whose image is cut like no other has no chance; the agreement of those that have one is told beside it.

    Args:
        readings: the reference and the other.
        rows: samples that are measured; all of them cut into the same patches by both.
        matches: which think tokens go together.
    """
    rows = np.array([row for row in rows.tolist() if readings[0].rows[row].grids], dtype=np.int64)
    if not len(rows):
        return ()
    tokens = [(one.reference, one.other) for one in matches if one.reference is not None and one.other is not None]
    # Attention rows are those of the think tokens, then that of the embed token.
    places = [*((a - 1, b - 1) for a, b in tokens), (readings[0].info.n_think, readings[1].info.n_think)]
    groups = [_maps(readings, group, places) for group in _groups(readings[0], rows)]
    return tuple(
        _look([(one[:, at], other[:, at]) for one, other in groups], think) for at, think in enumerate([*tokens, ()])
    )


def _groups(reading: Reading, rows: Int[np.ndarray, " n"]) -> Iterator[list[int]]:
    """Samples whose images are cut alike, so that any of their maps may stand beside any other."""
    found: dict[tuple[tuple[int, int, int], ...], list[int]] = defaultdict(list)
    for row in rows.tolist():
        found[tuple((grid.frames, grid.rows, grid.cols) for grid in reading.rows[row].grids)].append(row)
    yield from found.values()


def _maps(
    readings: tuple[Reading, Reading], group: Sequence[int], places: Sequence[tuple[int, int]]
) -> tuple[Float[np.ndarray, "n tokens cells"], Float[np.ndarray, "n tokens cells"]]:
    """Maps of both sides as ranks, centred and of length 1: their products are Spearman's correlations."""
    one, other = (
        _units(np.stack([reading.attention(row)[[place[side] for place in places]] for row in group]))
        for side, reading in enumerate(readings)
    )
    return one, other


def _units(maps: Float[np.ndarray, "n tokens cells"]) -> Float[np.ndarray, "n tokens cells"]:
    held = ranks(maps)
    held -= held.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(held, axis=-1, keepdims=True)
    # A map that is the same everywhere orders nothing, so it agrees with nothing: 0, as `stats.spearman` has it.
    return np.divide(held, length, out=np.zeros_like(held), where=length > 0)


def _look(
    groups: Sequence[tuple[Float[np.ndarray, "_n _cells"], Float[np.ndarray, "_n _cells"]]], think: tuple[int, ...]
) -> Look:
    tables = [one @ other.T for one, other in groups]
    own = np.concatenate([table.diagonal() for table in tables])
    alike = [table for table in tables if len(table) > 1]
    there = chance = p = None
    if alike:
        there = float(np.concatenate([table.diagonal() for table in alike]).mean())
        # Of what stands off the diagonal, each sample with all the others of its group.
        strange = [(table.sum() - table.trace()) / (len(table) - 1) for table in alike]
        chance = float(sum(strange) / sum(map(len, alike)))
        p = permutation_p(there, _shuffled(alike))
    return Look(
        think=think,
        n=len(own),
        agreement=estimate(bootstrap_interval(own, seed=SEED)),
        chance=chance,
        chance_n=sum(map(len, alike)),
        chance_agreement=there,
        p=p,
    )


def _shuffled(tables: Sequence[Float[np.ndarray, "_n _n"]]) -> Float[np.ndarray, " m"]:
    """Mean agreement with the samples of the other side in other orders, within their groups."""
    generator = np.random.default_rng(SEED)
    sums = np.zeros(SHUFFLES)
    for table in tables:
        for place in range(SHUFFLES):
            sums[place] += table[np.arange(len(table)), generator.permutation(len(table))].sum()
    return sums / sum(map(len, tables))
