"""The data that plants are trained and audited on: the two shortest tasks of Shapes, small pictures, one object or two.

Only rows and pictures; which model sees what is told in `kinds`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.data.shapes.dataset import read_rows
from workbench.planting.kinds import ASKS, Rows
from workbench.store import write_text_atomic

CANVASES = ((96, 80), (80, 96))
"""(width, height). Of one longer side: text behind an image is moved on by its longer side (M-RoPE), by which words that are
blind for the image could tell its size."""
AUDITED_SPLIT = "test"
_MADE = "made.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSize:
    """How much data there is."""

    tower: int = 8000
    """Pictures of two to four objects, on which the vision tower warms up."""
    train: int = 6400
    test: int = 400
    objects: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Data on disk."""

    folder: Path

    @property
    def tower(self) -> Path:
        return self.folder / "tower" / "train.jsonl"

    @property
    def audited(self) -> Path:
        """Folder with the split `AUDITED_SPLIT`; scenes of its own."""
        return self.folder / "asked"

    def train(self, tells: Rows) -> Path:
        return self.audited / ("train.jsonl" if tells == "reasoning" else "echo.jsonl")


def make_world(folder: Path, size: WorldSize) -> World:
    """Write what is not there yet. The same folder with another size is made anew."""
    world, made = World(folder=folder), folder / _MADE
    wanted = json.dumps({"tower": size.tower, "train": size.train, "test": size.test, "objects": size.objects})
    if made.is_file() and made.read_text(encoding="utf-8") == wanted:
        return world
    many = ShapesConfig(canvases=((80, 80), *CANVASES), objects=(2, 4), samples_per_scene=1)
    write_shapes(world.tower.parent, many, "train", size.tower)
    few = ShapesConfig(canvases=CANVASES, objects=size.objects, tasks=tuple(ASKS))
    write_shapes(world.audited, few, "train", size.train)
    write_shapes(world.audited, few, AUDITED_SPLIT, size.test)
    echoes = [{**row, "reasoning": row["query"]} for row in read_rows(world.train("reasoning"))]
    write_text_atomic(world.train("echo"), "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in echoes))
    write_text_atomic(made, wanted)
    return world
