"""What an export is: `manifest.json`, from which anybody can tell what made the records, and whether all are there.

It is made once, by the first process, and says "partial"; whoever sees that all parts are complete writes it anew as
"complete", with counts and the table of parts. Two states need no lock between machines. What happens in between is told
by the notes beside the parts.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench import store
from workbench.data.sifting import MAX_PROBLEMS, Problem
from workbench.errors import BadInput
from workbench.export import record
from workbench.export.plan import DECIDING, Plan
from workbench.export.sidecar import PartNote
from workbench.types import Provenance

SCHEMA = "thinkscope.export"
VERSION = 1
"""Raised when a key changes its meaning or goes; new keys may come at any time."""


@dataclass(slots=True)
class Counts:
    """What all complete parts hold together. Grows while notes are added."""

    parts: int = 0
    rows: int = 0
    done: int = 0
    failed: int = 0
    problems: list[Problem] = field(default_factory=list)
    """The first 1,000."""
    provenances: list[Provenance] = field(default_factory=list)
    """Different ways in which parts were made; devices of one kind count as one."""

    def add(self, note: PartNote) -> None:
        """Count a part."""
        self.parts += 1
        self.rows += note.rows
        self.done += note.done
        self.failed += note.failed
        self.problems += note.problems[: MAX_PROBLEMS - len(self.problems)]
        made = replace(note.provenance, device=note.provenance.device.partition(":")[0])
        if made not in self.provenances:
            self.provenances.append(made)


def deciding(plan: Plan) -> dict[str, Any]:
    """What decides the files of an export, as plain JSON values."""
    held = store.to_json(plan)
    return {name: held[name] for name in DECIDING}


def export_id(plan: Plan) -> str:
    """Equal for plans that make equal files."""
    held = [VERSION, record.SCHEMA, record.VERSION, deciding(plan)]
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def manifest_json(
    plan: Plan, command: Sequence[str], counts: Counts | None, files: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest without its table of parts; `counts` are None as long as parts are missing."""
    provenances = [] if counts is None else [store.to_json(made) for made in counts.provenances]
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "status": "partial" if counts is None else "complete",
        "record": {"schema": record.SCHEMA, "version": record.VERSION},
        "export": export_id(plan),
        "command": list(command),
        "data": {
            "title": plan.data_title,
            "split": plan.split,
            "revision": plan.data_revision,
            "source": _told_source(plan),
        },
        "tells": plan.tells,
        "plan": deciding(plan),
        "provenance": provenances[0] if provenances else None,
        "further_provenances": provenances[1:],
        "counts": None
        if counts is None
        else {name: getattr(counts, name) for name in ("parts", "rows", "done", "failed")},
        "files": dict(files),
        "problems": [] if counts is None else [store.to_json(problem) for problem in counts.problems],
    }


def _told_source(plan: Plan) -> str:
    """What the data set was named; a path as seen from the manifest's folder, so that both may move, and no more is told."""
    folder = plan.arrays_folder.parent
    name, colon, source = plan.data.partition(":")
    if Path(plan.data).is_absolute():
        return _seen_from(folder, plan.data)
    return f"{name}:{_seen_from(folder, source)}" if colon and Path(source).is_absolute() else plan.data


def _seen_from(folder: Path, path: str) -> str:
    try:
        seen = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path
    return seen if seen.startswith("..") else f"./{seen}"


def data_source(manifest: Mapping[str, Any], folder: Path) -> str | None:
    """The data set of an export, as `find_reader` takes it.

    Args:
        manifest: of the export.
        folder: where it lies.

    Returns:
        None where the manifest does not say, as older ones, or names a path that leads nowhere.
    """
    told = manifest["data"].get("source")
    if not isinstance(told, str) or not told:
        return None
    name, colon, source = ("", "", told) if _is_path(told) else told.partition(":")
    if not _is_path(source):
        return told
    path = os.path.normpath(folder.absolute() / source)
    return f"{name}{colon}{path}" if Path(path).exists() else None


def _is_path(source: str) -> bool:
    return source.startswith(("./", "../")) or source == ".." or Path(source).is_absolute()


def manifest_text(head: Mapping[str, Any], notes: Iterable[PartNote]) -> Iterator[str]:
    """The manifest piece by piece, with a line for each part, so that memory does not grow with the parts."""
    yield json.dumps(head, indent=2, allow_nan=False).removesuffix("\n}") + ',\n  "parts": ['
    mark = "\n    "
    for note in notes:
        row = {"name": note.name, "rows": note.rows, "done": note.done, "failed": note.failed}
        row |= {"first_row": note.first_row, "last_row": note.last_row}
        row |= {kind: {"sha256": file.sha256, "bytes": file.bytes} for kind, file in note.files.items()}
        yield mark + json.dumps(row)
        mark = ",\n    "
    yield "\n  ]\n}\n" if mark.startswith(",") else "]\n}\n"


def read_manifest(path: Path) -> dict[str, Any] | None:
    """A manifest as it stands; None when there is none. Raises BadInput for a file that is none."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise BadInput(f"'{path}' is not JSON ({error}); export into another place.") from error
    if not isinstance(held, dict) or held.get("schema") != SCHEMA:
        raise BadInput(f"'{path}' is not the manifest of an export; export into another place.")
    return held


def check_same(held: Mapping[str, Any], plan: Plan, path: Path) -> None:
    """Raise BadInput naming what differs between the plan of a manifest and the one that is asked for now."""
    versions = [held.get("version"), held.get("record")]
    if versions != [VERSION, {"schema": record.SCHEMA, "version": record.VERSION}]:
        raise BadInput(
            f"'{path}' was begun by another version of thinkscope, whose records have another form; finish it with that "
            "one, or export into another place."
        )
    asked, begun = deciding(plan), held.get("plan", {})
    for name in DECIDING:
        if begun.get(name) != asked[name]:
            raise BadInput(_difference(name, begun.get(name), asked[name], path))


def _difference(name: str, begun: Any, asked: Any, path: Path) -> str:
    if name == "checkpoint_sha256":
        return (
            f"The checkpoint is not the one that '{path}' was begun with (SHA-256 {asked[:12]}, was {str(begun)[:12]}); "
            "bring the old one back, or export into another place."
        )
    if name == "data_revision":
        return (
            f"The data set is not the one that '{path}' was begun with (revision {asked}, was {begun}); bring the old one "
            "back, or export into another place."
        )
    flag = {"extras": "with"}.get(name, name.replace("_", "-"))
    return (
        f"'{path}' was begun with --{flag} {_told(begun)}, but {_told(asked)} is asked for now; ask for the same, or "
        "export into another place."
    )


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "(nothing)"
    return "(not set)" if value is None else str(value)
