"""What is asked of the page Export, checked: nothing that the browser sends is taken as it comes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.data.readers.enclosed import ENDINGS, choose_table
from workbench.data.unpacking import check_zip
from workbench.errors import BadInput, UnknownName
from workbench.export.plan import EXTRAS
from workbench.ui.asked import split_of, whole_of
from workbench.ui.desk import SHAPES, Desk
from workbench.ui.export_order import ZIP_GONE, ExportOrder

MAX_ROWS = 1_000_000


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


def check_order(desk: Desk, asked: ExportAsked) -> ExportOrder:
    """What was asked, when it can be done. Raises WorkbenchError for what cannot."""
    checkpoint = desk.path_of(asked.checkpoint)
    packed, title = (None, str(asked.data)) if asked.upload is None else _zip_of(desk, asked.upload)
    data = desk.data_of(asked.data) if packed is None else ""
    n = None if asked.n in (None, "") else whole_of(asked.n, "The number of rows", 1, MAX_ROWS)
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
        split="test" if packed else split_of(asked.split),
        zip=packed,
        n=n,
        extras=tuple(one for one in EXTRAS if one in extras),
        parquet=asked.parquet is True,
        device=desk.session.device,
        dtype=desk.session.dtype,
    )


def check_upload(desk: Desk, file: object, tab: str | None) -> str:
    """Look at a zip as soon as it is uploaded, hold it for its tab, offer it to its page Map, and say what is in it.

    Raises:
        BadInput: for a file that is no zip, or may not be unpacked, or holds no table.
    """
    if isinstance(file, Mapping):
        desk.uploads.hold(tab, str(file.get("path")))
    path, name = _zip_of(desk, file)
    contents = check_zip(path)
    table = choose_table(contents.names)
    desk.zips.add(tab, path, name)
    images = sum(not one.lower().endswith(ENDINGS) for one in contents.names)
    size = (
        f"{contents.unpacked / 2**20:,.1f} MB" if contents.unpacked >= 2**20 else f"{contents.unpacked / 1024:,.0f} kB"
    )
    return (
        f"{name} is exported instead: the table {table} and {images:,} other files, {size} unpacked. The page Map offers it "
        "as a data set too."
    )


def _zip_of(desk: Desk, file: object) -> tuple[Path, str]:
    """Path and name of an uploaded zip. Raises BadInput when it is none that was uploaded here."""
    held = file if isinstance(file, Mapping) else {}
    path = held.get("path")
    # The path comes from the browser, and without its type mark Gradio 6.31 lets any path pass.
    if not isinstance(path, str) or not desk.uploads.contains(Path(path)) or not Path(path).is_file():
        raise BadInput(ZIP_GONE)
    name = Path(str(held.get("orig_name") or path).replace("\\", "/")).name
    tidy = "".join(letter if letter.isalnum() or letter in "._- " else "_" for letter in name).strip(". ")[:80]
    return Path(path), tidy or "data.zip"
