"""Parquet tables whose images are bytes, paths, or the pairs of both that Hugging Face writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import final

from workbench.data.arrow import count_rows
from workbench.data.reader import READERS, DataInfo, Reader, Row
from workbench.data.revision import hash_files
from workbench.data.tables import table_rows
from workbench.errors import BadInput


@READERS.register("parquet")
@final
class Parquet(Reader):
    """Rows of the form of `workbench.data.fields`; image paths relative to the file. Needs the extra `data`."""

    name = "parquet"
    about = "A Parquet file, or a folder with SPLIT.parquet or SPLIT-*.parquet; images as bytes or paths."

    def rows(self, source: str, *, split: str) -> Iterator[Row]:
        files = _files(source, split)
        return table_rows(files, files[0].parent)

    def describe(self, source: str, *, split: str) -> DataInfo:
        files = _files(source, split)
        folder = files[0].parent
        return DataInfo(title=Path(source).name, rows=count_rows(files), revision=hash_files(files, root=folder))

    def recognises(self, path: Path, split: str) -> bool:
        return path.suffix == ".parquet" or any(path.glob(f"{split}*.parquet"))


def _files(source: str, split: str) -> tuple[Path, ...]:
    path = Path(source)
    if path.is_file():
        return (path,)
    found = (*path.glob(f"{split}.parquet"), *path.glob(f"{split}-*.parquet")) if path.is_dir() else ()
    if not found:
        raise BadInput(
            f"There is no Parquet file '{path}'; give one, or a folder with {split}.parquet or {split}-*.parquet."
        )
    return tuple(sorted(found))
