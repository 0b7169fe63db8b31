"""A map as one Parquet file: plain columns that other viewers open, and everything else in the schema's metadata.

One row is one point. `x` and `y` are the shown projection, `neighbors` is a struct of `ids` (rows of the file) and
`distances`, `image` a struct of `bytes` (JPEG) and `path`: the forms that embedding-atlas and jupyter-scatter expect, and that
FiftyOne takes as manual points. A map is read back from it without loss.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.arrow import import_parquet
from workbench.errors import BadInput
from workbench.latent_map import (
    NO_STEP,
    NO_VALUE,
    Cluster,
    Column,
    ColumnKind,
    LatentMap,
    MapFigure,
    MapSample,
    Mover,
    Pairing,
)
from workbench.store import from_json, to_json
from workbench.types import Provenance

KEY = b"thinkscope.map"
FORMAT = "thinkscope.map/1"
_ROWS = 20_000
_DICTIONARY = 16 * 2**20
"""Bytes of different values in a group of rows up to which a value is written once: a sample's picture stands in K rows."""
_RESERVED = (
    *("id", "row", "role", "x", "y", "k", "checkpoint", "checkpoint_index", "text", "answer", "thought", "image"),
    *("neighbors", "kept", "counterpart", "change", "pca_x", "pca_y", "umap_x", "umap_y"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ColumnHead:
    name: str
    field: str
    """What the file calls it."""
    kind: str
    categories: tuple[str, ...]
    about: str
    better: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _PairingHead:
    alignment: Mapping[str, str]
    about: str
    movers: tuple[Mover, ...]
    k: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What is no column."""

    format: str
    title: str
    of: str
    layer: int | None
    checkpoints: tuple[Provenance, ...]
    source: Mapping[str, str]
    projections: tuple[str, ...]
    shown: str
    columns: tuple[_ColumnHead, ...]
    near: int
    """Width of the table of neighbours."""
    figures: tuple[MapFigure, ...]
    clusters: tuple[Cluster, ...]
    duplicates: int
    pairing: _PairingHead | None
    parameters: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    seconds: Mapping[str, float]
    notes: tuple[str, ...]
    reading: str


def write_map(latent_map: LatentMap, path: Path) -> None:
    """Write a map, whole or not at all. Raises MissingExtra without pyarrow."""
    parquet = import_parquet()
    import pyarrow

    head = _head(latent_map)
    table = pyarrow.table(_table(latent_map, head, pyarrow))
    table = table.replace_schema_metadata({KEY: json.dumps(to_json(head), allow_nan=False).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        parquet.write_table(
            table, beside, row_group_size=_ROWS, compression="zstd", dictionary_pagesize_limit=_DICTIONARY
        )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_map(path: Path) -> LatentMap:
    """Read what `write_map` wrote. Raises BadInput for any other file, MissingExtra without pyarrow."""
    parquet = import_parquet()
    from pyarrow.lib import ArrowException

    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise BadInput(f"'{path}' cannot be read as Parquet: {str(error).splitlines()[0].rstrip('.')}.") from error
    stored = (table.schema.metadata or {}).get(KEY)
    if stored is None:
        raise BadInput(f"'{path}' is Parquet, but no map of thinkscope.")
    try:
        head = from_json(_Head, json.loads(stored))
        if head.format != FORMAT:
            raise BadInput(f"'{path}' is a map of the format '{head.format}', but this version reads {FORMAT}.")
        return _restore(head, table)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise BadInput(f"The map '{path}' is damaged: {error}.") from error


def _head(latent_map: LatentMap) -> _Head:
    pairing = latent_map.pairing
    taken = set(_RESERVED)
    columns = []
    for column in latent_map.columns:
        columns.append(
            _ColumnHead(
                name=column.name,
                field=_field(column.name, taken),
                kind=column.kind,
                categories=column.categories,
                about=column.about,
                better=column.better,
            )
        )
    same = ("title", "of", "layer", "checkpoints", "source", "shown", "figures", "clusters", "duplicates", "parameters")
    same += ("seed", "versions", "seconds", "notes", "reading")
    return _Head(
        format=FORMAT,
        projections=tuple(latent_map.projections),
        columns=tuple(columns),
        near=latent_map.neighbours.shape[1],
        pairing=pairing
        and _PairingHead(
            alignment={str(name): str(how) for name, how in pairing.alignment.items()},
            about=pairing.about,
            movers=pairing.movers,
            k=pairing.k,
        ),
        **{name: getattr(latent_map, name) for name in same},
    )


def _field(name: str, taken: set[str]) -> str:
    """A plain name, unlike all others."""
    plain = re.sub(r"\W+", "_", name).strip("_") or "column"
    found, number = plain, 2
    while found in taken:
        found, number = f"{plain}_{number}", number + 1
    taken.add(found)
    return found


def _table(latent_map: LatentMap, head: _Head, pyarrow: Any) -> dict[str, Any]:
    samples = [latent_map.samples[i] for i in latent_map.sample.tolist()]
    at = latent_map.checkpoint.tolist()
    places = latent_map.projections[latent_map.shown]
    table = {
        "id": pyarrow.array([sample.id for sample in samples], pyarrow.string()),
        "row": pyarrow.array([sample.row for sample in samples], pyarrow.int32()),
        "role": pyarrow.array([sample.role for sample in samples], pyarrow.string()),
        "x": pyarrow.array(places[:, 0]),
        "y": pyarrow.array(places[:, 1]),
        "k": pyarrow.array(latent_map.k, mask=latent_map.k == NO_STEP),
        "checkpoint": pyarrow.array([latent_map.checkpoints[i].checkpoint for i in at], pyarrow.string()),
        "checkpoint_index": pyarrow.array(latent_map.checkpoint),
        "text": pyarrow.array([sample.text for sample in samples], pyarrow.string()),
        "answer": pyarrow.array([sample.answer for sample in samples], pyarrow.string()),
        "thought": pyarrow.array([sample.thoughts[i] for sample, i in zip(samples, at, strict=True)], pyarrow.string()),
        "image": _images(samples, pyarrow),
        "neighbors": _neighbours(latent_map, pyarrow),
        "kept": pyarrow.array(latent_map.kept, mask=np.isnan(latent_map.kept)),
    }
    for name, places in latent_map.projections.items():
        table |= {f"{name}_{axis}": pyarrow.array(places[:, i]) for i, axis in enumerate("xy")}
    if latent_map.pairing is not None:
        table |= _pairs(latent_map, latent_map.pairing, pyarrow)
    for column, told in zip(latent_map.columns, head.columns, strict=True):
        table[told.field] = _values(column, pyarrow)
    return table


def _images(samples: list[MapSample], pyarrow: Any) -> Any:
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    held = [
        {"bytes": sample.thumbnail or None, "path": sample.image or None} if sample.thumbnail or sample.image else None
        for sample in samples
    ]
    return pyarrow.array(held, kind)


def _neighbours(latent_map: LatentMap, pyarrow: Any) -> Any:
    there = latent_map.neighbours != NO_VALUE
    offsets = pyarrow.array(np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32))
    ids = pyarrow.ListArray.from_arrays(offsets, pyarrow.array(latent_map.neighbours[there]))
    distances = pyarrow.ListArray.from_arrays(offsets, pyarrow.array(latent_map.distances[there]))
    return pyarrow.StructArray.from_arrays([ids, distances], names=["ids", "distances"])


def _pairs(latent_map: LatentMap, pairing: Pairing, pyarrow: Any) -> dict[str, Any]:
    counterpart = np.full(len(latent_map), NO_VALUE, dtype=np.int32)
    change = np.full(len(latent_map), np.nan, dtype=np.float32)
    for side in (0, 1):
        counterpart[pairing.pairs[:, side]] = pairing.pairs[:, 1 - side]
        change[pairing.pairs[:, side]] = pairing.change
    return {
        "counterpart": pyarrow.array(counterpart, mask=counterpart == NO_VALUE),
        "change": pyarrow.array(change, mask=np.isnan(change)),
    }


def _values(column: Column, pyarrow: Any) -> Any:
    match column.kind:
        case "categorical":
            names = np.array([*column.categories, ""], dtype=object)
            return pyarrow.array(names[column.values], pyarrow.string(), mask=column.values == NO_VALUE)
        case "number":
            return pyarrow.array(column.values, mask=np.isnan(column.values))
        case "text":
            return pyarrow.array(column.values.tolist(), pyarrow.string())


def _restore(head: _Head, table: Any) -> LatentMap:
    def numbers(name: str, missing: float, kind: type[np.generic]) -> np.ndarray:
        return table[name].fill_null(missing).to_numpy().astype(kind)

    checkpoint = numbers("checkpoint_index", 0, np.int32)
    samples, sample = _restore_samples(table, checkpoint, len(head.checkpoints))
    neighbours, distances = _restore_neighbours(table, head.near)
    given: dict[str, Any] = {
        name: getattr(head, name)
        for name in ("title", "of", "layer", "checkpoints", "source", "shown", "figures", "clusters", "duplicates")
    }
    given |= {name: getattr(head, name) for name in ("parameters", "seed", "versions", "seconds", "notes", "reading")}
    return LatentMap(
        **given,
        samples=samples,
        sample=sample,
        k=numbers("k", NO_STEP, np.int32),
        checkpoint=checkpoint,
        projections={
            name: np.stack([numbers(f"{name}_{axis}", 0.0, np.float32) for axis in "xy"], axis=1)  # type: ignore[misc]
            for name in head.projections
        },
        columns=tuple(_restore_column(told, table) for told in head.columns),
        neighbours=neighbours,
        distances=distances,
        kept=numbers("kept", np.nan, np.float32),
        pairing=None if head.pairing is None else _restore_pairing(head.pairing, table, checkpoint),
    )


def _restore_samples(table: Any, checkpoint: np.ndarray, n: int) -> tuple[tuple[MapSample, ...], np.ndarray]:
    names = ("id", "row", "role", "text", "answer", "thought", "image")
    columns = [table[name].to_pylist() for name in names]
    places: dict[str, int] = {}
    held: list[dict[str, Any]] = []
    sample = np.empty(len(checkpoint), dtype=np.int32)
    for point, (row, at) in enumerate(zip(zip(*columns, strict=True), checkpoint.tolist(), strict=True)):
        one = dict(zip(names, row, strict=True))
        place = sample[point] = places.setdefault(one["id"], len(places))
        if place == len(held):
            held.append(one | {"thoughts": [""] * n})
        held[place]["thoughts"][at] = one["thought"]
    return tuple(_restore_sample(one) for one in held), sample


def _restore_sample(one: dict[str, Any]) -> MapSample:
    image = one["image"] or {}
    return MapSample(
        id=one["id"],
        row=one["row"],
        role=one["role"],
        text=one["text"],
        answer=one["answer"],
        image=image.get("path") or "",
        thumbnail=image.get("bytes") or b"",
        thoughts=tuple(one["thoughts"]),
    )


def _restore_neighbours(table: Any, near: int) -> tuple[np.ndarray, np.ndarray]:
    n = len(table)
    found = np.full((n, near), NO_VALUE, dtype=np.int32), np.full((n, near), np.nan, dtype=np.float32)
    held = table["neighbors"].combine_chunks()
    for array, name in zip(found, ("ids", "distances"), strict=True):
        lists = held.field(name)
        sizes = np.diff(lists.offsets.to_numpy())
        there = np.arange(near)[None] < sizes[:, None]
        array[there] = lists.flatten().to_numpy()
    return found


def _restore_column(told: _ColumnHead, table: Any) -> Column:
    kind: ColumnKind = told.kind  # type: ignore[assignment]
    if kind == "number":
        values = table[told.field].fill_null(np.nan).to_numpy().astype(np.float32)
    elif kind == "text":
        values = np.array(table[told.field].to_pylist(), dtype=np.str_)
    else:
        codes = {category: code for code, category in enumerate(told.categories)} | {None: NO_VALUE}
        values = np.array([codes[value] for value in table[told.field].to_pylist()], dtype=np.int32)
    return Column(
        name=told.name,
        kind=kind,
        values=values,
        categories=told.categories,
        about=told.about,
        better=told.better,  # type: ignore[arg-type]
    )


def _restore_pairing(head: _PairingHead, table: Any, checkpoint: np.ndarray) -> Pairing:
    counterpart = table["counterpart"].fill_null(NO_VALUE).to_numpy()
    first = np.flatnonzero((counterpart != NO_VALUE) & (checkpoint == 0))
    return Pairing(
        alignment=head.alignment,  # type: ignore[arg-type]
        about=head.about,
        pairs=np.stack([first, counterpart[first]], axis=1).astype(np.int32),
        change=table["change"].fill_null(np.nan).to_numpy()[first].astype(np.float32),
        movers=head.movers,
        k=head.k,
    )


def is_map(path: Path) -> bool:
    """Whether a file is a map, by its metadata alone."""
    parquet = import_parquet()
    from pyarrow.lib import ArrowException

    try:
        return KEY in (parquet.read_schema(path).metadata or {})
    except (ArrowException, OSError):
        return False
