"""What each merged visual token of an image covers, from rows that know their objects (size, colour, shape, box)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from workbench.errors import BadInput
from workbench.models.registries import Prefix

N_REGIONS = 9
IGNORE = -100
MOST = 0.6
"""Share of a token that an object's box must cover for the token to name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseTruth:
    """Classes of each visual token of a batch, in the order of the pixels."""

    things: Int[Tensor, "questions tokens"]
    """Size, colour and shape; 0 is background, IGNORE a token of which an object covers only a corner."""
    places: Int[Tensor, " tokens"]
    """Region 0 ... 8, row-major thirds of the image."""

    def to(self, device: torch.device) -> "DenseTruth":
        """The same on another device."""
        return DenseTruth(things=self.things.to(device), places=self.places.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseLabels:
    """The sizes, colours and shapes of a data set, as three sets of classes. Class 0 of each is background.

    Three small questions are learned in a fraction of the steps that one question with all combinations takes.
    """

    sizes: tuple[str, ...]
    colours: tuple[str, ...]
    shapes: tuple[str, ...]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Classes of each question, background included."""
        return 1 + len(self.sizes), 1 + len(self.colours), 1 + len(self.shapes)

    @classmethod
    def collect(cls, rows: Sequence[Mapping[str, Any]]) -> "DenseLabels":
        """Every size, colour and shape in the rows. Raises BadInput when the rows have no objects."""
        things = [thing for row in rows for thing in row.get("objects", ())]
        if not things:
            raise BadInput("A perception warm-up needs rows with 'objects'; set perception.steps to 0 for this data.")
        every = {key: tuple(sorted({thing[key] for thing in things})) for key in ("size", "colour", "shape")}
        return cls(sizes=every["size"], colours=every["colour"], shapes=every["shape"])

    def of(
        self, row: Mapping[str, Any], prefix: Prefix
    ) -> tuple[Int[Tensor, "questions tokens"], Int[Tensor, " tokens"]]:
        """Classes and region (0 ... 8, row-major thirds) of each merged token of the row's images.

        `scene` and `objects` describe the first image; the tokens of further ones are IGNORE. A token names an object
        that covers most of it or whose centre it holds. One that an object only touches is neither that object nor
        background: IGNORE. So is an object's size, colour or shape that is not among the classes.
        """
        _, rows, cols = prefix.grids[0]
        height, width = row["scene"]["height"] / rows, row["scene"]["width"] / cols
        objects = torch.zeros(3, rows, cols, dtype=torch.long)
        for thing in row["objects"]:
            top, left, bottom, right = thing["box"]
            covered = _overlap(rows, height, top, bottom)[:, None] * _overlap(cols, width, left, right)[None, :]
            classes = (
                _place(self.sizes, thing["size"]),
                _place(self.colours, thing["colour"]),
                _place(self.shapes, thing["shape"]),
            )
            named = covered > MOST
            named[int((top + bottom) / 2 / height), int((left + right) / 2 / width)] = True
            objects[:, (covered > 0.02) & ~named & (objects == 0).all(dim=0)] = IGNORE
            objects[:, named] = torch.tensor(classes)[:, None]
        third = lambda n: (torch.arange(n) + 0.5) * 3 / n  # noqa: E731
        regions = third(rows).long()[:, None] * 3 + third(cols).long()[None, :]
        further = sum(math.prod(grid) for grid in prefix.grids[1:])
        pad = torch.nn.functional.pad
        return pad(objects.flatten(1), (0, further), value=IGNORE), pad(regions.flatten(), (0, further), value=IGNORE)


def _place(names: Sequence[str], name: str) -> int:
    return 1 + names.index(name) if name in names else IGNORE


def _overlap(n: int, size: float, low: float, high: float) -> Tensor:
    """Share of each of n cells of the given size that the span low ... high covers."""
    start = torch.arange(n) * size
    return ((start + size).clamp(max=high) - start.clamp(min=low)).clamp(min=0) / size
