"""The end of an export: all parts are complete, so the manifest is closed and, where one file was asked for, they are joined.

Every step may be done again: after a kill in between, or by a second machine at the same time.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from workbench.errors import BadInput
from workbench.export.durable import making_folder, move, remove_leftovers
from workbench.export.flat import join_parquet
from workbench.export.manifest import Counts, export_id, manifest_json, manifest_text
from workbench.export.place import Place, part_files
from workbench.export.plan import Plan
from workbench.export.sidecar import END, PartNote, n_parts, read_note

_CHUNK = 2**20
_GONE = ".done"


def close(plan: Plan, place: Place, command: Sequence[str]) -> bool:
    """Close an export whose parts are all complete; whether they are.

    Raises:
        BadInput: for a part whose content is not what was written.
        FileNotFoundError: when another process closed it meanwhile.
        OSError: when the disk does not take the files.
    """
    total = n_parts(plan)
    if total is None:
        return False
    counts, export = Counts(), export_id(plan)
    for part in range(total):
        if (note := read_note(plan, part, export)) is None:
            return False
        counts.add(note)
    with making_folder(plan.folder) as beside:
        made = _join(plan, place, total, beside) if place.joined else {}
        files = {"records": place.out.name} if place.joined else {}
        if place.joined and plan.parquet:
            files["parquet"] = place.parquet.name
        if plan.arrays_folder.is_dir():
            files["arrays"] = plan.arrays
        manifest = beside / "manifest"
        with manifest.open("x", encoding="utf-8") as text:
            text.writelines(manifest_text(manifest_json(plan, command, counts, files), _notes(plan, total)))
            text.flush()
            os.fsync(text.fileno())
        move(made)
        # The manifest is last: it says that the others are there.
        move({manifest: place.manifest})
    clear(place)
    return True


def clear(place: Place) -> None:
    """Remove what a finished export needs no more."""
    if not place.joined:
        (place.folder / END).unlink(missing_ok=True)
        remove_leftovers(place.folder)
        return
    # Under another name first: nobody shall take a folder that is half gone for parts.
    name, parent = place.folder.name, place.folder.parent
    with suppress(FileNotFoundError):
        place.folder.rename(parent / f".{name}.{secrets.token_hex(4)}{_GONE}")
    for gone in [path for path in parent.iterdir() if path.name.startswith(f".{name}.") and path.suffix == _GONE]:
        shutil.rmtree(gone, ignore_errors=True)  # somebody else may be removing it too


def _notes(plan: Plan, total: int) -> Iterator[PartNote]:
    export = export_id(plan)
    for part in range(total):
        if (note := read_note(plan, part, export)) is None:
            raise FileNotFoundError(f"a part of '{plan.folder}' is gone")
        yield note


def _join(plan: Plan, place: Place, total: int, beside: Path) -> dict[Path, Path]:
    whole = beside / "records"
    with whole.open("xb") as file:
        for note in _notes(plan, total):
            _append(part_files(plan, note.part)["jsonl"], note, file)
        file.flush()
        os.fsync(file.fileno())
    made = {whole: place.out}
    if plan.parquet:
        table = beside / "table"
        join_parquet((part_files(plan, part)["parquet"] for part in range(total)), table)
        with table.open("rb+") as file:
            os.fsync(file.fileno())
        made[table] = place.parquet
    return made


def _append(path: Path, note: PartNote, whole: BinaryIO) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            whole.write(chunk)
    if digest.hexdigest() != note.files["jsonl"].sha256:
        raise BadInput(f"'{path}' is not what was written there; remove it and resume, so that the part is made again.")
