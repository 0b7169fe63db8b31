"""An export for the page: what was asked is checked, then a job unpacks, exports, and can be stopped and gone on with."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.data.unpacking import unpack_zip
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.stages import Progress
from workbench.ui.desk import Desk
from workbench.ui.export_asked import ExportAsked, check_order
from workbench.ui.export_order import PART_ROWS, ZIP_GONE, ExportOrder
from workbench.ui.export_shelf import Export
from workbench.ui.export_view import describe_export, forget_files, read_preview
from workbench.ui.guard import BUG


def start_export(desk: Desk, asked: ExportAsked, tab: str | None) -> Export:
    """Begin an export.

    Raises:
        WorkbenchError: for what can be told to be wrong at once; too many exports are.
    """
    order = check_order(desk, asked)
    export = desk.exports.open(tab, order)
    try:
        _begin(desk, export)
    except BadInput:
        export.state = "failed"
        desk.exports.drop(export)
        raise
    return export


def look_export(desk: Desk, key: object) -> dict[str, Any]:
    """How far an export is, as `describe_export`; it counts as looked at. Raises BadInput when it is gone."""
    export = desk.exports.get(key)
    desk.exports.look(export)
    return describe_export(export)


def cancel_export(desk: Desk, key: object) -> dict[str, Any]:
    """Stop an export at once; its complete parts are kept. Raises BadInput when it is gone."""
    export = desk.exports.get(key)
    if export.state == "running":
        export.doing = "Stopping"
        desk.exports.jobs.cancel(export.job)
    return describe_export(export)


def resume_export(desk: Desk, key: object) -> dict[str, Any]:
    """Go on with an export that was cancelled or that failed.

    Raises:
        BadInput: when it is gone, or too many run.
    """
    export = desk.exports.get(key)
    with export.lock:
        if export.state in ("cancelled", "failed"):
            before, said, export.state = export.state, export.error, "running"
            export.started, export.doing, export.error = time.monotonic(), "Starting again", ""
            forget_files(export)
            try:
                _begin(desk, export)
            except BadInput:
                export.state, export.error = before, said
                raise
    return describe_export(export)


def _begin(desk: Desk, export: Export) -> None:
    def work(tell: Progress, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        del tell

        def stop() -> bool:
            # By raising: what is being made is dropped at once, where a plain yes would wait for it.
            if cancelled() or export.unwanted:
                raise Cancelled("The export was cancelled.")
            return False

        try:
            _run(desk, export, stop)
        except Cancelled:
            _end(export, "cancelled")
        except WorkbenchError as error:
            _end(export, "failed", _without_folder(str(error), export))
        finally:
            if export.state == "running":
                _end(export, "failed", BUG)
            if export.unwanted:
                desk.exports.clear(export)
        return {}

    found = desk.exports.jobs.start(work)
    export.job = found.get("job")


def _run(desk: Desk, export: Export, stop: Callable[[], bool]) -> None:
    from workbench.export.planning import make_plan
    from workbench.export.run import ExportStopped, run_export

    order = export.order
    data, n = _data(export, order, stop)
    export.doing = "Looking at the checkpoint"
    if export.plan is None:
        export.plan = make_plan(
            data,
            order.checkpoint,
            export.out,
            split=order.split,
            n=n,
            extras=order.extras,
            parquet=order.parquet,
            device=order.device,
            dtype=order.dtype,
            part_rows=PART_ROWS,
            batch=PART_ROWS,
        )
    export.doing = "Loading the model"

    def hear(progress: Any) -> None:
        if progress.rate:
            export.doing = "Decoding thoughts"
            # Before the count: who is told that rows are done can see the first of them.
            export.preview = export.preview or read_preview(export)
        export.progress = progress

    def run(cancelled: Callable[[], bool], progress: Callable[[Any], None] | None = None) -> None:
        again = (export.out.with_suffix(".parts") / "manifest.json").exists()
        export.summary = run_export(
            plan,
            desk.exports.engine(),
            export.out,
            resume=again,
            progress=progress,
            cancelled=cancelled,
            command=order.command,
        )

    plan = export.plan
    try:
        run(stop, hear)
    except (Cancelled, ExportStopped) as error:
        if not export.unwanted:
            # Nothing is made any more; what is complete is counted.
            with suppress(WorkbenchError):
                run(lambda: True)
        if isinstance(error, ExportStopped):
            raise
    if export.summary is None or export.unwanted:
        raise Cancelled("The export was cancelled.")
    _end(export, "complete" if export.summary.status == "complete" else "cancelled")


def _data(export: Export, order: ExportOrder, stop: Callable[[], bool]) -> tuple[str, int | None]:
    """The data set and how many rows of it, for `make_plan`."""
    if order.zip is None:
        return order.data, order.n
    folder = export.folder / "data" / (order.title.removesuffix(".zip") or "data")
    if not folder.is_dir():
        if not order.zip.is_file():
            raise BadInput(ZIP_GONE)

        def tell(share: float) -> None:
            export.doing = f"Unpacking the zip, {share:.0%} done"

        unpack_zip(order.zip, folder, tell=tell, cancelled=stop)
    export.doing = "Counting the rows"
    rows = _count_rows(folder, stop)
    return f"enclosed:{folder}", min(order.n or rows, rows)


def _count_rows(folder: Path, stop: Callable[[], bool]) -> int:
    from workbench.data.reader import find_reader

    reader, source = find_reader(f"enclosed:{folder}")
    rows = 0
    for _ in reader.rows(source, split="test"):
        rows += 1
        stop()
    if not rows:
        raise BadInput("The table in the zip has no rows; give it a header and a line for each question.")
    return rows


def _end(export: Export, state: Any, error: str = "") -> None:
    export.seconds, export.error = export.taken, error
    export.preview = read_preview(export) or export.preview
    export.state = state


def _without_folder(sentence: str, export: Export) -> str:
    return sentence.replace(f"{export.folder}/", "")
