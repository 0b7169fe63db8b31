"""Vectors made ready for a projection: those that have a place, in the metric's space, each only once."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench.mapping.settings import Metric

GRAIN = 1e-5
"""Vectors that round to the same multiples of this part of a typical vector's length count as one. Copies of one text in two
batches differ by about 1e-6, and ties make a seeded UMAP irreproducible (lmcinnes/umap#1277)."""
_BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Different vectors, and which of the given ones each stands for."""

    vectors: Float[np.ndarray, "unique dim"]
    """In the metric's space: of unit length for the cosine."""
    inverse: Int[np.ndarray, " points"]
    """Row of `vectors` that a point lies on."""
    first: Int[np.ndarray, " unique"]
    """First point that lies on each."""


def has_place(vectors: Float[np.ndarray, "points dim"], metric: Metric) -> Bool[np.ndarray, " points"]:
    """Whether a vector can lie on a map: its numbers are finite, and for the cosine it has a direction."""
    finite = np.isfinite(vectors).all(axis=1)
    directed = (vectors != 0).any(axis=1) | (metric != "cosine")
    return np.asarray(finite & directed)


def make_cloud(vectors: Float[np.ndarray, "points dim"], metric: Metric) -> Cloud:
    """Bring vectors that all have a place into the metric's space and merge those that are alike within `GRAIN`."""
    ready = _in_space(vectors, metric)
    # For Euclidean data the typical length is a root mean square: a vector near the origin must not make all others differ.
    size = 1.0 if metric == "cosine" else float(np.sqrt((ready.astype(np.float64) ** 2).sum(axis=1).mean())) or 1.0
    inverse, first = _merge(ready, GRAIN * size)
    return Cloud(vectors=ready if len(first) == len(ready) else ready[first], inverse=inverse, first=first)


def metric_distances(distances: Float[np.ndarray, "n k"], metric: Metric) -> Float[np.ndarray, "n k"]:
    """Euclidean distances of the metric's space as the metric tells them: 1 - cosine, or unchanged."""
    return (distances**2 / 2).astype(np.float32) if metric == "cosine" else distances.astype(np.float32)


def _in_space(vectors: Float[np.ndarray, "points dim"], metric: Metric) -> Float[np.ndarray, "points dim"]:
    if metric == "euclidean":
        return np.ascontiguousarray(vectors, dtype=np.float32)
    # Divided by the largest entry first: squares of very large or small float32 leave their range.
    scaled = vectors / np.abs(vectors).max(axis=1, keepdims=True)
    return np.ascontiguousarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True), dtype=np.float32)


def _merge(vectors: Float[np.ndarray, "points dim"], grain: float) -> tuple[np.ndarray, np.ndarray]:
    places: dict[bytes, int] = {}
    inverse, first = np.empty(len(vectors), dtype=np.int32), []
    for begin in range(0, len(vectors), _BLOCK):
        # + 0.0, since -0.0 has other bytes than 0.0.
        rounded = np.rint(vectors[begin : begin + _BLOCK] / np.float32(grain)) + np.float32(0)
        for point, row in enumerate(rounded, start=begin):
            place = places.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), len(places))
            if place == len(first):
                first.append(point)
            inverse[point] = place
    return inverse, np.array(first, dtype=np.int32)
