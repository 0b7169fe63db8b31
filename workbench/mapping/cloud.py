"""Vectors made ready for a projection: those that have a place, in the metric's space, each only once."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench.mapping.settings import Metric

GRAIN = 1e-5
"""Vectors that are no further apart than this part of a typical vector's length count as one. Copies of one text in two batches
differ by about 1e-6, and ties make a seeded UMAP irreproducible (lmcinnes/umap#1277)."""
_BLOCK = 4096
_DIRECTIONS = 8
"""Random ones along which near vectors must be near; more only save exact distances."""


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
    """Equal vectors first, which may be very many, then those within the grain of one that came before them."""
    inverse, first = _merge_equal(vectors)
    group = _merge_near(vectors[first], grain)
    leads, group = np.unique(group, return_inverse=True)
    return group[inverse].astype(np.int32), first[leads]


def _merge_equal(vectors: Float[np.ndarray, "points dim"]) -> tuple[np.ndarray, np.ndarray]:
    places: dict[bytes, int] = {}
    inverse, first = np.empty(len(vectors), dtype=np.int32), []
    for begin in range(0, len(vectors), _BLOCK):
        # + 0.0, since -0.0 has other bytes than 0.0.
        for point, row in enumerate(vectors[begin : begin + _BLOCK] + np.float32(0), start=begin):
            place = places.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), len(places))
            if place == len(first):
                first.append(point)
            inverse[point] = place
    return inverse, np.array(first, dtype=np.int32)


def _merge_near(vectors: Float[np.ndarray, "points dim"], grain: float) -> Int[np.ndarray, " points"]:
    """For each vector the earliest of its group. A group is what lies within the grain of one of its vectors and in no other.

    Vectors that are near each other are near along every direction. So they are sorted along one, and only those that follow
    within the grain are looked at, first along the other directions.
    """
    directions = np.random.default_rng(0).standard_normal((vectors.shape[1], _DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    parts = [vectors[begin : begin + _BLOCK] @ directions for begin in range(0, len(vectors), _BLOCK)]
    along = np.concatenate(parts)
    order = np.argsort(along[:, 0], kind="stable")
    along = along[order]
    ends = np.searchsorted(along[:, 0], along[:, 0] + grain, side="right")
    lead = np.arange(len(vectors))
    free = np.ones(len(vectors), dtype=bool)
    for place in np.flatnonzero(ends - np.arange(len(vectors)) > 1).tolist():
        if not free[place]:
            continue
        near = place + 1 + np.flatnonzero(free[place + 1 : ends[place]])
        near = near[(np.abs(along[near] - along[place]) <= grain).all(axis=1)]
        if near.size:
            apart = np.linalg.norm(vectors[order[near]].astype(np.float64) - vectors[order[place]], axis=1)
            near = near[apart <= grain]
            free[near] = False
            group = order[np.append(near, place)]
            lead[group] = group.min()
    return lead
