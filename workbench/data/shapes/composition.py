"""Scenes from a seed: which objects, where, on what canvas."""

from workbench.data.shapes.config import ShapesConfig
from workbench.data.shapes.dice import Dice
from workbench.data.shapes.drawing import patch
from workbench.data.shapes.language import caption
from workbench.data.shapes.scene import Background, Scene, ShapeObject
from workbench.data.shapes.stencil import FULL, SUB, tight_box
from workbench.data.shapes.world import COLOURS, HELD_OUT, PLACES, SHAPES, SIZES, SPLITS, Item, split_of
from workbench.errors import BadInput

CLEAR = 18
"""Percent of a region's width or height that an object's centre keeps clear of the borders between regions."""
DIAMETERS = {"small": (64, 72), "large": (104, 114)}
"""Fewest and most sub-pixels across, on a canvas whose shorter side is `NOMINAL` pixels."""
NOMINAL = 96

_KINDS = tuple((size, colour, shape) for size in SIZES for colour in COLOURS for shape in SHAPES)
_COMMON = tuple(kind for kind in _KINDS if kind[1:] not in HELD_OUT)
_RARE = tuple(kind for kind in _KINDS if kind[1:] in HELD_OUT)
_PURPOSE = 1
_TEXTURES = ("noise", "stripes", "gradient", "checker")
_DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1))


def make_scene(config: ShapesConfig, split: str, index: int) -> Scene:
    """Scene number `index` of a split; depends on nothing but its arguments.

    Raises `BadInput` for an unknown split or a negative index.
    """
    if split not in SPLITS or index < 0:
        raise BadInput(
            f"scene {index} of split {split!r} does not exist; give 0 or more and one of {', '.join(SPLITS)}"
        )
    dice = Dice(config.seed, SPLITS.index(split), index, _PURPOSE)
    width, height = dice.choice(config.canvases)
    items = _draw_items(dice, config, split)
    return Scene(
        id=f"{split}-scene-{index:06d}",
        width=width,
        height=height,
        objects=_arrange(dice, items, width, height),
        background=_draw_background(dice),
    )


def _draw_items(dice: Dice, config: ShapesConfig, split: str) -> tuple[Item, ...]:
    """Objects whose canonical caption belongs to the split, in reading order."""
    counts, weights = config.counts
    while True:
        n = dice.weighted(counts, weights)
        if split == "compositional":
            first = dice.choice(_RARE)
            kinds = [first, *dice.sample([kind for kind in _KINDS if kind != first], n - 1)]
        else:
            kinds = dice.sample(_COMMON, n)
        places = dice.sample(PLACES, n)
        items = [Item(*kind, place) for kind, place in zip(kinds, places, strict=True)]
        ordered = tuple(sorted(items, key=lambda item: PLACES.index(item.place)))
        if split == "compositional" or split_of(caption(ordered)) == split:
            return ordered


def _arrange(dice: Dice, items: tuple[Item, ...], width: int, height: int) -> tuple[ShapeObject, ...]:
    """Free positions without overlap; should none be found, every object goes to the centre of its region."""
    short = min(width, height)
    diameters = [dice.between(*DIAMETERS[item.size]) * short // NOMINAL for item in items]
    centres = None
    for _ in range(20):
        centres = _draw_centres(dice, items, diameters, width, height)
        if centres:
            break
    if centres is None:
        # The largest object is narrower than any region, so objects at region centres cannot touch.
        centres = [((2 * i.row + 1) * height * SUB // 6, (2 * i.column + 1) * width * SUB // 6) for i in items]
    return tuple(
        _make_object(item, diameter, centre, dice.between(88, 108))
        for item, diameter, centre in zip(items, diameters, centres, strict=True)
    )


def _draw_centres(
    dice: Dice, items: tuple[Item, ...], diameters: list[int], width: int, height: int
) -> list[tuple[int, int]] | None:
    """Centres (row, col) in sub-pixels, or None when one object found no room in a dozen draws."""
    centres: list[tuple[int, int]] = []
    for item, diameter in zip(items, diameters, strict=True):
        rows = _span(item.row, height * SUB, diameter)
        cols = _span(item.column, width * SUB, diameter)
        for _ in range(12):
            row, col = dice.between(*rows), dice.between(*cols)
            # Squares around the objects stay a pixel apart, so that smoothed edges never share a pixel.
            if all(
                max(abs(row - r), abs(col - c)) * 2 >= diameter + d + 4 * SUB
                for (r, c), d in zip(centres, diameters, strict=False)
            ):
                centres.append((row, col))
                break
        else:
            return None
    return centres


def _span(region: int, length: int, diameter: int) -> tuple[int, int]:
    """Where the centre may lie along one axis of `length` sub-pixels: clear of other regions, inside the canvas."""
    low = -(-length * (100 * region + CLEAR) // 300)
    high = length * (100 * region + 100 - CLEAR) // 300
    radius = (diameter + 1) // 2
    return max(low, radius), min(high, length - radius)


def _make_object(item: Item, diameter: int, centre: tuple[int, int], brightness: int) -> ShapeObject:
    coverage, rows, cols = patch(item.shape, diameter, *centre)
    row0, col0, row1, col1 = tight_box(2 * coverage >= FULL)
    return ShapeObject(
        size=item.size,
        colour=item.colour,
        shape=item.shape,
        place=item.place,
        box=(rows.start + row0, cols.start + col0, rows.start + row1, cols.start + col1),
        centre=(centre[0] / SUB, centre[1] / SUB),
        diameter=diameter / SUB,
        brightness=brightness,
    )


def _draw_background(dice: Dice) -> Background:
    """Light and nearly grey; plain in two scenes of five.

    Every colour is darker than every background, so that a shape differs from its surroundings by the same sign
    everywhere. With dark backgrounds besides, telling shapes apart took a small model several times as many steps.
    """
    level = dice.between(184, 236)
    contrast = dice.between(10, 20)
    return Background(
        kind="plain" if dice.below(5) < 2 else dice.choice(_TEXTURES),
        base=(level + dice.between(-9, 9), level + dice.between(-9, 9), level + dice.between(-9, 9)),
        contrast=-contrast,
        cell=dice.choice((1, 2, 3, 4, 6, 8)),
        direction=dice.choice(_DIRECTIONS),
        seed=dice.below(2**32),
    )
