"""The Shapes world as a data set that needs no files: samples are drawn as they are read."""

from collections.abc import Iterator
from io import BytesIO
from itertools import count
from typing import final

from PIL import Image

from workbench.data.reader import READERS, Pair, Reader
from workbench.data.shapes import SPLITS, Scene, ShapesConfig, ShapesSample, draw, make_sample
from workbench.errors import BadInput, UnknownName
from workbench.images import refer
from workbench.samples import make_sample as make_record
from workbench.types import ImageRef


@READERS.register("shapes")
@final
class Shapes(Reader):
    """Samples of the Shapes world; the source is its seed, 7 when empty."""

    name = "shapes"
    about = "The Shapes world, drawn as it is read; 'shapes:SEED' is another world."

    def read(self, source: str, *, split: str, limit: int | None = None) -> Iterator[Pair]:
        if split not in SPLITS:
            raise UnknownName("split", split, SPLITS)
        if source and not source.isdecimal():
            raise BadInput(f"The source of Shapes is '{source}', but must be a seed: a whole number of 0 or more.")
        config = ShapesConfig(seed=int(source)) if source else ShapesConfig()
        return (to_pair(make_sample(config, split, index)) for index in (count() if limit is None else range(limit)))


def to_pair(sample: ShapesSample) -> Pair:
    """A sample of the world with its images drawn."""
    image = _picture(sample.scene)
    if sample.target_is_image:
        target = make_record([image], "", role="document")
    else:
        target = make_record([], sample.target_text or "", role="document")
    return Pair(
        query=make_record([image] if sample.has_image else [], sample.query),
        reasoning=sample.reasoning,
        answer=sample.answer,
        target=target,
        target_id=sample.target_id,
        negatives=tuple(make_record([], text, role="document") for text in sample.negatives),
    )


def _picture(scene: Scene) -> ImageRef:
    buffer = BytesIO()
    Image.fromarray(draw(scene)).save(buffer, format="PNG", compress_level=1)
    return refer(buffer.getvalue(), name=f"{scene.id}.png")
