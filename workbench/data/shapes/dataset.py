"""A Shapes data set on disk: images, and one JSON line per sample in the general training form."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workbench.data.shapes.config import ShapesConfig
from workbench.data.shapes.drawing import draw
from workbench.data.shapes.drawing import masks as draw_masks
from workbench.data.shapes.sample import ShapesSample, make_sample
from workbench.data.shapes.scene import Scene
from workbench.errors import BadInput
from workbench.jsonl import read_jsonl


def write_shapes(folder: Path, config: ShapesConfig, split: str, n: int, *, masks: bool = False) -> Path:
    """Write the first `n` samples of a split to `folder/<split>.jsonl` and their images to `folder/images/`.

    With `masks`, each scene also gets `images/<scene id>.masks.png`: one grey value per pixel, 0 for background and
    object index + 1. Every file appears under its name only when complete; the JSONL, which is returned, is the last.
    Raises `BadInput` when n is negative or the split unknown.
    """
    if n < 0:
        raise BadInput(f"n is {n}; give the number of samples to write, 0 or more")
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    path = folder / f"{split}.jsonl"
    # Named after the process, so that two writers of one folder do not share a half-written file.
    partial = folder / f".{split}.jsonl.{os.getpid()}"
    drawn = None
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as lines:
            for index in range(n):
                sample = make_sample(config, split, index)
                if sample.scene.id != drawn:
                    _write_images(folder, sample.scene, masks)
                    drawn = sample.scene.id
                lines.write(json.dumps(to_row(sample), separators=(",", ":")) + "\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file, one at a time. Raises `BadInput` naming the row that is not a JSON object."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path} is not a file; give the path of a JSONL file")
    for row in read_jsonl(path, expected="a Shapes sample"):
        yield row.values


def to_row(sample: ShapesSample) -> dict[str, Any]:
    """The sample as a row of the JSONL; image paths relative to the JSONL's folder."""
    scene = sample.scene
    image = image_name(scene)
    return {
        "id": sample.id,
        "split": sample.split,
        "task": sample.task,
        "images": [image] if sample.has_image else [],
        "query": sample.query,
        "reasoning": sample.reasoning,
        "answer": sample.answer,
        "target": {"text": sample.target_text, "images": [image] if sample.target_is_image else []},
        "target_id": sample.target_id,
        "negatives": [{"text": text, "images": []} for text in sample.negatives],
        "words": [list(word) for word in sample.words],
        "objects": [
            {
                "size": thing.size,
                "colour": thing.colour,
                "shape": thing.shape,
                "place": thing.place,
                "box": list(thing.box),
            }
            for thing in scene.objects
        ],
        "scene": {"id": scene.id, "width": scene.width, "height": scene.height},
    }


def image_name(scene: Scene) -> str:
    """Where a scene's image lies, relative to the JSONL's folder."""
    return f"images/{scene.id}.png"


def _write_images(folder: Path, scene: Scene, masks: bool) -> None:
    _write_png(folder / image_name(scene), draw(scene))
    if masks:
        numbers = np.arange(1, len(scene.objects) + 1, dtype=np.uint8)[:, None, None]
        _write_png(folder / "images" / f"{scene.id}.masks.png", (draw_masks(scene) * numbers).max(axis=0))


def _write_png(path: Path, pixels: np.ndarray) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        Image.fromarray(pixels).save(partial, format="PNG", compress_level=1)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
