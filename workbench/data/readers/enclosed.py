"""A folder of images with a table, made by somebody who is not trusted with the rest of the machine."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import final

from workbench.data.enclosure import Enclosure
from workbench.data.lines import jsonl_rows
from workbench.data.reader import READERS, DataInfo, Reader, Row
from workbench.data.readers.folder import NAMES, csv_rows
from workbench.data.revision import hash_files
from workbench.errors import BadInput

ENDINGS = (".csv", ".tsv", ".jsonl")
MAX_TABLE = 50 * 2**20
"""Bytes. A single line may be as long as the table, and reading it takes some ten times its length in memory."""


@READERS.register("enclosed")
@final
class EnclosedFolder(Reader):
    """As `folder`, but the table may lie in a folder below and have any name, and images outside are refused.

    With several tables, the one called after the split, queries or metadata is taken. A table that is not called after a
    split holds the split test.
    """

    name = "enclosed"
    about = "A folder with one CSV, TSV or JSONL anywhere in it, whose image paths may not lead out of the folder."
    only_by_name = True

    def rows(self, source: str, *, split: str) -> Iterator[Row]:
        table = _table(source, split)
        fence = Enclosure(root=Path(source), folder=table.parent)
        return jsonl_rows(table, fence) if table.suffix.lower() == ".jsonl" else csv_rows(table, fence)

    def describe(self, source: str, *, split: str) -> DataInfo:
        table = _table(source, split)
        return DataInfo(title=Path(source).name, rows=None, revision=hash_files([table], root=Path(source)))


def choose_table(names: Sequence[str], split: str = "test") -> str:
    """Which of some files, named relative to one folder with / between, is the table of queries.

    Raises:
        BadInput: when there is none, or several that could be it.
    """
    tables = sorted(name for name in names if PurePosixPath(name).suffix.lower() in ENDINGS)
    for wanted in (split, *NAMES):
        called = [name for name in tables if PurePosixPath(name).stem.lower() == wanted]
        if len(called) == 1:
            return called[0]
        if called:
            tables = called
            break
    if not tables:
        raise BadInput(
            "There is no CSV, TSV or JSONL beside the images; add a queries.csv with the columns query and image."
        )
    if len(tables) > 1:
        told = ", ".join(tables[:4]) + (", ..." if len(tables) > 4 else "")
        raise BadInput(f"There are {len(tables)} tables ({told}); name the one with the queries queries.csv.")
    return tables[0]


def _table(source: str, split: str) -> Path:
    root = Path(source)
    if not root.is_dir():
        raise BadInput(f"'{source}' is no folder; expected a folder with a CSV, TSV or JSONL.")
    names = (
        (Path(folder) / name).relative_to(root).as_posix()
        for folder, _, files in os.walk(root)
        for name in files
        if Path(name).suffix.lower() in ENDINGS
    )
    table = root / choose_table(list(names), split)
    if split != "test" and table.stem.lower() != split:
        raise BadInput(f"'{root.name}' has no table called {split}; without one, all its rows are of the split test.")
    if (size := table.stat().st_size) > MAX_TABLE:
        raise BadInput(
            f"'{table.name}' is {size / 2**20:.0f} MB large; at most {MAX_TABLE // 2**20} MB, so cut it in two."
        )
    return table
