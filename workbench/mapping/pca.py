"""Principal components: the map that is there at once, and the shorter vectors that UMAP begins with."""

import numpy as np
from jaxtyping import Float

_BLOCK = 8192
_LEAST_DIM = 128
"""Products within a block are rounded as sums of so many numbers at least: the square root of its rows, rounded up."""


def principal_components(vectors: Float[np.ndarray, "n dim"], n_components: int) -> Float[np.ndarray, "n components"]:
    """Coordinates along the directions of most variance, most first; float32.

    The same up to rounding on every machine: of each direction that sign is taken which makes its largest entry positive.
    Directions beyond the rank of the data hold zeros, so that there are always `n_components`.
    """
    n, dim = vectors.shape
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    found = np.zeros((n, n_components), dtype=np.float32)
    if n < 2:
        return found
    scatter, wide = _scatter(centred)
    weights, axes = np.linalg.eigh(scatter)
    order = np.argsort(weights)[::-1][: min(n_components, dim, n - 1)]
    # Below this nothing but rounding is left. It does not grow with the vectors: blocks of them are summed in float64.
    order = order[weights[order] > max(weights[-1], 0) * np.finfo(np.float32).eps * max(dim, _LEAST_DIM)]
    chosen = axes[:, order]
    if wide:
        # Of the small side's eigenvectors; the axes themselves follow from the vectors.
        chosen = centred.T.astype(np.float64) @ chosen
        chosen /= np.linalg.norm(chosen, axis=0, keepdims=True)
    if chosen.size:
        chosen *= np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
        found[:, : len(order)] = centred @ chosen.astype(np.float32)
    return found


def _scatter(centred: Float[np.ndarray, "n dim"]) -> tuple[np.ndarray, bool]:
    """Products of dimensions with each other, or of vectors where there are fewer of them, which is told second."""
    n, dim = centred.shape
    if n < dim:
        wide = centred.astype(np.float64)
        return wide @ wide.T, True
    scatter = np.zeros((dim, dim))
    for begin in range(0, n, _BLOCK):
        scatter += (centred[begin : begin + _BLOCK].T @ centred[begin : begin + _BLOCK]).astype(np.float64)
    return scatter, False
