"""The one home of every formula that more than one file needs. NumPy in, NumPy out; the last axis is the one reduced."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_BLOCK = 4_000_000
"""Resampled indices held at once, so that a bootstrap of a large set stays in constant memory."""


class Interval(NamedTuple):
    """A mean with its confidence interval."""

    value: float
    low: float
    high: float
    n: int


def log_softmax(logits: Float[np.ndarray, "*axes n"]) -> Float[np.ndarray, "*axes n"]:
    """Natural log of the softmax over the last axis. An entry of -inf has probability 0; a row needs a finite entry."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(logits: Float[np.ndarray, "*axes n"]) -> Float[np.ndarray, "*axes n"]:
    """Exponentials that sum to 1 over the last axis, safe for large logits."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def entropy(probabilities: Float[np.ndarray, "*axes n"]) -> Float[np.ndarray, "*axes"]:
    """Shannon entropy in nats over the last axis, whose entries must sum to 1. `0 log 0` is 0; log(n) is the maximum."""
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.asarray(-(probabilities * logs).sum(axis=-1))


def cosine(a: Float[np.ndarray, "*axes n"], b: Float[np.ndarray, "*#axes n"]) -> Float[np.ndarray, "*axes"]:
    """Cosine of the angle between vectors of the last axis, -1 to 1; 0 where either vector is zero."""
    product = (a * b).sum(axis=-1)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.asarray(np.divide(product, norms, out=np.zeros_like(product), where=norms > 0))


def share(weights: Float[np.ndarray, "*axes n"], member: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "*axes"]:
    """Part of the (non-negative) weights of the last axis that lies on the members, 0 to 1; 0 where all weights are 0."""
    total = weights.sum(axis=-1)
    inside = weights[..., member].sum(axis=-1)
    return np.asarray(np.divide(inside, total, out=np.zeros_like(inside), where=total > 0))


def top_k(values: Float[np.ndarray, "*axes n"], k: int) -> Int[np.ndarray, "*axes k"]:
    """Indices of the k largest entries, largest first; among equals the lower index is first. `k` is cut to n."""
    if k < 1:
        raise ValueError(f"top_k needs k of at least 1, not {k}")
    n = values.shape[-1]
    if n > 64 * k:
        # A full sort of a 150,000-word vocabulary for each state is the slow part of a lens, so cut first.
        return _top_k_of_many(values, k)
    return np.argsort(-values, axis=-1, kind="stable")[..., :k].astype(np.int64)


def rank_of(scores: Float[np.ndarray, "*axes n"], index: Int[np.ndarray, "*axes"]) -> Int[np.ndarray, "*axes"]:
    """1-based rank of entry `index` among the scores, the largest first.

    Ties and NaN count against the entry, so that a model which scores everything alike does not rank first.
    """
    target = np.take_along_axis(scores, np.asarray(index)[..., None], axis=-1)
    return np.asarray(scores.shape[-1] - (scores < target).sum(axis=-1), dtype=np.int64)


def bootstrap_interval(
    values: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> Interval:
    """Percentile bootstrap of the mean (Efron 1979): resample with replacement, take the quantiles of the means.

    It misleads for a handful of values, and where all are alike: the interval then has no width, though the truth has.
    Raises ValueError for no values or values that are not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise ValueError(f"a bootstrap needs finite values along one axis, not shape {sample.shape}")
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // sample.size)
    means = [
        sample[generator.integers(sample.size, size=(min(rows, n_resamples - done), sample.size))].mean(axis=1)
        for done in range(0, n_resamples, rows)
    ]
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(value=float(sample.mean()), low=float(low), high=float(high), n=int(sample.size))


def _top_k_of_many(values: Float[np.ndarray, "*axes n"], k: int) -> Int[np.ndarray, "*axes k"]:
    # The k-th largest value is a threshold; ties at it are settled by index, which argpartition alone does not promise.
    threshold = np.partition(values, -k, axis=-1)[..., -k, None]
    kept = np.empty((*values.shape[:-1], k), dtype=np.int64)
    for place in np.ndindex(values.shape[:-1]):
        row = values[place]
        candidates = np.flatnonzero(row >= threshold[place])
        kept[place] = candidates[np.argsort(-row[candidates], kind="stable")[:k]]
    return kept


def spearman(a: Float[np.ndarray, "*axes n"], b: Float[np.ndarray, "*axes n"]) -> Float[np.ndarray, "*axes"]:
    """Rank correlation over the last axis, -1 to 1; equal values share their mean rank.

    0 where either side is constant: such a map orders nothing, so it agrees with nothing.
    """
    first, second = ranks(a), ranks(b)
    return cosine(first - first.mean(axis=-1, keepdims=True), second - second.mean(axis=-1, keepdims=True))


def ranks(values: Float[np.ndarray, "*axes n"]) -> Float[np.ndarray, "*axes n"]:
    """1-based ranks over the last axis, the smallest first; equal values share their mean rank."""
    rows = np.asarray(values, dtype=np.float64).reshape(-1, np.shape(values)[-1])
    found = np.empty_like(rows)
    for place, row in enumerate(rows):
        _, inverse, counts = np.unique(row, return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        found[place] = (last - (counts - 1) / 2)[inverse]
    return found.reshape(np.shape(values))


def area_under(
    values: Float[np.ndarray, "*axes n"], at: Float[np.ndarray, " n"] | Int[np.ndarray, " n"]
) -> Float[np.ndarray, "*axes"]:
    """Mean height of a curve: its area by trapezoids over the ascending places `at`, divided by their range."""
    width = np.diff(np.asarray(at, dtype=np.float64))
    middle = (values[..., 1:] + values[..., :-1]) / 2
    return np.asarray((middle * width).sum(axis=-1) / width.sum())


def infidelity(
    predicted: Float[np.ndarray, "*axes n"], actual: Float[np.ndarray, "*axes n"]
) -> Float[np.ndarray, "*axes"]:
    """Share of the squared effects that the predicted ones leave unexplained at their best positive scale, 0 to 1.

    Infidelity of Yeh et al. (arXiv 1901.09392), normalised by an optimal factor and by the effects' mean square. 1 where
    predictions are all 0 or point the wrong way, and where nothing had an effect: then there was nothing to predict.
    """
    size, scale = (actual**2).mean(axis=-1), (predicted**2).mean(axis=-1)
    product = np.maximum((predicted * actual).mean(axis=-1), 0)
    explained = np.divide(product**2, scale * size, out=np.zeros_like(size), where=scale * size > 0)
    return np.asarray(1 - explained)


def relative_change(
    original: Float[np.ndarray, "*axes n"], changed: Float[np.ndarray, "*axes n"]
) -> Float[np.ndarray, "*axes"]:
    """Length of the difference over the original's length, along the last axis; 0 between zeros, infinite from zero."""
    moved, length = np.linalg.norm(changed - original, axis=-1), np.linalg.norm(original, axis=-1)
    beyond = np.where(moved > 0, np.inf, 0.0)
    return np.asarray(np.divide(moved, length, out=beyond, where=length > 0))
