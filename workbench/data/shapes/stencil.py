"""The outline of each shape, rasterised with whole numbers only, so that pixels are the same everywhere."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int, UInt8

from workbench.errors import BadInput

SUB = 4
"""Sub-pixels along the side of a pixel; a position or length in sub-pixels is a whole number."""
FULL = SUB * SUB
"""Coverage of a pixel that lies wholly inside a shape."""

# Vertices (row, col) in thousandths of the radius, clockwise from the tip. The star is fatter than
# the true pentagram, whose arms would be one pixel wide in the small size.
_POLYGONS = {
    "triangle": ((-960, 0), (860, 1000), (860, -1000)),
    "star": (
        (-1000, 0),
        (-320, 260),
        (-270, 1000),
        (140, 430),
        (900, 640),
        (500, 0),
        (900, -640),
        (140, -430),
        (-270, -1000),
        (-320, -260),
    ),
}


@lru_cache(maxsize=16384)
def stencil(shape: str, diameter: int, row: int, column: int) -> UInt8[np.ndarray, "rows cols"]:
    """How many of each pixel's 16 sub-pixels a shape covers; read-only, shared between calls.

    `row`, `column`: the shape's centre and `diameter` its width, in sub-pixels from the patch's top left corner.
    The patch is just large enough for the shape. Raises `BadInput` for an unknown shape.
    """
    radius = (diameter + 1) // 2
    rows, cols = (-(-(centre + radius) // SUB) for centre in (row, column))
    # Units of half a sub-pixel, so that sub-pixel centres and the shape's centre are both whole numbers.
    y = (2 * np.arange(rows * SUB, dtype=np.int64) + 1 - 2 * row)[:, None]
    x = (2 * np.arange(cols * SUB, dtype=np.int64) + 1 - 2 * column)[None, :]
    inside = _inside(shape, diameter, y, x)
    coverage = inside.reshape(rows, SUB, cols, SUB).sum(axis=(1, 3)).astype(np.uint8)
    coverage.setflags(write=False)
    return coverage


def tight_box(mask: Bool[np.ndarray, "rows cols"]) -> tuple[int, int, int, int]:
    """row0, col0, row1, col1 (ends excluded) around the True pixels of a mask that has some."""
    rows = np.flatnonzero(mask.any(axis=1))
    cols = np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def _inside(
    shape: str, radius: int, y: Int[np.ndarray, "rows 1"], x: Int[np.ndarray, "1 cols"]
) -> Bool[np.ndarray, "rows cols"]:
    """Which offsets (y, x) from the centre lie in the shape, all in half sub-pixels."""
    if shape == "circle":
        return x * x + y * y <= radius * radius
    if shape == "ring":
        square = x * x + y * y
        return (square <= radius * radius) & (100 * square >= 32 * radius * radius)
    if shape == "square":
        return 100 * np.maximum(abs(x), abs(y)) <= 90 * radius
    if shape == "cross":
        narrow = 100 * np.minimum(abs(x), abs(y)) <= 34 * radius
        return narrow & (np.maximum(abs(x), abs(y)) <= radius)
    if shape in _POLYGONS:
        return _in_polygon(_POLYGONS[shape], radius, y, x)
    raise BadInput(f"no shape is called {shape!r}; give circle, square, triangle, star, cross or ring")


def _in_polygon(
    vertices: tuple[tuple[int, int], ...],
    radius: int,
    y: Int[np.ndarray, "rows 1"],
    x: Int[np.ndarray, "1 cols"],
) -> Bool[np.ndarray, "rows cols"]:
    """Even-odd rule: inside if a ray to the right crosses the outline an odd number of times."""
    inside = np.zeros((y.shape[0], x.shape[1]), dtype=bool)
    y, x = 1000 * y, 1000 * x
    for (y0, x0), (y1, x1) in zip(vertices, vertices[1:] + vertices[:1], strict=True):
        y0, x0, y1, x1 = y0 * radius, x0 * radius, y1 * radius, x1 * radius
        spans = (y0 > y) != (y1 > y)
        # The crossing lies right of x; multiplied out by (y1 - y0), whose sign turns the comparison.
        side = (x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)
        inside ^= spans & ((side < 0) if y1 > y0 else (side > 0))
    return inside
