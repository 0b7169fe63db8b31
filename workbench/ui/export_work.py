"""An export for the page: what was asked is checked, then a job unpacks, exports, and can be stopped and gone on with."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.data.readers.enclosed import choose_table
from workbench.data.unpacking import check_zip, unpack_zip
from workbench.errors import BadInput, Cancelled, UnknownName, WorkbenchError
from workbench.export.plan import EXTRAS
from workbench.stages import Progress
from workbench.ui.desk import SHAPES, Desk
from workbench.ui.export_shelf import Export
from workbench.ui.export_view import describe_export, forget_files, read_preview
from workbench.ui.guard import BUG

MAX_ROWS = 1_000_000
PART_ROWS = 32
"""Few, because progress is told, and what is done is kept, part by part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportAsked:
    """What stands in the page's controls, as the browser sent it."""

    checkpoint: object = None
    data: object = None
    """A name that the page offered; not looked at when there is a zip."""
    split: object = "test"
    """Part of the data set; a zip has only one."""
    upload: object = None
    """The zip as Gradio describes a file; None takes `data`."""
    n: object = None
    """Rows; None or empty takes all."""
    extras: object = ()
    parquet: object = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrder:
    """What was asked, checked."""

    title: str
    checkpoint_name: str
    checkpoint: str
    data: str
    """As `find_reader` takes it; empty for a zip."""
    split: str
    zip: Path | None
    n: int | None
    extras: tuple[str, ...]
    parquet: bool
    device: str | None
    dtype: str | None

    @property
    def command(self) -> tuple[str, ...]:
        """What makes the same records in the terminal; the data of a zip is named as the folder it would be unpacked to."""
        data = f"enclosed:{self.title.removesuffix('.zip')}" if self.zip else self.data
        parts = ["thinkscope", "export", data, "--checkpoint", self.checkpoint_name]
        parts += ["--split", self.split] if self.split != "test" else []
        parts += ["--n", str(self.n)] if self.n else []
        parts += ["--with", ",".join(self.extras)] if self.extras else []
        parts += ["--parquet"] if self.parquet else []
        parts += ["--part-rows", str(PART_ROWS), "--batch", str(PART_ROWS)]
        return (*parts, "--out", "thoughts.jsonl")


def check_upload(desk: Desk, file: object, tab: str | None) -> str:
    """Look at a zip as soon as it is uploaded, hold it for its tab, and say in one sentence what is in it.

    Raises:
        BadInput: for a file that is no zip, or may not be unpacked, or holds no table.
    """
    if isinstance(file, Mapping):
        desk.uploads.hold(tab, str(file.get("path")))
    path, name = _zip_of(desk, file)
    contents = check_zip(path)
    table = choose_table(contents.names)
    images = sum(not one.lower().endswith((".csv", ".tsv", ".jsonl")) for one in contents.names)
    size = (
        f"{contents.unpacked / 2**20:,.1f} MB" if contents.unpacked >= 2**20 else f"{contents.unpacked / 1024:,.0f} kB"
    )
    return f"{name} is exported instead: the table {table} and {images:,} other files, {size} unpacked."


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


def check_order(desk: Desk, asked: ExportAsked) -> ExportOrder:
    """What was asked, when it can be done. Raises WorkbenchError for what cannot."""
    checkpoint = desk.path_of(asked.checkpoint)
    packed, title = (None, str(asked.data)) if asked.upload is None else _zip_of(desk, asked.upload)
    data = desk.data_of(asked.data) if packed is None else ""
    n = None if asked.n in (None, "") else _rows(asked.n)
    if n is None and packed is None and asked.data == SHAPES:
        raise BadInput("Shapes never ends; say how many rows.")
    extras = asked.extras if isinstance(asked.extras, list | tuple) else []
    for one in extras:
        if one not in EXTRAS:
            raise UnknownName("part of a record", str(one)[:100], EXTRAS)
    return ExportOrder(
        title=title,
        checkpoint_name=str(asked.checkpoint),
        checkpoint=checkpoint,
        data=data,
        split="test" if packed else _split(asked.split),
        zip=packed,
        n=n,
        extras=tuple(one for one in EXTRAS if one in extras),
        parquet=asked.parquet is True,
        device=desk.session.device,
        dtype=desk.session.dtype,
    )


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
    from workbench.export.run import run_export

    order: ExportOrder = export.order
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
        export.progress = progress
        if progress.rate:
            export.doing = "Decoding thoughts"
            export.preview = export.preview or read_preview(export)

    def run(cancelled: Callable[[], bool]) -> None:
        again = (export.out.with_suffix(".parts") / "manifest.json").exists()
        export.summary = run_export(
            plan,
            desk.exports.engine(),
            export.out,
            resume=again,
            progress=hear,
            cancelled=cancelled,
            command=order.command,
        )

    plan = export.plan
    try:
        run(stop)
    except Cancelled:
        # Nothing is made any more; what is complete is counted.
        if not export.unwanted:
            run(lambda: True)
    if export.summary is None or export.unwanted:
        raise Cancelled("The export was cancelled.")
    _end(export, "complete" if export.summary.status == "complete" else "cancelled")


def _data(export: Export, order: ExportOrder, stop: Callable[[], bool]) -> tuple[str, int | None]:
    """The data set and how many rows of it, for `make_plan`."""
    if order.zip is None:
        return order.data, order.n
    folder = export.folder / "data" / (order.title.removesuffix(".zip") or "data")
    if not folder.is_dir():

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


def _zip_of(desk: Desk, file: object) -> tuple[Path, str]:
    """Path and name of an uploaded zip. Raises BadInput when it is none that was uploaded here."""
    held = file if isinstance(file, Mapping) else {}
    path = held.get("path")
    # The path comes from the browser, and without its type mark Gradio 6.31 lets any path pass.
    if not isinstance(path, str) or not desk.uploads.contains(Path(path)) or not Path(path).is_file():
        raise BadInput("The uploaded zip is no longer here; give it again.")
    name = Path(str(held.get("orig_name") or path).replace("\\", "/")).name
    tidy = "".join(letter if letter.isalnum() or letter in "._- " else "_" for letter in name).strip(". ")[:80]
    return Path(path), tidy or "data.zip"


def _split(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadInput("The split is empty; 'test' is the usual one.")
    return value.strip()[:100]


def _rows(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value != int(value):
        raise BadInput(f"The number of rows must be a whole number, not '{str(value)[:50]}'.")
    if not 1 <= value <= MAX_ROWS:
        raise BadInput(f"The number of rows is {value:,.0f}, but must lie between 1 and {MAX_ROWS:,}.")
    return int(value)


def _without_folder(sentence: str, export: Export) -> str:
    return sentence.replace(f"{export.folder}/", "")
