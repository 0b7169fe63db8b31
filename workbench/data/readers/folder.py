"""A folder of images with a table of queries, as people make it by hand."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import final

from workbench.data.enclosure import Enclosure
from workbench.data.lines import jsonl_rows
from workbench.data.reader import READERS, DataInfo, Reader, Row
from workbench.data.revision import hash_files
from workbench.data.tables import check_columns, to_row
from workbench.errors import BadInput

NAMES = ("queries", "metadata")
"""What the table is called where it is not called after the split; the second is the name that `imagefolder` uses."""
MAX_HEADER = 2**20


@READERS.register("folder")
@final
class ImageFolder(Reader):
    """A CSV (comma, semicolon or tab) with a header, or a JSONL; image paths relative to it.

    Columns and keys are those of `workbench.data.fields`. In a CSV, `images` holds several paths with | between them,
    `target` a text and `target_image` a path.
    """

    name = "folder"
    about = "A folder of images with SPLIT.csv, queries.csv, queries.jsonl or metadata.csv, or the path of such a CSV."

    def rows(self, source: str, *, split: str) -> Iterator[Row]:
        path = _table(source, split)
        return jsonl_rows(path) if path.suffix == ".jsonl" else csv_rows(path, path.parent)

    def describe(self, source: str, *, split: str) -> DataInfo:
        path = _table(source, split)
        return DataInfo(title=Path(source).name, rows=None, revision=hash_files([path], root=path.parent))

    def recognises(self, path: Path, split: str) -> bool:
        return path.suffix in (".csv", ".tsv") or (
            not (path / f"{split}.jsonl").is_file() and bool(_tables(path, split))
        )


def _tables(folder: Path, split: str) -> list[Path]:
    endings = ("csv", "tsv", "jsonl")
    # A table called after the split comes before one for all splits.
    for name in ((split,), NAMES):
        found = [
            folder / f"{one}.{ending}" for one in name for ending in endings if (folder / f"{one}.{ending}").is_file()
        ]
        if found:
            return found
    return []


def _table(source: str, split: str) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    found = _tables(path, split)
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise BadInput(f"'{path}' holds {names}; which of them holds the queries? Give its path.")
    if not found:
        names = f"{split}.csv, queries.csv, queries.jsonl or metadata.csv"
        raise BadInput(f"There is no table of queries in '{path}'; expected {names}.")
    return found[0]


def csv_rows(path: Path, folder: Path | Enclosure) -> Iterator[Row]:
    """The rows of a CSV whose image paths are relative to `folder`. Raises BadInput for a header that cannot be one."""
    # A byte that is not UTF-8 spoils its row, not the file: it arrives as a surrogate, which no text may hold.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        table = csv.reader(file, delimiter=_delimiter(path), strict=True)
        header = [name.strip() for name in next(table, [])]
        check_columns(header, f"'{path.name}'")
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise BadInput(f"'{path.name}' has two columns named '{twice[0]}'; rename one.")
        number = 0
        while True:
            line = table.line_num + 1
            try:
                cells = next(table)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                where = f"Row {number} of '{path.name}' (line {line})"
                yield Row(number=number, where=where, problem=f"{where} is not CSV: {error}.")
                continue
            if cells:
                number += 1
                yield _row(path, folder, number, line, header, cells)


def _row(
    path: Path, folder: Path | Enclosure, number: int, line: int, header: Sequence[str], cells: Sequence[str]
) -> Row:
    where = f"Row {number} of '{path.name}' (line {line})"
    if len(cells) != len(header):
        problem = (
            f"{where} has {len(cells)} cells, but the header has {len(header)}; quote texts that hold the separator."
        )
        return Row(number=number, where=where, problem=problem)
    given = {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()}
    values: dict[str, object] = dict(given)
    if "images" in given:
        values["images"] = [one.strip() for one in given["images"].split("|") if one.strip()]
    if "negatives" in given:
        values["negatives"] = [one for one in given["negatives"].split("|") if one.strip()]
    if "target_image" in given:
        values["target"] = {"text": given.get("target", ""), "images": [given["target_image"]]}
        values.pop("target_image")
    return to_row(number, where, values, folder)


def _delimiter(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        header = file.readline(MAX_HEADER)
    return max(",;\t", key=header.count) if any(one in header for one in ",;\t") else ","
