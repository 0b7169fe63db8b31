"""From what a person asks for to the plan of an export: data and checkpoint are found, and known by their content."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from workbench.assets import resolve_checkpoint
from workbench.data.arrow import import_parquet
from workbench.data.reader import find_reader
from workbench.data.sifting import OnError
from workbench.errors import BadInput, UnknownName
from workbench.export.place import Place
from workbench.export.plan import EXTRAS, Plan
from workbench.models.checkpoint import choose_device, find_format
from workbench.models.reading import check_folder, checkpoint_hash
from workbench.telling import name_of_text
from workbench.types import Context

_LEAST = {"n": 1, "max_tokens": 1, "top": 1, "part_rows": 1, "batch": 1, "threads": 1, "ahead": 0}


def make_plan(
    data: str,
    checkpoint: str,
    out: Path,
    *,
    split: str = "test",
    n: int | None = None,
    extras: Sequence[str] = (),
    parquet: bool = False,
    on_error: OnError = "skip",
    context: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    **numbers: int,
) -> Plan:
    """The plan of an export.

    Args:
        data: as `find_reader` takes it.
        checkpoint: bundled name or folder.
        out: a `.jsonl` file, or a folder.
        split: part of the data.
        n: how many rows, bad ones included; None: all.
        extras: names of `EXTRAS`.
        parquet: whether Parquet is written beside the JSONL.
        on_error: what becomes of bad rows.
        context: what the decoder sees; None: the model's own choice.
        device: where the model runs; None: chosen on each machine.
        dtype: in which precision; None: chosen here, by the device that is here, and the same on all machines.
        **numbers: other whole numbers of `Plan`, by name.

    Raises:
        BadInput: for data that cannot be read or never ends, for a number that is too small, for an unknown device.
        BadCheckpoint: for a checkpoint that cannot be used.
        UnknownName: for an extra, a split or a context that there is not.
        MissingExtra: for Parquet without pyarrow.
    """
    _check_numbers({"n": n, **numbers})
    _check_known("part of a record", extras, EXTRAS)
    _check_known("context", [] if context is None else [context], get_args(Context))
    if parquet:
        import_parquet()  # what is missing is told before the model is loaded
    place = Place.of(out)
    found: dict[str, Any] = {**numbers, **_find_data(data, split, n), **_find_model(checkpoint, device, dtype)}
    return Plan(
        **found,
        folder=place.folder,
        arrays=place.arrays_name,
        extras=tuple(extra for extra in EXTRAS if extra in extras),
        parquet=parquet,
        on_error=on_error,
        context=cast("Context | None", context),
    )


def _find_data(data: str, split: str, n: int | None) -> dict[str, Any]:
    reader, source = find_reader(data, split=split)
    if reader.endless and n is None:
        raise BadInput(f"'{data}' never ends; say how many rows with --n.")
    info = reader.describe(source, split=split)
    found = {"data_revision": info.revision, "data_title": info.title, "data_rows": info.rows}
    return {"data": _absolute(data), "split": split, "n": n, **found}


def _find_model(checkpoint: str, device: str | None, dtype: str | None) -> dict[str, Any]:
    folder = resolve_checkpoint(checkpoint).absolute()
    check_folder(folder)
    _, precision = choose_device(device, dtype)
    found = {"checkpoint": folder, "checkpoint_sha256": checkpoint_hash(folder), **_find_text(folder)}
    return {**found, "device": device, "dtype": str(precision).removeprefix("torch.")}


def _find_text(folder: Path) -> dict[str, Any]:
    """What the checkpoint writes, as far as its files say it."""
    known = find_format(folder)
    layout = None if known is None else known.layout(folder)
    if layout is None:
        return {}
    return {"tells": layout.tells if layout.contexts else "nothing", "text": name_of_text(layout)}


def _check_numbers(numbers: Mapping[str, int | None]) -> None:
    for name, value in numbers.items():
        if value is not None and value < _LEAST.get(name, 0):
            raise BadInput(f"{name.replace('_', '-')} is {value}, but must be {_LEAST.get(name, 0)} or more.")


def _check_known(kind: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownName(kind, name, known)


def _absolute(data: str) -> str:
    # Workers may stand in another folder.
    name, colon, source = data.partition(":")
    if Path(data).exists():
        return str(Path(data).absolute())
    return f"{name}:{Path(source).absolute()}" if colon and source and Path(source).exists() else data
