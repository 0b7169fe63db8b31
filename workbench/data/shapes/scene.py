"""The records of the Shapes world: an object, a background, a scene."""

from dataclasses import dataclass

from workbench.data.shapes.world import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeObject:
    """One object. Lengths in pixels from the top left corner of the canvas; pixel r covers [r, r + 1)."""

    size: str
    colour: str
    shape: str
    place: str
    box: tuple[int, int, int, int]
    """row0, col0, row1, col1 of its mask, ends excluded."""
    centre: tuple[float, float]
    """row, col; whole quarters of a pixel."""
    diameter: float
    """Width of the square it is drawn in; a whole number of quarters of a pixel."""
    brightness: int
    """Percent of its colour's nominal brightness."""

    @property
    def item(self) -> Item:
        """The object as words see it."""
        return Item(self.size, self.colour, self.shape, self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What is behind the objects: a base colour and a low-contrast pattern."""

    kind: str
    """plain, noise, stripes, gradient or checker."""
    base: tuple[int, int, int]
    """Red, green, blue in 0..255."""
    contrast: int
    """How much brighter (negative: darker) than the base the pattern gets, in steps of 1/255."""
    cell: int
    """Width of a grain, stripe or square in pixels."""
    direction: tuple[int, int]
    """Direction (rows, cols) along which stripes and gradients change."""
    seed: int
    """Picks the grains of the noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A canvas with objects in reading order of their places, at most one in each place."""

    id: str
    width: int
    height: int
    objects: tuple[ShapeObject, ...]
    background: Background

    @property
    def items(self) -> tuple[Item, ...]:
        """The objects as words see them, in the same order."""
        return tuple(thing.item for thing in self.objects)
