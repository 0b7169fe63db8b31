"""Pixels of a scene, and the mask of every object in it."""

import numpy as np
from jaxtyping import Bool, Int, UInt8

from workbench.data.shapes.scene import Background, Scene, ShapeObject
from workbench.data.shapes.stencil import FULL, SUB, stencil
from workbench.errors import BadInput

PALETTE = {
    "red": (218, 34, 34),
    "green": (38, 158, 52),
    "blue": (36, 72, 226),
    "yellow": (244, 206, 24),
    "purple": (156, 40, 188),
    "cyan": (30, 202, 214),
}
"""Nominal red, green and blue of each colour."""


def draw(scene: Scene) -> UInt8[np.ndarray, "rows cols 3"]:
    """The scene as pixels, RGB, edges smoothed over 16 sub-pixels; whole-number arithmetic throughout."""
    canvas = paint_background(scene.background, scene.height, scene.width)
    for thing in scene.objects:
        coverage, rows, cols = _patch(thing)
        colour = np.array([min(255, c * thing.brightness // 100) for c in PALETTE[thing.colour]], dtype=np.int16)
        cover = coverage[:, :, None].astype(np.int16)
        canvas[rows, cols] = (colour * cover + canvas[rows, cols] * (FULL - cover) + FULL // 2) // FULL
    return canvas.astype(np.uint8)


def masks(scene: Scene) -> Bool[np.ndarray, "objects rows cols"]:
    """The pixels of each object, in the scene's order: those it covers by half or more. Masks are disjoint."""
    out = np.zeros((len(scene.objects), scene.height, scene.width), dtype=bool)
    for mask, thing in zip(out, scene.objects, strict=True):
        coverage, rows, cols = _patch(thing)
        mask[rows, cols] = 2 * coverage >= FULL
    return out


def paint_background(background: Background, height: int, width: int) -> Int[np.ndarray, "rows cols 3"]:
    """A background as int16 values in 0..255. Raises `BadInput` for an unknown kind."""
    base = np.array(background.base, dtype=np.int16)
    if background.kind == "plain":
        return np.broadcast_to(base, (height, width, 3)).copy()
    # The pattern runs over 0..256, so that contrast times pattern over 256 is the change in brightness.
    change = _pattern(background, height, width) * background.contrast >> 8
    return np.clip(base + change[:, :, None], 0, 255).astype(np.int16)


def _pattern(background: Background, height: int, width: int) -> Int[np.ndarray, "rows cols"]:
    """The pattern of a background that is not plain, in 0..256."""
    cell = background.cell
    if background.kind == "noise":
        rows, cols = -(-height // cell), -(-width // cell)
        grains = (np.random.PCG64(background.seed).random_raw(rows * cols) >> np.uint64(56)).astype(np.int32)
        return grains.reshape(rows, cols).repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]
    rows = np.arange(height, dtype=np.int32)[:, None]
    cols = np.arange(width, dtype=np.int32)[None, :]
    if background.kind == "checker":
        return (rows // cell + cols // cell) % 2 * 256
    along = rows * background.direction[0] + cols * background.direction[1]
    if background.kind == "stripes":
        return along // cell % 2 * 256
    if background.kind == "gradient":
        along = along - along.min()
        return along * 256 // max(1, int(along.max()))
    raise BadInput(f"no background is called {background.kind!r}; give plain, noise, stripes, gradient or checker")


def _patch(thing: ShapeObject) -> tuple[UInt8[np.ndarray, "rows cols"], slice, slice]:
    """The object's coverage, and the canvas rows and columns it belongs to."""
    row, col = (int(c * SUB) for c in thing.centre)
    return patch(thing.shape, int(thing.diameter * SUB), row, col)


def patch(shape: str, diameter: int, row: int, column: int) -> tuple[UInt8[np.ndarray, "rows cols"], slice, slice]:
    """Coverage of a shape centred at (row, column), and its canvas rows and columns; lengths in sub-pixels."""
    radius = (diameter + 1) // 2
    top, left = (row - radius) // SUB, (column - radius) // SUB
    coverage = stencil(shape, diameter, row - top * SUB, column - left * SUB)
    return coverage, slice(top, top + coverage.shape[0]), slice(left, left + coverage.shape[1])
