"""The note beside each part: that it is complete, what it holds, and what went wrong in it.

A note is written last, so that a part with a note is complete; notes are all that the machines of one export tell each
other. `end.json` says how many rows the data turned out to have, once somebody came to its end.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workbench import store
from workbench.data.sifting import Problem
from workbench.errors import BadInput
from workbench.export.durable import write_whole
from workbench.export.place import part_files, part_name
from workbench.export.plan import Plan
from workbench.types import Provenance

END = "end.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNote:
    """A file as it was written."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartNote:
    """What a complete part holds."""

    export: str
    """`export_id` of the plan by which it was made."""
    part: int
    rows: int
    done: int
    failed: int
    first_row: int
    """Number of the row in the data set, from 1."""
    last_row: int
    files: Mapping[str, FileNote] = field(default_factory=dict)
    """By kind, as in `part_files`."""
    problems: tuple[Problem, ...] = ()
    provenance: Provenance

    @property
    def name(self) -> str:
        return part_name(self.part)


def write_note(folder: Path, note: PartNote) -> None:
    """Declare a part complete; its files are there by now. Raises OSError."""
    write_whole(folder, {folder / f"{note.name}.json": (store.dumps(note, indent=2) + "\n").encode()})


def read_note(plan: Plan, part: int, export: str) -> PartNote | None:
    """The note of a part, or None when the part is not complete: no note, or one of its files is not as long as written.

    Args:
        plan: where to look.
        part: which one.
        export: `export_id` of the plan.

    Raises:
        BadInput: for a note of another export.
    """
    path = plan.folder / f"{part_name(part)}.json"
    try:
        note = store.loads(PartNote, path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if note.export != export:
        raise BadInput(f"'{path}' belongs to another export; export into an empty folder.")
    for kind, target in part_files(plan, part).items():
        if kind in note.files and not (target.is_file() and target.stat().st_size == note.files[kind].bytes):
            return None
    return note


def complete_parts(plan: Plan, export: str) -> Iterator[PartNote]:
    """The notes of all complete parts, by number. Raises as `read_note` does."""
    numbers = (path.stem.removeprefix("part-") for path in plan.folder.glob("part-*.json"))
    for part in sorted(int(number) for number in numbers if number.isdecimal()):
        if (note := read_note(plan, part, export)) is not None:
            yield note


def write_end(folder: Path, rows: int) -> None:
    """Keep how many rows the export turned out to have. Raises OSError."""
    write_whole(folder, {folder / END: json.dumps({"rows": rows}).encode()})


def n_parts(plan: Plan) -> int | None:
    """How many parts the export has; None while nobody came to the end of the data."""
    try:
        rows = json.loads((plan.folder / END).read_text(encoding="utf-8"))["rows"]
    except FileNotFoundError:
        rows = plan.n
    return None if rows is None else -(-rows // plan.part_rows)
