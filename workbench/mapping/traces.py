"""Points from what was traced before: an export with its arrays, or a folder of saved traces. No model is loaded."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from workbench.errors import BadInput, Cancelled
from workbench.export import record
from workbench.export.place import MANIFEST, Place
from workbench.jsonl import read_jsonl
from workbench.latent_map import Of
from workbench.mapping.gathering import Gatherer
from workbench.mapping.points import Points
from workbench.mapping.sampling import draw
from workbench.mapping.settings import MAX_POINTS
from workbench.stages import Progress, quiet
from workbench.store import from_json, load_traces
from workbench.types import Provenance

SAVED = "traces.json"
_TOLD = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Export:
    """The files of an export, and what its manifest says."""

    files: tuple[Path, ...]
    manifest: dict[str, Any]

    def records(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Every record, and the file that it stands in."""
        for path in self.files:
            for row in read_jsonl(path, expected="a record of thinkscope export"):
                if row.values.get("schema") != record.SCHEMA or row.values.get("version") != record.VERSION:
                    raise BadInput(f"{row.where} is not a record of {record.SCHEMA}, version {record.VERSION}.")
                yield path, row.values


def is_traced(data: str) -> bool:
    """Whether a name leads to an export or to saved traces, and not to a data set."""
    path = Path(data)
    if path.is_dir():
        return (path / SAVED).is_file() or _is_manifest(path / MANIFEST)
    return path.suffix == ".jsonl" and path.is_file() and _is_manifest(Place.of(path).manifest)


def read_points(
    path: Path,
    *,
    of: Of,
    n: int | None = None,
    layer: int | None = None,
    limit: int = MAX_POINTS,
    seed: int = 0,
    tell: Progress = quiet,
    cancelled: Callable[[], bool] = lambda: False,
) -> Points:
    """Points of an export made with `--with latents` or `--with embedding`, or of a folder that `store.save_traces` wrote.

    Args:
        path: the export's `.jsonl` file or folder, or the folder of traces.
        of: what a point is.
        n: samples to read; None: all.
        layer: decoder layer from 0, or from the end; None: the last.
        limit: points beyond which samples are drawn.
        seed: of that draw.
        tell: told the share done.
        cancelled: asked now and then.

    Raises:
        BadInput: for files that are not what they should be, an export that is not finished, arrays that are not there.
        Cancelled: when `cancelled` said so.
    """
    if n is not None and n < 1:
        raise BadInput(f"The number of samples is {n}, but must be 1 or more.")
    if (path / SAVED).is_file():
        return _read_saved(path, of=of, n=n, layer=layer, limit=limit, seed=seed)
    begin = time.perf_counter()
    export = _open_export(path)
    found, per_sample = _count(export, of, n)
    drawn = draw(found, limit=limit, per_sample=per_sample, seed=seed)
    gatherer = Gatherer(
        of, layer, len(drawn.places), tells=export.manifest.get("tells"), ids_tell=_is_shapes(export.manifest)
    )
    wanted = set(drawn.places.tolist())
    arrays = _Arrays()
    for place, (file, one) in enumerate(islice(export.records(), found)):
        if place % _TOLD == 0:
            if cancelled():
                raise Cancelled("The map was given up.")
            tell(place / found, f"Reading latents: {place:,} of {found:,} samples")
        if place in wanted:
            gatherer.add(one, partial(arrays.read, file.parent, one))
    data = export.manifest["data"]
    points = gatherer.points(
        from_json(Provenance, export.manifest["provenance"]),
        # Where the data lie is not in a manifest, so a sample cannot be opened again from here.
        source={"split": str(data["split"]), "revision": str(data["revision"])},
        title=f"{data['title']} ({data['split']})",
        seconds=time.perf_counter() - begin,
    )
    told = drawn.note(per_sample, seed)
    return replace(points, notes=(told, *points.notes) if told else points.notes, found=found * per_sample)


class _Arrays:
    """Reads arrays of an export; one file is open at a time, since records come file by file."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file: Any = None

    def read(self, folder: Path, one: dict[str, Any], name: str) -> np.ndarray | None:
        """The array of this name of a record that stands in this folder; None where the record names none."""
        from safetensors import SafetensorError, safe_open

        reference = one["arrays"]
        key = reference["keys"].get(name) if reference else None
        if key is None:
            return None
        inside = PurePosixPath(reference["file"])
        if inside.is_absolute() or ".." in inside.parts:
            raise BadInput(
                f"Record '{one['id']}' names the file '{reference['file']}', which is not within the export."
            )
        path = folder / inside
        try:
            if path != self._path:
                self._path, self._file = None, safe_open(path, framework="numpy")
                self._path = path
            return self._file.get_tensor(key)
        except (OSError, SafetensorError) as error:
            raise BadInput(f"The arrays of record '{one['id']}' cannot be read from '{path}': {error}.") from error


def _open_export(path: Path) -> _Export:
    if path.is_dir():
        manifest, files = path / MANIFEST, tuple(sorted(path.glob("part-*.jsonl")))
    else:
        manifest, files = Place.of(path).manifest, (path,)
    if not _is_manifest(manifest) or not files or not files[0].is_file():
        raise BadInput(f"'{path}' is neither an export with its manifest nor a folder of saved traces.")
    held = json.loads(manifest.read_text(encoding="utf-8"))
    if held.get("status") != "complete" or not held.get("provenance"):
        raise BadInput(f"The export '{path}' is not finished; finish it with thinkscope export --resume.")
    return _Export(files=files, manifest=held)


def _is_shapes(manifest: dict[str, Any]) -> bool:
    """Whether the rows are of Shapes' own reader, as far as the manifest says; a path in it begins with a dot or a slash."""
    return str(manifest["data"].get("source") or "").partition(":")[0] == "shapes"


def _is_manifest(path: Path) -> bool:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(held, dict) and held.get("schema") == "thinkscope.export"


def _count(export: _Export, of: Of, n: int | None) -> tuple[int, int]:
    """Records to look at, and points that each of them has."""
    found, per_sample = 0, 1
    for _, one in islice(export.records(), n):
        found += 1
        if of == "thoughts":
            per_sample = max(per_sample, len(one["think_tokens"]))
    if not found:
        raise BadInput("The export has no records, so there is nothing to map.")
    return found, per_sample


def _read_saved(folder: Path, *, of: Of, n: int | None, layer: int | None, limit: int, seed: int) -> Points:
    begin = time.perf_counter()
    traces = load_traces(folder)[:n]
    if not traces:
        raise BadInput(f"'{folder}' holds no traces, so there is nothing to map.")
    per_sample = max(1, traces[0].n_think) if of == "thoughts" else 1
    drawn = draw(len(traces), limit=limit, per_sample=per_sample, seed=seed)
    gatherer = Gatherer(of, layer, len(drawn.places), tells=None)
    for place in drawn.places.tolist():
        gatherer.add_trace(traces[place])
    points = gatherer.points(
        traces[0].provenance,
        source={"revision": traces[0].provenance.data_revision or ""},
        title=folder.name,
        seconds=time.perf_counter() - begin,
    )
    notes = (*points.notes, "These traces were saved without decoded thoughts.")
    told = drawn.note(per_sample, seed)
    return replace(points, notes=(told, *notes) if told else notes, found=len(traces) * per_sample)
