"""The Shapes world: small pictures of which everything is known, and questions about them.

It knows which object every word of a reasoning names and which pixels that object covers,
so it is where models are trained without downloads and where probes are calibrated.
"""

from workbench.data.shapes.composition import make_scene
from workbench.data.shapes.config import ShapesConfig
from workbench.data.shapes.dataset import image_name, read_rows, to_row, write_shapes
from workbench.data.shapes.drawing import draw, masks
from workbench.data.shapes.language import caption, describe, describe_placed
from workbench.data.shapes.sample import ShapesSample, ask, make_sample
from workbench.data.shapes.scene import Background, Scene, ShapeObject
from workbench.data.shapes.thought import ParsedThought, ThoughtScore, parse_thought, score_thought
from workbench.data.shapes.world import (
    COLOURS,
    HELD_OUT,
    NUMBERS,
    PLACES,
    SHAPES,
    SIZES,
    SPLITS,
    TASKS,
    Item,
    split_of,
)

__all__ = [
    "COLOURS",
    "HELD_OUT",
    "NUMBERS",
    "PLACES",
    "SHAPES",
    "SIZES",
    "SPLITS",
    "TASKS",
    "Background",
    "Item",
    "ParsedThought",
    "Scene",
    "ShapeObject",
    "ShapesConfig",
    "ShapesSample",
    "ThoughtScore",
    "ask",
    "caption",
    "describe",
    "describe_placed",
    "draw",
    "image_name",
    "make_sample",
    "make_scene",
    "masks",
    "parse_thought",
    "read_rows",
    "score_thought",
    "split_of",
    "to_row",
    "write_shapes",
]
