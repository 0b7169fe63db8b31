"""Data sets of the library `datasets`: saved on disk, laid out as on the hub, or streamed from the hub."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

from workbench.data.reader import READERS, DataInfo, Pair, Reader, Row
from workbench.data.revision import found_commit, hash_files
from workbench.data.tables import check_columns, make_pair, to_row
from workbench.errors import BadInput, MissingExtra

INSTALL = "pip install 'thinkscope[data]'"
HUB_TIMEOUT = 10
"""Seconds; without network the library itself would try for half a minute."""
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_ELSEWHERE = ("hf://", "zip://")


@READERS.register("hf")
@final
class HuggingFace(Reader):
    """Rows of the form of `workbench.data.fields`, streamed; code that comes with a data set is never run.

    The source is a folder written by `save_to_disk`, a folder that `load_dataset` reads, or a name on the hub. Only the
    last needs a network. `@REVISION` after a hub name pins it, `#CONFIG` after either picks a configuration.
    """

    name = "hf"
    about = "A folder of the library datasets (save_to_disk, or as on the hub), or OWNER/NAME[@REVISION][#CONFIG] of the hub."

    def rows(self, source: str, *, split: str) -> Iterator[Row]:
        named = _parse(source)
        data, folder = _open(named, split)
        columns = list(data.features or ())
        if columns:
            check_columns(columns, f"'{source}'")
        with _told(source):
            for number, values in enumerate(data, start=1):
                row = to_row(number, f"Row {number} of '{source}'", values, folder)
                yield row if row.make is None else replace(row, make=partial(_fetch_and_make, values, folder))

    def describe(self, source: str, *, split: str) -> DataInfo:
        named = _parse(source)
        if named.folder is None:
            named = _resolve(named)
        data, _ = _open(named, split)
        known = (data.info.splits or {}).get(split) if data.info else None
        return DataInfo(
            title=source,
            rows=known.num_examples if known else None,
            revision=named.revision if named.folder is None else _revision(named.folder),
        )

    def recognises(self, path: Path, split: str) -> bool:
        if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            return True
        return any((path / "data").glob(f"{split}-*.parquet"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    folder: Path | None
    name: str
    revision: str = ""
    config: str | None = None


def _parse(source: str) -> _Named:
    bare, _, config = source.partition("#")
    for text, chosen in ((source, None), (bare, config or None)):
        if text and Path(text).is_dir():
            return _Named(folder=Path(text), name=text, config=chosen)
    name, _, revision = bare.partition("@")
    if not _HUB_NAME.fullmatch(name) or name in (".", ".."):
        raise BadInput(f"There is no folder '{bare}', and it is no name on the hub either; expected OWNER/NAME.")
    return _Named(folder=None, name=name, revision=revision, config=config or None)


def _open(named: _Named, split: str) -> tuple[Any, Path]:
    """The rows as an iterable whose images stay encoded, and the folder to which paths in them are relative."""
    datasets = _import()
    folder = named.folder
    with _told(named.name):
        if folder is not None and ((folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()):
            return _saved(datasets, folder, split).to_iterable_dataset().decode(False), folder
        if folder is None:
            named = _resolve(named)
        revision = named.revision or None
        data = datasets.load_dataset(named.name, named.config, split=split, streaming=True, revision=revision)
        return data.decode(False), folder or Path()


def _saved(datasets: Any, folder: Path, split: str) -> Any:
    if (folder / "state.json").is_file():
        return datasets.load_from_disk(str(folder))
    held = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8")).get("splits", [])
    if split not in held:
        raise BadInput(f"'{folder}' has no split '{split}', only {', '.join(held)}.")
    return datasets.load_from_disk(str(folder / split))


def _resolve(named: _Named) -> _Named:
    """The commit that a hub name stands for now, so that data which changes meanwhile is not mixed."""
    from huggingface_hub import HfApi

    try:
        from httpx2 import HTTPError
    except ImportError:  # before version 2 of the client
        from httpx import HTTPError
    try:
        found = HfApi().dataset_info(named.name, revision=named.revision or None, timeout=HUB_TIMEOUT)
    except (OSError, ValueError, HTTPError) as error:
        local = f"hf download --repo-type dataset {named.name} --local-dir FOLDER"
        told = " ".join(str(error).split())[:200]
        raise BadInput(
            f"'{named.name}' is no folder here, and the hub did not give it ({told}); check the name and the network, "
            f"or download it where there is one ({local}) and give the folder."
        ) from error
    return _Named(folder=None, name=named.name, revision=found.sha or "", config=named.config)


def _revision(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    plain = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return found_commit(folder) or hash_files(plain, root=folder)


def _fetch_and_make(values: Mapping[str, Any], folder: Path) -> Pair:
    try:
        fetched = {key: _fetch(value) for key, value in values.items()}
    except OSError as error:
        raise BadInput(f"its image cannot be fetched: {' '.join(str(error).split())[:200]}") from error
    return make_pair(fetched, folder)


def _fetch(value: Any) -> Any:
    """Bytes of an image that streaming names but does not bring."""
    if isinstance(value, list):
        return [_fetch(one) for one in value]
    if isinstance(value, Mapping) and not value.get("bytes") and str(value.get("path")).startswith(_ELSEWHERE):
        import fsspec

        opened: Any = fsspec.open(value["path"], "rb")
        with opened as file:
            return {"bytes": file.read(), "path": value["path"]}
    return value


def _import() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(f"Hugging Face data sets need datasets, which is not installed: {INSTALL}") from error
    return datasets


@contextmanager
def _told(source: str) -> Iterator[None]:
    """Turn what the library says of a data set into BadInput with its name."""
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (DatasetsError, OSError, ValueError) as error:
        told = " ".join(str(error).split()).rstrip(".")[:300]
        raise BadInput(f"'{source}' cannot be read: {told}.") from error
