"""Nearest neighbours in the original space: exact as long as that takes seconds, found by descent and ranked anew beyond."""

import numpy as np
from jaxtyping import Float, Int

from workbench.stats import Neighbours, nearest_neighbours

EXACT = 20_000
"""Points up to which all distances are looked at; 20,000 x 1,024 take about ten seconds on two cores."""
_CANDIDATES = 2
"""Times as many neighbours as are wanted are searched for among principal components, then ranked by true distances."""
_BLOCK = 1024


def near_by_descent(
    vectors: Float[np.ndarray, "n dim"], components: Float[np.ndarray, "n components"], k: int, seed: int
) -> Neighbours:
    """Approximate neighbours (NN-descent, Dong et al. 2011). Only in the worker's process: pynndescent brings numba."""
    from pynndescent import NNDescent

    index = NNDescent(
        components, metric="euclidean", n_neighbors=_CANDIDATES * k + 1, random_state=seed, n_jobs=1, compressed=False
    )
    graph = index.neighbor_graph
    assert graph is not None
    return rank_anew(vectors, graph[0], k)


def rank_anew(vectors: Float[np.ndarray, "n dim"], candidates: Int[np.ndarray, "n c"], k: int) -> Neighbours:
    """The nearest k of each row's candidates by distances of the vectors; the row itself and negative entries are left out."""
    n = len(vectors)
    indices, distances = np.empty((n, k), dtype=np.int32), np.empty((n, k), dtype=np.float32)
    for begin in range(0, n, _BLOCK):
        own, others = vectors[begin : begin + _BLOCK], candidates[begin : begin + _BLOCK]
        far = np.stack([np.linalg.norm(vectors[column] - own, axis=1) for column in others.T], axis=1)
        far[(others < 0) | (others == np.arange(begin, begin + len(own))[:, None])] = np.inf
        order = np.argsort(far, axis=1, kind="stable")[:, :k]
        indices[begin : begin + _BLOCK] = np.take_along_axis(others, order, axis=1)
        distances[begin : begin + _BLOCK] = np.take_along_axis(far, order, axis=1)
    return Neighbours(indices, distances)


def near_on_map(places: Float[np.ndarray, "n 2"], k: int) -> Int[np.ndarray, "n k"]:
    """Exact neighbours among places in the plane, by a k-d tree."""
    if len(places) <= 2000:
        return nearest_neighbours(places, k).indices
    from scipy.spatial import KDTree

    found = np.asarray(KDTree(places).query(places, k=k + 1)[1])
    # A point that lies on another need not come first among its own neighbours; if it is not there, the last is left out.
    own = found == np.arange(len(places))[:, None]
    own[~own.any(axis=1), -1] = True
    return found[~own].reshape(len(places), k).astype(np.int32)
