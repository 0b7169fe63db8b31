"""The start of an export: into an empty place, or on from where an equal one stopped; never into anything else."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from workbench.errors import BadInput
from workbench.export.durable import create_once, is_leftover, remove_leftovers
from workbench.export.manifest import check_same, export_id, manifest_json, manifest_text, read_manifest
from workbench.export.place import Place
from workbench.export.plan import Plan
from workbench.export.sidecar import complete_parts


def begin(plan: Plan, place: Place, command: Sequence[str], *, goes_on: bool) -> bool:
    """Make an output ready; whether parts or the joining are left to do.

    Args:
        plan: the export.
        place: where it goes.
        command: for the manifest.
        goes_on: whether an output that is there already is gone on with.

    Raises:
        BadInput: for an output that is there, when it is not to be gone on with or cannot be: it was begun with another
            plan, or is no export.
        OSError: when the disk does not take the files.
    """
    held = _held(place)
    if held is None:
        _check_free(plan, place)
        place.folder.mkdir(parents=True, exist_ok=True)
        if create_once(place.begun, "".join(manifest_text(manifest_json(plan, command, None, {}), [])).encode()):
            remove_leftovers(place.folder)
            return True
        held = _held(place) or {}  # another process was faster
    if not goes_on:
        state = "there already" if held.get("status") == "complete" else "begun already, but not finished"
        raise BadInput(f"'{place.out}' is {state}; go on with --resume, or export into another place.")
    check_same(held, plan, place.out)
    if held["status"] == "complete":
        return not _is_whole(plan, place, held)
    remove_leftovers(place.folder)
    return True


def _held(place: Place) -> dict[str, Any] | None:
    # In this order: the finished manifest is written before the begun one goes.
    return read_manifest(place.begun) or read_manifest(place.manifest)


def _is_whole(plan: Plan, place: Place, held: Mapping[str, Any]) -> bool:
    if not place.joined:
        return sum(1 for _ in complete_parts(plan, export_id(plan))) == held["counts"]["parts"]
    lost = [name for name in held["files"].values() if not (place.out.parent / name).exists()]
    if lost:
        raise BadInput(
            f"'{place.manifest}' says that the export is complete, but '{lost[0]}' is gone; bring it back, or remove the "
            "manifest and export anew."
        )
    return True


def _check_free(plan: Plan, place: Place) -> None:
    wanted = [place.out, place.parquet, plan.arrays_folder] if place.joined else []
    for path in wanted:
        if path.exists():
            raise _foreign(path)
    if place.folder.exists() and (not place.folder.is_dir() or _others(place.folder)):
        raise _foreign(place.folder)


def _others(folder: Path) -> list[Path]:
    return list(islice((path for path in folder.iterdir() if not is_leftover(path)), 1))


def _foreign(path: Path) -> BadInput:
    return BadInput(
        f"'{path}' is there already, and is not an export that was begun; remove it, or choose another name."
    )
