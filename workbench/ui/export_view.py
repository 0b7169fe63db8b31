"""What the page shows of an export, and the files that it lets the browser download."""

import json
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import BadInput
from workbench.ui.export_shelf import Export

PREVIEWED = 10
TOLD_PROBLEMS = 20
KINDS = ("jsonl", "parquet", "manifest", "zip")
_MAX_LINE = 4 * 2**20
_MAX_TEXT = 600
_PACKED_ALREADY = (".safetensors", ".parquet")


def describe_export(export: Export) -> dict[str, Any]:
    """State, counts and first records, as plain values. Texts are foreign: the page shows them as text."""
    progress, summary = export.progress, export.summary
    ended = export.state != "running" and summary is not None
    counts = summary if ended and summary is not None else progress
    problems = summary.problems if ended and summary is not None else ()
    return {
        "export": export.key,
        "state": export.state,
        "doing": export.doing,
        "title": export.order.title,
        "checkpoint": export.order.checkpoint_name,
        "command": shlex.join(export.order.command),
        "done": counts.done if counts else 0,
        "failed": counts.failed if counts else 0,
        "rows": progress.rows if progress else None,
        "rate": progress.rate if progress else 0.0,
        "left": progress.left if progress and export.state == "running" else None,
        "seconds": export.taken,
        "error": export.error,
        "problems": [{"row": one.row, "reason": _cut(one.reason)} for one in problems[:TOLD_PROBLEMS]],
        "preview": list(export.preview),
        "text": export.plan.text if export.plan else "",
        "files": _offered(export),
    }


def read_preview(export: Export) -> tuple[dict[str, Any], ...]:
    """The first records that are written; empty when there are none yet."""
    for path in (export.out, export.out.with_suffix(".parts") / "part-00000.jsonl"):
        try:
            with path.open("rb") as lines:
                return tuple(_lines(lines))
        except FileNotFoundError:
            continue
    return ()


def make_file(export: Export, kind: object) -> dict[str, Any]:
    """Make a file to download, unless it is there; returns its path on the server, which serves it, and its name.

    Files are written piece by piece, so that memory does not grow with them.

    Raises:
        BadInput: for a kind that is not on offer now.
    """
    if kind not in _offered(export):
        raise BadInput("There is no such file of this export at the moment.")
    with export.lock:
        if export.state == "running":
            raise BadInput("The export runs; wait until it has ended, or cancel it.")
        path = _made(export, str(kind))
    return {"path": str(path), "name": path.name, "bytes": path.stat().st_size}


def forget_files(export: Export) -> None:
    """Delete what was made to download, because the export goes on."""
    shutil.rmtree(_partial(export), ignore_errors=True)
    _zip(export).unlink(missing_ok=True)


def _offered(export: Export) -> list[str]:
    if export.state == "running" or export.summary is None or not export.summary.rows:
        return []
    return [kind for kind in KINDS if kind != "parquet" or export.order.parquet]


def _made(export: Export, kind: str) -> Path:
    whole = export.state == "complete"
    if kind == "zip":
        return _pack(export, export.out.parent if whole else _make_partial(export))
    names = {"jsonl": ".jsonl", "parquet": ".parquet", "manifest": ".manifest.json"}
    folder = export.out.parent if whole else _make_partial(export)
    return folder / export.out.with_suffix(names[kind]).name


def _make_partial(export: Export) -> Path:
    """The files that the complete parts make, under the names that the whole would have."""
    from workbench.export.flat import join_parquet
    from workbench.export.manifest import export_id
    from workbench.export.place import part_files
    from workbench.export.sidecar import complete_parts

    folder, plan = _partial(export), export.plan
    assert plan is not None
    if folder.is_dir():
        return folder
    written = folder.with_name(".making")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir()
    parts = [part_files(plan, note.part) for note in complete_parts(plan, export_id(plan))]
    with (written / export.out.name).open("xb") as file:
        for part in parts:
            with part["jsonl"].open("rb") as lines:
                shutil.copyfileobj(lines, file)
    if plan.parquet:
        join_parquet((part["parquet"] for part in parts), written / export.out.with_suffix(".parquet").name)
    shutil.copyfile(plan.folder / "manifest.json", written / export.out.with_suffix(".manifest.json").name)
    written.replace(folder)
    return folder


def _pack(export: Export, folder: Path) -> Path:
    target = _zip(export)
    if target.is_file():
        return target
    assert export.plan is not None
    written = target.with_name(".making.zip")
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for path in _files_of(export, folder):
            how = zipfile.ZIP_STORED if path.suffix in _PACKED_ALREADY else zipfile.ZIP_DEFLATED
            inside = path.relative_to(path.parents[1] if path.suffix == ".safetensors" else path.parent)
            archive.write(path, Path("thoughts") / inside, how)
    written.replace(target)
    return target


def _files_of(export: Export, folder: Path) -> Iterator[Path]:
    assert export.plan is not None
    yield from sorted(path for path in folder.iterdir() if path.is_file())
    if export.plan.arrays_folder.is_dir():
        yield from sorted(export.plan.arrays_folder.glob("*.safetensors"))


def _partial(export: Export) -> Path:
    return export.folder / "so-far"


def _zip(export: Export) -> Path:
    return export.folder / "thoughts.zip"


def _lines(lines: Any) -> Iterator[dict[str, Any]]:
    for _ in range(PREVIEWED):
        line = lines.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            return
        record = json.loads(line)
        thought = record.get("thought") or {}
        yield {
            "row": record.get("row"),
            "id": _cut(str(record.get("id", ""))),
            "text": _cut(str(record.get("text") or "")),
            "thought": _cut(str(thought.get("text", ""))),
            "error": _cut(str(record["error"])) if record.get("error") else None,
        }


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
