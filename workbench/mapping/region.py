"""Points of a map by what is asked of them: inside a drawn shape, or found by a text."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench.latent_map import LatentMap

_BLOCK = 20_000


def points_inside(
    places: Float[np.ndarray, "points 2"], polygon: Float[np.ndarray, "corners 2"]
) -> Int[np.ndarray, " inside"]:
    """Indices, ascending, of the places within a polygon of at least three corners; it closes itself.

    A shape that crosses itself is inside where a line from there to far away crosses it an odd number of times.
    """
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    near = np.flatnonzero(((places >= low) & (places <= high)).all(axis=1))
    inside = [
        _crosses_odd(places[part], polygon)
        for part in np.array_split(near, max(1, -(-len(near) // _BLOCK)))
        if len(part)
    ]
    kept = near[np.concatenate(inside)] if inside else near
    return kept.astype(np.int32)


def points_found(latent_map: LatentMap, text: str) -> Int[np.ndarray, " found"]:
    """Indices, ascending, of the points whose sample's id, query, answer or thought, or whose own text, holds `text`.

    Capitals do not matter.
    """
    wanted = text.casefold()
    told = [
        any(wanted in part.casefold() for part in (one.id, one.text, one.answer, *one.thoughts))
        for one in latent_map.samples
    ]
    found = np.array(told, dtype=bool)[latent_map.sample]
    for column in latent_map.columns:
        if column.kind == "text":
            found |= np.array([wanted in value.casefold() for value in column.values.tolist()], dtype=bool)
    return np.flatnonzero(found).astype(np.int32)


def _crosses_odd(places: np.ndarray, polygon: Sequence[np.ndarray] | np.ndarray) -> Bool[np.ndarray, " points"]:
    x, y = places[:, 0].astype(np.float64), places[:, 1].astype(np.float64)
    odd = np.zeros(len(places), dtype=bool)
    ends = np.asarray(polygon, dtype=np.float64)
    for (x1, y1), (x2, y2) in zip(ends, np.roll(ends, 1, axis=0), strict=True):
        if y1 == y2:
            continue
        spans = (y1 > y) != (y2 > y)
        odd ^= spans & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return odd
