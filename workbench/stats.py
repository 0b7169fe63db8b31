"""The one home of every formula that more than one file needs. NumPy in, NumPy out; the last axis is the one reduced."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_BLOCK = 4_000_000
"""Resampled indices held at once, so that a bootstrap of a large set stays in constant memory; distances likewise."""
_SPARE = 8
"""Candidates beyond k that are ranked anew by exact distances, since those by products are off in the last bits."""


class Interval(NamedTuple):
    """A mean with its confidence interval."""

    value: float
    low: float
    high: float
    n: int


class Neighbours(NamedTuple):
    """The nearest k of each row, nearest first, without the row itself."""

    indices: Int[np.ndarray, "n k"]
    distances: Float[np.ndarray, "n k"]


class Similarity(NamedTuple):
    """A map of the plane or space that keeps shapes: turn or mirror, scale, shift."""

    turn: Float[np.ndarray, "dim dim"]
    scale: float
    begin: Float[np.ndarray, " dim"]
    end: Float[np.ndarray, " dim"]

    def __call__(self, points: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        """The points where it takes them."""
        return (points - self.begin) @ self.turn * self.scale + self.end


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


def column_intervals(
    values: Float[np.ndarray, "n columns"], *, seed: int, level: float = 0.95, n_resamples: int = 2000
) -> list[Interval | None]:
    """Percentile bootstraps of the means of many columns at once; all columns see the same resamples of the rows.

    NaN is a row that the column does not have; a resample's mean is over those that it has. None for a column without any.
    As `bootstrap_interval`, of which it is the fast form for many figures of the same samples.
    """
    n, columns = values.shape
    known = np.isfinite(values)
    filled = np.where(known, values, 0).astype(np.float64)
    generator = np.random.default_rng(seed)
    means = np.empty((n_resamples, columns))
    for begin in range(0, n_resamples, rows := max(1, _BLOCK // max(1, n))):
        some = min(rows, n_resamples - begin)
        times = generator.multinomial(n, np.full(n, 1 / n), size=some).astype(np.float64) if n else np.zeros((some, 0))
        counts = times @ known
        # A resample may miss all the rows that a column has; it then tells nothing of it.
        means[begin : begin + some] = np.divide(
            times @ filled, counts, out=np.full(counts.shape, np.nan), where=counts > 0
        )
    tail = (1 - level) / 2
    found: list[Interval | None] = []
    for column in range(columns):
        count = int(known[:, column].sum())
        if not count:
            found.append(None)
            continue
        drawn = means[:, column]
        low, high = np.quantile(drawn[np.isfinite(drawn)], [tail, 1 - tail])
        found.append(Interval(float(filled[:, column].sum() / count), float(low), float(high), count))
    return found


def ratio_interval(
    part: Float[np.ndarray, " n"], whole: Float[np.ndarray, " n"], *, seed: int, n_resamples: int = 2000
) -> Interval | None:
    """Percentile bootstrap of sum(part) / sum(whole), each row drawn with both; None where the whole is 0.

    The ratio is biased by about 1 / n, and by more where few rows hold most of the whole.
    """
    n, total = len(whole), float(np.sum(whole, dtype=np.float64))
    if not total > 0:
        return None
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)
    below = times @ whole
    drawn = (times @ part)[below > 0] / below[below > 0]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(np.sum(part, dtype=np.float64)) / total, float(low), float(high), n)


def ndcg_of_rank(ranks: Int[np.ndarray, "*axes"], k: int = 10) -> Float[np.ndarray, "*axes"]:
    """nDCG@k where one candidate is right: 1 / log2(1 + rank), 0 beyond rank k (Jarvelin and Kekalainen 2002)."""
    return np.where(ranks <= k, 1 / np.log2(1 + np.maximum(ranks, 1)), 0.0)


def effective_rank(variances: Float[np.ndarray, " n"]) -> float:
    """Exponential of the entropy of the shares of variance (Roy and Vetterli 2007): 1 on a line, n in a ball; 0 without any.

    Variances are the eigenvalues of a covariance. The original takes singular values of the data, which weigh small
    directions more.
    """
    positive = np.clip(np.asarray(variances, dtype=np.float64), 0, None)
    total = positive.sum()
    return float(np.exp(entropy(positive / total))) if total > 0 else 0.0


def effective_rank_slopes(variances: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """How much the effective rank rises with each variance: its gradient, for error by linearisation; 0 without any variance."""
    positive = np.clip(np.asarray(variances, dtype=np.float64), 0, None)
    total = positive.sum()
    if not total > 0:
        return np.zeros(len(positive))
    shares = positive / total
    # A direction of no variance has a slope without bound, but no sample that moves along it.
    logs = np.log(np.maximum(shares, 1e-12))
    return -np.exp(entropy(shares)) * (logs + entropy(shares)) / total


def paired_interval(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"], *, seed: int, n_resamples: int = 2000
) -> Interval:
    """How much the mean rises from the first to the second of two measurements of the same samples, by paired bootstrap.

    Samples are drawn, each with both of its values, so what makes a sample hard for both widens nothing.
    """
    change = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    return bootstrap_interval(change, seed=seed, n_resamples=n_resamples)


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


def nearest_neighbours(vectors: Float[np.ndarray, "n dim"], k: int) -> Neighbours:
    """Exact Euclidean neighbours, k cut to n - 1; among equals the lower index is first. Time grows with n squared.

    Of unit vectors the squared distance is twice the cosine distance, so the order is that of the cosine too.
    """
    n = len(vectors)
    k = min(k, n - 1)
    if k < 1:
        return Neighbours(np.zeros((n, 0), dtype=np.int32), np.zeros((n, 0), dtype=np.float32))
    indices, distances = np.empty((n, k), dtype=np.int32), np.empty((n, k), dtype=np.float32)
    candidates = min(k + _SPARE, n - 1)
    for begin in range(0, n, rows := max(1, _BLOCK // n)):
        near = squared_distances(vectors[begin : begin + rows], vectors)
        own = np.arange(len(near))
        near[own, begin + own] = np.inf
        chosen = np.sort(np.argpartition(near, candidates - 1, axis=1)[:, :candidates], axis=1)
        exact = np.empty(chosen.shape)
        for column, others in enumerate(chosen.T):
            exact[:, column] = np.linalg.norm(vectors[others] - vectors[begin : begin + rows], axis=1)
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        indices[begin : begin + rows] = np.take_along_axis(chosen, order, axis=1)
        distances[begin : begin + rows] = np.take_along_axis(exact, order, axis=1)
    return Neighbours(indices, distances)


def squared_distances(a: Float[np.ndarray, "n dim"], b: Float[np.ndarray, "m dim"]) -> Float[np.ndarray, "n m"]:
    """Squared Euclidean distances by products, fast; those far smaller than the vectors are lost in rounding, never below 0."""
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None]
    return np.maximum(squares - 2 * (a @ b.T), 0)


def overlap(a: Int[np.ndarray, "n k"], b: Int[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Share of each row's entries that the other row has too, 0 to 1: the mutual kNN overlap of two neighbour lists.

    Entries of a row differ; a negative one stands for nothing and matches nothing. Chance is k / (n - 1).
    """
    n, k = a.shape
    found = np.zeros(n, dtype=np.float64)
    for begin in range(0, n, rows := max(1, _BLOCK // max(1, k * k))):
        one, other = a[begin : begin + rows, :, None], b[begin : begin + rows, None, :]
        found[begin : begin + rows] = ((one == other) & (one >= 0)).sum(axis=(1, 2))
    return found / max(1, k)


def trustworthiness(
    vectors: Float[np.ndarray, "n dim"], near: Int[np.ndarray, "m k"], at: Int[np.ndarray, " m"]
) -> float:
    """How far the neighbours on a map are neighbours in truth, 0 to 1 (Venna and Kaski 2001); about 0.5 for a random map.

    Each of the k neighbours on the map costs by how far beyond rank k it is in the original space; so it tells of places torn
    in from elsewhere, not of true neighbours torn apart.

    Args:
        vectors: all points in the original space; no two of them alike.
        near: neighbours on the map of the points `at`, in any order; k below n / 2.
        at: points to measure at. All of them give the published figure, a random sample an unbiased estimate of it.
    """
    n, (m, k) = len(vectors), near.shape
    if not 0 < k < n / 2:
        raise ValueError(f"trustworthiness of {n} points needs 1 to {(n - 1) // 2} neighbours, not {k}")
    cost = 0.0
    for begin in range(0, m, rows := max(1, _BLOCK // n)):
        part = at[begin : begin + rows]
        far = squared_distances(vectors[part], vectors)
        far[np.arange(len(part)), part] = -1  # rank 0: the point itself
        for column in range(k):
            own = np.take_along_axis(far, near[begin : begin + rows, column, None], axis=1)
            cost += np.maximum((far < own).sum(axis=1) - k, 0).sum()
    return float(1 - 2 * cost / (m * k * (2 * n - 3 * k - 1)))


def procrustes(moving: Float[np.ndarray, "n dim"], fixed: Float[np.ndarray, "n dim"]) -> Similarity:
    """The turn, scale and shift that bring the moving points closest to the fixed ones, in least squares (Schonemann 1966).

    Mirroring is allowed, since a map has no right side. Points that all lie in one place are only shifted.
    """
    begin, end = moving.mean(axis=0), fixed.mean(axis=0)
    left, weights, right = np.linalg.svd((moving - begin).T.astype(np.float64) @ (fixed - end))
    size = float(((moving - begin).astype(np.float64) ** 2).sum())
    scale = float(weights.sum()) / size if size > 0 else 1.0
    return Similarity(turn=left @ right, scale=scale, begin=begin, end=end)
