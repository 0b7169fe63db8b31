"""Evidence of which the place is known, in any image and for any embedding model.

A disc of a colour that the image has little of is painted into the image. The right candidate is the same image with the disc
elsewhere, the wrong one the image without: nothing but the presence of the disc can decide between them, so a map of that
contrast must point at the disc. The right candidate has it in another place, because a score of an image against itself has
no gradient.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from workbench.embedder import Keep
from workbench.errors import BadInput, Unsupported
from workbench.evaluation.known_maps import KnownSample
from workbench.images import open_image, refer
from workbench.localising import cell_shares
from workbench.samples import make_sample
from workbench.targets import EmbeddingTarget, Score
from workbench.types import Encoded, ImageRef, Sample

COLOURS = ((218, 34, 34), (38, 158, 52), (36, 72, 226), (244, 206, 24), (156, 40, 188), (30, 202, 214))
SHARE = 0.3
"""The disc's diameter, as a share of the shorter side."""
_FILES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A query with evidence in it, and the two candidates between which the evidence decides."""

    query: Sample
    bare: Sample
    """The query without the evidence."""
    right: Sample
    wrong: Sample
    mask: Bool[np.ndarray, "height width"]
    """The pixels of the evidence."""


def plant(image: ImageRef, text: str = "", *, seed: int = 0) -> Planted:
    """Paint the disc into a quarter of the image that the seed picks; the right candidate has it in the opposite one."""
    pixels = np.asarray(open_image(image))
    draw = np.random.default_rng(seed)
    quarter = draw.integers(2, size=2)
    mean = pixels.reshape(-1, 3).mean(axis=0)
    colour = max(COLOURS, key=lambda option: float(np.abs(np.array(option) - mean).sum()))
    own, other = (_disc(pixels.shape[:2], place, draw) for place in (quarter, 1 - quarter))
    with_own, with_other = _painted(pixels, own, colour, image.name), _painted(pixels, other, colour, image.name)
    return Planted(
        query=make_sample([with_own], text),
        bare=make_sample([image], text),
        right=make_sample([with_other], "", role="document"),
        wrong=make_sample([image], "", role="document"),
        mask=own,
    )


def planted_sample(model: Any, planted: Planted) -> KnownSample:
    """The contrast of the two candidates as a target, with the disc as its known evidence.

    Raises Unsupported when the disc does not move the model towards the right candidate: then it is no evidence to it, and
    no map need point there.
    """
    encoded: Encoded = model.prepare(planted.query)
    right, wrong = model.embed([model.prepare(planted.right), model.prepare(planted.wrong)])
    [trace] = model.trace([encoded], Keep(latents=False, attention=False, edits=False, continuation=False))
    encoded = model.hold(encoded, trace)
    # What a text that is written first makes of the disc no map can show, so it does not count here.
    bare = model.embed([model.hold(model.prepare(planted.bare), trace)])[0]
    moved = float((trace.embedding - bare) @ (right - wrong))
    if moved <= 0:
        raise Unsupported(
            f"The disc in '{planted.query.images[0].name}' does not move '{model.info.name}' towards the candidate that has "
            f"it (by {moved:.3f}), so nothing is known about where its maps should point."
        )
    score = Score(kind="contrast", positive=right, others=wrong[None])
    return KnownSample(
        encoded=encoded,
        trace=trace,
        context=None,
        targets=(EmbeddingTarget(label="embedding: with the disc against without", score=score),),
        kinds=("embedding",),
        truth=_cells(planted.mask, encoded)[None],
    )


def planted_samples(model: Any, folder: Path, *, n: int, seed: int = 0) -> Iterator[KnownSample]:
    """One sample for each of the first `n` images of a folder, by name; those that the disc does not move have no target.

    Raises BadInput for a folder without images, or an image that cannot be read.
    """
    if not folder.is_dir():
        raise BadInput(f"'{folder}' is not a folder; give one with images to plant evidence in.")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _FILES)[:n]
    if not files:
        raise BadInput(f"'{folder}' holds no images ({', '.join(_FILES)}); give a folder with some.")
    for number, file in enumerate(files):
        planted = plant(refer(file), seed=seed + number)
        try:
            yield planted_sample(model, planted)
        except Unsupported:
            yield _without_target(model, planted)


def _without_target(model: Any, planted: Planted) -> KnownSample:
    encoded = model.prepare(planted.query)
    [trace] = model.trace([encoded], Keep(latents=False, attention=False, edits=False, continuation=False))
    return KnownSample(
        encoded=encoded, trace=trace, context=None, targets=(), kinds=(), truth=_cells(planted.mask, encoded)[None][:0]
    )


def _cells(mask: Bool[np.ndarray, "height width"], encoded: Encoded) -> Float[np.ndarray, " cells"]:
    [grid] = encoded.grids
    return np.tile(cell_shares(mask, grid.rows, grid.cols).reshape(-1), grid.frames)


def _disc(size: tuple[int, ...], quarter: np.ndarray, draw: np.random.Generator) -> Bool[np.ndarray, "height width"]:
    """A disc that lies wholly in the image, its centre in the given quarter."""
    height, width = size
    radius = SHARE * min(height, width) / 2
    # Half a quarter of room, so that discs of opposite quarters never touch.
    down, across = ((side / 4 + side / 2 * half) for side, half in zip(size, quarter.tolist(), strict=True))
    down += draw.uniform(-1, 1) * max(0.0, height / 4 - radius)
    across += draw.uniform(-1, 1) * max(0.0, width / 4 - radius)
    rows, cols = np.arange(height)[:, None] + 0.5, np.arange(width)[None, :] + 0.5
    return (rows - down) ** 2 + (cols - across) ** 2 <= max(radius, 0.75) ** 2


def _painted(
    pixels: np.ndarray, mask: Bool[np.ndarray, "height width"], colour: tuple[int, int, int], name: str
) -> ImageRef:
    changed = pixels.copy()
    changed[mask] = colour
    file = io.BytesIO()
    Image.fromarray(changed).save(file, format="PNG", compress_level=1)
    data = file.getvalue()
    # Not `refer`: a photograph may be larger as PNG than files from strangers may be.
    return ImageRef(
        data=data, sha256=hashlib.sha256(data).hexdigest(), width=pixels.shape[1], height=pixels.shape[0], name=name
    )
