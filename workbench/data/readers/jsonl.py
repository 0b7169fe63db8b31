"""JSONL with one object a row, the form in which Shapes is written and training reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import final

from workbench.data.lines import jsonl_rows
from workbench.data.reader import READERS, DataInfo, Reader, Row
from workbench.data.revision import hash_files
from workbench.errors import BadInput


@READERS.register("jsonl")
@final
class JsonLines(Reader):
    """Rows of the form of `workbench.data.fields`; image paths relative to the file."""

    name = "jsonl"
    about = "A JSONL file, or a folder that holds one for each split."

    def rows(self, source: str, *, split: str) -> Iterator[Row]:
        return jsonl_rows(_file(source, split))

    def describe(self, source: str, *, split: str) -> DataInfo:
        path = _file(source, split)
        return DataInfo(title=path.name, rows=None, revision=hash_files([path], root=path.parent))

    def recognises(self, path: Path, split: str) -> bool:
        return path.suffix == ".jsonl" or (path / f"{split}.jsonl").is_file()


def _file(source: str, split: str) -> Path:
    path = Path(source)
    if path.is_dir():
        path = path / f"{split}.jsonl"
    if not path.is_file():
        raise BadInput(f"There is no file '{path}'; give a JSONL file, or a folder that holds one for each split.")
    return path
