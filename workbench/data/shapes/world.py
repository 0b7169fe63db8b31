"""What exists in the Shapes world: words, places, splits, and what is held out."""

from hashlib import sha256
from typing import NamedTuple

SPLITS = ("train", "validation", "test", "compositional")
COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
SIZES = ("small", "large")
PLACES = (
    "top left",
    "top",
    "top right",
    "left",
    "centre",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
TASKS = ("what_at", "where", "how_many", "relation", "find_image", "find_caption", "choose")

HELD_OUT = (
    ("green", "circle"),
    ("yellow", "square"),
    ("blue", "triangle"),
    ("red", "star"),
    ("cyan", "cross"),
    ("purple", "ring"),
)
"""(colour, shape) pairs that occur in the split `compositional` and nowhere else."""


class Item(NamedTuple):
    """An object as words see it: what it is and in which of the nine places."""

    size: str
    colour: str
    shape: str
    place: str

    @property
    def held_out(self) -> bool:
        """Whether its (colour, shape) pair is one of `HELD_OUT`."""
        return (self.colour, self.shape) in HELD_OUT

    @property
    def row(self) -> int:
        """Row of its place: 0 top, 1 middle, 2 bottom."""
        return PLACES.index(self.place) // 3

    @property
    def column(self) -> int:
        """Column of its place: 0 left, 1 middle, 2 right."""
        return PLACES.index(self.place) % 3


def split_of(caption: str) -> str:
    """The split a canonical caption without held-out pairs belongs to: 17 train, 2 test, 1 validation in 20.

    Content decides, not the seed, so a scene of one split occurs in no other, whatever the seeds.
    """
    bucket = int.from_bytes(sha256(caption.encode()).digest()[:8], "big") % 20
    return "validation" if bucket == 0 else "test" if bucket <= 2 else "train"
