"""How thoughts lie in their space, a layer at a time, from what is on the disk."""

import numpy as np
from jaxtyping import Float

from workbench.audit import Geometry
from workbench.auditing.crossing import FACTORS
from workbench.auditing.figures import estimates
from workbench.comparing.reading import Reading
from workbench.comparison import Estimate
from workbench.stats import Interval, effective_rank, effective_rank_slopes, ratio_interval


def find_geometry(reading: Reading, squares: Float[np.ndarray, "squares layers 4"], seed: int) -> tuple[Geometry, ...]:
    """Figures of every layer. Intervals are over samples, those of the shares of variance over squares of two samples.

    The effective rank is a figure of the whole cloud; its interval is of its linear part in each sample (the delta method), and
    is blind to what all samples of this number share: the rank grows with the samples, up to the width.
    """
    return tuple(_layer(reading, layer, squares, seed) for layer in range(reading.info.n_layers))


def _layer(reading: Reading, layer: int, squares: np.ndarray, seed: int) -> Geometry:
    n_think, width = reading.info.n_think, reading.info.width
    total, n = np.zeros((n_think, width)), 0
    for at, states in reading.states_by_part(layer):
        total += states.sum(axis=0, dtype=np.float64)
        n += len(at)
    mean = total / max(1, n)
    products = np.zeros((n_think, width, width))
    power, away, within, between = [], [], [], []
    for _, some in reading.states_by_part(layer):
        states = some.astype(np.float64)
        moved = states - mean
        products += np.einsum("nkw,nkv->kwv", moved, moved, optimize=True)
        power.append((states**2).sum(axis=(1, 2)))
        away.append((moved**2).sum(axis=(1, 2)))
        unit = states / np.maximum(np.linalg.norm(states, axis=2, keepdims=True), 1e-12)
        within.append(((unit.sum(axis=1) ** 2).sum(axis=1) - n_think) / max(1, n_think * (n_think - 1)))
        if len(unit) > 1:
            between.append((unit * np.roll(unit, 1, axis=0)).sum(axis=2).mean(axis=1))
    columns = {"within": np.concatenate(within)} if n_think > 1 else {}
    told = estimates(columns, seed) | estimates({"between": np.concatenate(between)} if between else {}, seed)
    return Geometry(
        layer=layer + 1,
        spread=_estimate(ratio_interval(np.concatenate(away), np.concatenate(power), seed=seed)),
        cosine_samples=told.get("between"),
        cosine_positions=told.get("within"),
        effective_rank=_rank(reading, layer, mean, products / max(1, n), seed),
        **_shares(squares, layer, seed),
    )


def _rank(
    reading: Reading,
    layer: int,
    mean: Float[np.ndarray, "think width"],
    covariances: Float[np.ndarray, "think width width"],
    seed: int,
) -> Estimate:
    """The effective rank, mean over positions."""
    variances, directions = np.linalg.eigh(covariances)
    slopes = np.stack([effective_rank_slopes(one) for one in variances])
    value = np.mean([effective_rank(one) for one in variances])
    found = []
    for _, some in reading.states_by_part(layer):
        along = np.einsum("nkw,kwi->nki", some.astype(np.float64) - mean, directions, optimize=True)
        found.append(value + ((along**2 - variances) * slopes).sum(axis=2).mean(axis=1))
    return estimates({"rank": np.concatenate(found)}, seed)["rank"]


def _shares(squares: np.ndarray, layer: int, seed: int) -> dict[str, Estimate | None]:
    if not squares.size:
        return {f"by_{factor}": None for factor in FACTORS}
    whole = squares[:, layer].sum(axis=1)
    return {
        f"by_{factor}": _estimate(ratio_interval(squares[:, layer, place], whole, seed=seed))
        for place, factor in enumerate(FACTORS)
    }


def _estimate(found: Interval | None) -> Estimate | None:
    return None if found is None else Estimate(value=found.value, low=found.low, high=found.high, n=found.n)
