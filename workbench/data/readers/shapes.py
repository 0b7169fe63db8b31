"""The Shapes world as a data set that needs no files: samples are drawn as they are read."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from io import BytesIO
from itertools import count
from typing import final

from PIL import Image

from workbench import __version__
from workbench.data.reader import READERS, DataInfo, Pair, Reader, Row
from workbench.data.shapes import SPLITS, Scene, ShapesConfig, ShapesSample, draw, make_sample
from workbench.errors import BadInput, UnknownName
from workbench.images import refer
from workbench.samples import make_sample as make_record
from workbench.types import ImageRef


@READERS.register("shapes")
@final
class Shapes(Reader):
    """Samples of the Shapes world, without end; the source is its seed, 7 when empty."""

    name = "shapes"
    about = "The Shapes world, drawn as it is read; 'shapes:SEED' is another world."
    endless = True

    def rows(self, source: str, *, split: str) -> Iterator[Row]:
        config = _config(source, split)
        for index in count():
            make = partial(_make, config, split, index)
            yield Row(number=index + 1, where=f"Row {index + 1} of Shapes", id=f"{split}-{index:06d}", make=make)

    def describe(self, source: str, *, split: str) -> DataInfo:
        config = _config(source, split)
        settings = json.dumps([__version__, split, asdict(config)], sort_keys=True)
        return DataInfo(
            title=f"Shapes, seed {config.seed}",
            rows=None,
            revision=f"sha256:{hashlib.sha256(settings.encode()).hexdigest()}",
        )


def to_pair(sample: ShapesSample) -> Pair:
    """A sample of the world with its images drawn."""
    image = _picture(sample.scene)
    if sample.target_is_image:
        target = make_record([image], "", role="document")
    else:
        target = make_record([], sample.target_text or "", role="document")
    query = make_record([image] if sample.has_image else [], sample.query)
    return Pair(
        query=replace(query, metadata={"split": sample.split, "task": sample.task}),
        reasoning=sample.reasoning,
        answer=sample.answer,
        target=target,
        target_id=sample.target_id,
        negatives=tuple(make_record([], text, role="document") for text in sample.negatives),
    )


def sample_at(source: str, split: str, number: int) -> ShapesSample:
    """The sample behind a row, by its number; everything is known of it. Raises BadInput or UnknownName as `Shapes` does."""
    return make_sample(_config(source, split), split, number - 1)


def _config(source: str, split: str) -> ShapesConfig:
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    if source and not source.isdecimal():
        raise BadInput(f"The source of Shapes is '{source}', but must be a seed: a whole number of 0 or more.")
    return ShapesConfig(seed=int(source)) if source else ShapesConfig()


def _make(config: ShapesConfig, split: str, index: int) -> Pair:
    return to_pair(make_sample(config, split, index))


def _picture(scene: Scene) -> ImageRef:
    buffer = BytesIO()
    Image.fromarray(draw(scene)).save(buffer, format="PNG", compress_level=1)
    return refer(buffer.getvalue(), name=f"{scene.id}.png")
