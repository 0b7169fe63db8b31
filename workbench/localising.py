"""Where a map lies, against a region that is known to hold the evidence. NumPy in, NumPy out; the last axis is cells.

A region is given as the share of each cell's pixels that it covers. A cell is *touched* when the region covers any of it:
a relevant pixel may lie anywhere in the cell, so a hit on a touched cell is a hit. A cell *belongs* to the region when half
of it is covered, or it is the one that is covered most: what a map of cells can draw of the region. A region covers at least
some of a cell.
"""

import numpy as np
from jaxtyping import Bool, Float

_SPECK = 1e-9
"""Less of a cell than this is rounding, not overlap."""


def cell_shares(mask: Bool[np.ndarray, "height width"], rows: int, cols: int) -> Float[np.ndarray, "rows cols"]:
    """The share of each cell that a mask covers, when the picture is cut into rows x cols cells of equal size.

    Exact where cells end inside a pixel: the pixel counts by the part of it.
    """
    down, across = _overlaps(mask.shape[0], rows), _overlaps(mask.shape[1], cols)
    return down @ mask.astype(np.float64) @ across.T


def touched(region: Float[np.ndarray, "*axes cells"]) -> Bool[np.ndarray, "*axes cells"]:
    """The cells of which the region covers anything."""
    return region > _SPECK


def belonging(region: Float[np.ndarray, "*axes cells"]) -> Bool[np.ndarray, "*axes cells"]:
    """The cells that the region covers by half or more, and in any case those that it covers most."""
    most = region.max(axis=-1, keepdims=True)
    return touched(region) & (region >= np.minimum(0.5, most) - _SPECK)


def pointing_game(
    relevance: Float[np.ndarray, "*axes cells"], region: Float[np.ndarray, "*axes cells"]
) -> Float[np.ndarray, "*axes"]:
    """1 when the most relevant cell is touched by the region, else 0 (Zhang et al., arXiv 1608.00507).

    Of several equal maxima each counts by its share, so that an even map scores by chance and not by reading order.
    """
    peak = relevance >= relevance.max(axis=-1, keepdims=True)
    return np.asarray((peak & touched(region)).sum(axis=-1) / peak.sum(axis=-1))


def relevance_mass(
    relevance: Float[np.ndarray, "*axes cells"], region: Float[np.ndarray, "*axes cells"]
) -> Float[np.ndarray, "*axes"]:
    """Part of the positive relevance that lies on the region's pixels (CLEVR-XAI, arXiv 2003.07258), 0 to 1.

    A cell's relevance lies evenly on its pixels, so the largest share that a cell is covered by is the most that any map
    can reach. An even map gets the region's share of the image; so, by convention, does one without positive relevance.
    """
    positive = np.maximum(relevance, 0)
    total = positive.sum(axis=-1)
    inside = (positive * region).sum(axis=-1)
    return np.where(total > 0, inside / np.where(total > 0, total, 1), region.mean(axis=-1))


def relevance_rank(
    relevance: Float[np.ndarray, "*axes cells"], region: Float[np.ndarray, "*axes cells"]
) -> Float[np.ndarray, "*axes"]:
    """Of the k most relevant cells, the share that belongs to the region; k is how many belong to it (arXiv 2003.07258).

    Cells that are equal at the k-th place count by their share.
    """
    member = belonging(region)
    k = member.sum(axis=-1, keepdims=True)
    edge = np.take_along_axis(np.sort(relevance, axis=-1)[..., ::-1], k - 1, axis=-1)
    above, at = relevance > edge, relevance == edge
    room = k[..., 0] - above.sum(axis=-1)
    shared = (at & member).sum(axis=-1) * room / at.sum(axis=-1)
    return np.asarray(((above & member).sum(axis=-1) + shared) / k[..., 0])


def overlap(
    relevance: Float[np.ndarray, "*axes cells"], region: Float[np.ndarray, "*axes cells"]
) -> Float[np.ndarray, "*axes"]:
    """Intersection over union of the cells with at least half of the largest relevance, and those of the region."""
    top = relevance.max(axis=-1, keepdims=True)
    bright, member = (relevance >= top / 2) & (relevance > 0), belonging(region)
    return np.asarray((bright & member).sum(axis=-1) / (bright | member).sum(axis=-1))


def _overlaps(pixels: int, cells: int) -> Float[np.ndarray, "cells pixels"]:
    """For each cell, the part of it that each pixel fills; rows sum to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    places = np.arange(pixels)
    begin = np.maximum(edges[:-1, None], places)
    end = np.minimum(edges[1:, None], places + 1)
    return np.maximum(end - begin, 0) * (cells / pixels)
