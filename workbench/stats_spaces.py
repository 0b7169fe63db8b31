"""Formulas that compare two spaces which hold the same samples, row by row. NumPy in, NumPy out.

Every one of them needs its chance beside it: few samples of many dimensions look alike whatever they mean. The biased linear
CKA of independent noise of 2,048 dimensions reads 0.97 at 64 samples; the one here reads 0.
"""

import numpy as np
from jaxtyping import Float, Int

from workbench.stats import nearest_neighbours

LEAST = 4
"""Samples below which an unbiased HSIC is not defined."""
_TIE = 1e-6
"""Figures of at most 1 that differ by less are the same: sums in another order, and in single precision, end in other bits."""


def unit_neighbours(vectors: Float[np.ndarray, "n dim"], k: int) -> Int[np.ndarray, "n k"]:
    """The nearest k of each row by cosine; a row of zeros has no direction and counts as far from all."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return nearest_neighbours(np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0), k).indices


def u_centred(vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n n"]:
    """The linear kernel of the rows without its diagonal, centred so that inner products estimate HSIC without bias.

    The mean product of two such matrices, times n / (n - 3), is the estimator of Song et al. (JMLR 13, 2012, equation 5); the
    form is that of Szekely and Rizzo (2014). Raises ValueError for fewer than 4 rows.
    """
    n = len(vectors)
    if n < LEAST:
        raise ValueError(f"an unbiased HSIC needs {LEAST} samples or more, not {n}")
    # Kernels do not change by it here, but far from the origin their digits would be lost.
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    kernel = centred @ centred.T
    np.fill_diagonal(kernel, 0)
    rows = kernel.sum(axis=1)
    kernel += rows.sum() / ((n - 1) * (n - 2)) - (rows[:, None] + rows[None]) / (n - 2)
    np.fill_diagonal(kernel, 0)
    return kernel


def debiased_cka(a: Float[np.ndarray, "n n"], b: Float[np.ndarray, "n n"]) -> float:
    """Linear CKA with unbiased HSIC (Murphy et al., arXiv 2405.01012) of two `u_centred` matrices; at most 1, about 0 by chance.

    It may be below 0. It is blind to turns and to one scale, and a few directions of large variance decide it, so that two
    spaces may read alike though samples have other neighbours. 0 where either space has no spread.
    """
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size > 0 else 0.0


def shuffled_cka(
    a: Float[np.ndarray, "n n"], b: Float[np.ndarray, "n n"], orders: Int[np.ndarray, "m n"]
) -> Float[np.ndarray, " m"]:
    """`debiased_cka` with the samples of b in other orders: what it reads when nothing joins the two; right to about 1e-7."""
    lengths = [float(np.sqrt((one * one).sum())) for one in (a, b)]
    if not min(lengths) > 0:
        return np.zeros(len(orders))
    # Centring and length do not care for the order, so the centred matrix itself is shuffled; in single precision it fits
    # the processor's cache, which makes it ten times as fast at 500 samples.
    one, other = ((x / length).astype(np.float32) for x, length in zip((a, b), lengths, strict=True))
    return np.array([np.vdot(one, other.take(order, axis=0).take(order, axis=1)) for order in orders], np.float64)


def shuffled_overlap(
    a: Int[np.ndarray, "n k"], b: Int[np.ndarray, "n k"], orders: Int[np.ndarray, "m n"]
) -> Float[np.ndarray, " m"]:
    """Mean overlap of neighbours with the samples of b in other orders; its expectation is k / (n - 1)."""
    n, k = a.shape
    near = np.zeros((n, n), dtype=bool)
    np.put_along_axis(near, a.astype(np.intp), True, axis=1)
    found = []
    for order in orders:
        place = np.empty(n, dtype=np.intp)
        place[order] = np.arange(n)
        found.append(np.take_along_axis(near, place[b[order]], axis=1).sum() / (n * max(1, k)))
    return np.array(found)


def permutation_p(observed: float, null: Float[np.ndarray, " m"]) -> float:
    """Share of the null, the observation counted in, that is at least as large: never 0, at least 1 / (m + 1).

    For figures of at most 1. What falls short by rounding alone counts as equal.
    """
    return float((1 + (null >= observed - _TIE).sum()) / (1 + len(null)))


def centred_points(vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dims"]:
    """The rows about their mean, in at most n dimensions: distances and angles stay, so a wide space is cheap to turn."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    if centred.shape[1] <= len(centred):
        return centred
    return np.asarray(np.linalg.qr(centred.T, mode="r")).T


def procrustes_residual(a: Float[np.ndarray, "n dim"], b: Float[np.ndarray, "n other"]) -> float:
    """Share of the variance that is left when one space is turned, scaled and shifted onto the other, 0 to 1.

    The disparity of `scipy.spatial.procrustes`, also between spaces of different width (the smaller one is given further
    dimensions of zeros). 1 where either space has no spread. With as many dimensions as samples noise fits well: read it
    only beside the same figure of shuffled samples.
    """
    one, other = centred_points(a), centred_points(b)
    size = (one**2).sum() * (other**2).sum()
    if not size > 0:
        return 1.0
    weights = np.linalg.svd(one.T @ other, compute_uv=False)
    return float(np.clip(1 - weights.sum() ** 2 / size, 0, 1))
