"""Points from a data set and a checkpoint: read, traced and decoded part by part, in memory that grows with the vectors alone."""

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from workbench.data.reader import Reader, find_reader
from workbench.data.records import DataInfo, Pair, Row
from workbench.data.sifting import name_rows
from workbench.embedder import Embedder
from workbench.errors import BadInput, Cancelled
from workbench.export.making import Maker
from workbench.export.plan import Plan
from workbench.images import open_image
from workbench.latent_map import Of
from workbench.mapping.gathering import Gatherer, image_path
from workbench.mapping.points import Points, check_layer
from workbench.mapping.sampling import Drawn, draw
from workbench.mapping.settings import MAX_POINTS
from workbench.models.checkpoint import find_format
from workbench.stages import Progress, quiet

PART = 64
"""Samples whose arrays are held at once."""
THUMBNAILS = 10_000
"""Samples that get a picture; 1.5 kB each."""
SIDE = 64
MAX_COUNTED = 5_000_000
"""Rows that are counted where the data do not say how many they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A data set, and which of its rows are taken."""

    reader: Reader
    source: str
    split: str
    info: DataInfo
    drawn: Drawn
    end: int
    """Rows that are looked at."""

    def rows(self) -> Iterator[Row]:
        """The rows that are taken, under their names."""
        places = iter(self.drawn.places.tolist())
        wanted = next(places, None)
        for place, row in enumerate(name_rows(islice(self.reader.rows(self.source, split=self.split), self.end))):
            if wanted is None:
                return
            if place == wanted:
                wanted = next(places, None)
                yield row


def collect_points(
    model: Embedder,
    data: str,
    *,
    of: Of,
    split: str = "test",
    n: int | None = None,
    layer: int | None = None,
    limit: int = MAX_POINTS,
    seed: int = 0,
    thumbnails: bool = True,
    tell: Progress = quiet,
    cancelled: Callable[[], bool] = lambda: False,
) -> Points:
    """Trace the queries of a data set and keep one vector of each, or one for each think token.

    A row that cannot be read, or that the model refuses, gives no point and is counted in the notes.

    Args:
        model: any embedder; thoughts are decoded where it can.
        data: as `find_reader` takes it.
        of: what a point is.
        split: part of the data.
        n: rows to read; None: all.
        layer: decoder layer from 0, or from the end; None: the last. Of no meaning for embeddings.
        limit: points beyond which samples are drawn.
        seed: of that draw.
        thumbnails: whether images are kept as small pictures.
        tell: told the share done.
        cancelled: asked before each part.

    Raises:
        BadInput: for data that cannot be read, that never end, or of which no row gave a point.
        Cancelled: when `cancelled` said so.
    """
    begin = time.perf_counter()
    layer, per_sample = _what(model, of, layer)
    source = _open(data, split, n, limit=limit, per_sample=per_sample, seed=seed)
    total = len(source.drawn.places)
    gatherer = Gatherer(of, layer, total, tells=model.info.tells, ids_tell=source.reader.name == "shapes")
    maker = Maker(_plan(data, split, source.info, of, model), model)
    pictured = set(np.random.default_rng(seed).permutation(total)[:THUMBNAILS].tolist()) if thumbnails else set()
    rows, done = source.rows(), 0
    while part := list(islice(rows, PART)):
        if cancelled():
            raise Cancelled("The map was given up.")
        tell(done / total, f"Reading thoughts: {done:,} of {total:,} samples")
        _gather(maker, [_Kept(row=row, picture=done + i in pictured) for i, row in enumerate(part)], gatherer)
        done += len(part)
    points = gatherer.points(
        model.info.provenance,
        source={"data": data, "split": split, "revision": source.info.revision},
        title=f"{source.info.title} ({split})",
        seconds=time.perf_counter() - begin,
    )
    told = [source.drawn.note(per_sample, seed), *points.notes]
    if thumbnails and total > THUMBNAILS:
        told.append(f"{THUMBNAILS:,} of the samples, drawn too, have a picture.")
    return replace(points, notes=tuple(filter(None, told)), found=source.drawn.found * per_sample)


def _what(model: Embedder, of: Of, layer: int | None) -> tuple[int | None, int]:
    """The layer, and how many points each sample has."""
    if of == "embedding":
        return None, 1
    if not model.info.n_think:
        raise BadInput(_no_thoughts(model.info.name))
    return check_layer(layer, model.info.n_layers), model.info.n_think if of == "thoughts" else 1


def check_thoughts(path: Path, of: Of) -> None:
    """Refuse a map of thoughts of a checkpoint that has none, from the JSON in its folder alone.

    A folder of no known format passes, and one whose format tells its layout with the weights: loading it says the rest.

    Raises:
        BadInput: for a checkpoint without think tokens.
        BadCheckpoint: for a layout that cannot be read.
    """
    known = None if of == "embedding" else find_format(path)
    layout = None if known is None else known.layout(path)
    if layout is not None and not layout.n_think:
        raise BadInput(_no_thoughts(path.name))


def _no_thoughts(name: str) -> str:
    return (
        f"'{name}' has no think tokens, so there are no thoughts to map; map embeddings instead (--of embedding, or 'Embeddings' on "
        "the page)."
    )


@dataclass(slots=True)
class _Kept:
    """A row that remembers what it was made into, so that its picture needs no second reading."""

    row: Row
    picture: bool
    pair: Pair | None = field(default=None)

    def listening(self) -> Row:
        """The row, heard."""
        return replace(self.row, make=self._make) if self.row.make is not None else self.row

    def _make(self) -> Pair:
        assert self.row.make is not None
        self.pair = self.row.make()
        return self.pair


def _open(data: str, split: str, n: int | None, *, limit: int, per_sample: int, seed: int) -> _Source:
    reader, source = find_reader(data, split=split)
    if n is not None and n < 1:
        raise BadInput(f"The number of samples is {n}, but must be 1 or more.")
    if reader.endless and n is None:
        raise BadInput(f"'{data}' never ends; say how many rows with --n.")
    info = reader.describe(source, split=split)
    if reader.endless and n is not None:
        found = n
    elif info.rows is not None:
        found = info.rows if n is None else min(n, info.rows)
    else:
        found = sum(1 for _ in islice(reader.rows(source, split=split), MAX_COUNTED if n is None else n))
    if not found:
        raise BadInput(f"'{data}' has no rows in its split '{split}'.")
    drawn = draw(found, limit=limit, per_sample=per_sample, seed=seed)
    return _Source(reader=reader, source=source, split=split, info=info, drawn=drawn, end=found)


def _plan(data: str, split: str, info: DataInfo, of: Of, model: Embedder) -> Plan:
    """What an export of the same samples would be told; nothing is written, so the places in it lead nowhere."""
    return Plan(
        data=data,
        split=split,
        data_revision=info.revision,
        checkpoint=Path(model.info.provenance.checkpoint),
        checkpoint_sha256=model.info.provenance.checkpoint_sha256,
        folder=Path(),
        extras=("embedding",) if of == "embedding" else ("latents",),
        top=1,
        part_rows=PART,
    )


def _gather(maker: Maker, kept: Sequence[_Kept], gatherer: Gatherer) -> None:
    made = maker.make([one.listening() for one in kept], arrays_file="")
    for one, record in zip(kept, made.records, strict=True):

        def read(name: str, number: int = record["row"]) -> np.ndarray | None:
            return made.arrays.get(f"{number}.{name}")

        images = one.pair.query.images if one.pair is not None else ()
        first = images[0] if images else None
        target = one.pair.target if one.pair is not None else None
        gatherer.add(
            record,
            read,
            target=target.text if target is not None else "",
            image=image_path(first.path, first.name) if first else "",
            thumbnail=_thumbnail(one) if one.picture and first and record["error"] is None else b"",
        )


def _thumbnail(one: _Kept) -> bytes:
    assert one.pair is not None
    image = open_image(one.pair.query.images[0])
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=75)
    return file.getvalue()
