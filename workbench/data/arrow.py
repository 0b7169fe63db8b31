"""Parquet (and JSONL) tables, row by row; of Parquet one row group is held. pyarrow comes with the extra `data`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, MissingExtra
from workbench.jsonl import parse_row

INSTALL = "pip install 'thinkscope[data]'"
BATCH = 16
"""Rows decoded at once; a page of a document may have megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row as Python values, and where it stands."""

    number: int
    """From 1, over all files."""
    where: str
    """Number within the file, and the file."""
    values: Mapping[str, Any]
    problem: str = ""
    """Why the row could not be decoded, without saying where; `values` is then empty."""


def import_parquet() -> Any:
    """`pyarrow.parquet`, or MissingExtra with the install line."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra(f"Parquet needs pyarrow, which is not installed: {INSTALL}") from error
    return pyarrow.parquet


def read_table(files: Sequence[Path], *, columns: Sequence[str] | None = None) -> Iterator[TableRow]:
    """Every row of the files, in their order; `columns` that a file lacks are left out. JSONL is read whole row by row.

    Raises:
        BadInput: naming a file that is no Parquet or is damaged.
        MissingExtra: without pyarrow.
    """
    number = 0
    for path in files:
        for within, values in enumerate(_values(path, columns), start=1):
            number += 1
            yield _row(number, f"Row {within} of '{path.name}'", values)


def _values(path: Path, columns: Sequence[str] | None) -> Iterator[dict[str, Any] | str]:
    if path.suffix == ".jsonl":
        yield from _objects(path)
        return
    parquet = import_parquet()
    # With `pre_buffer` further row groups would be fetched ahead.
    with _told(path), parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
        held = [name for name in file.schema_arrow.names if columns is None or name in columns]
        for batch in file.iter_batches(batch_size=BATCH, columns=held):
            yield from _each(batch)


def _objects(path: Path) -> Iterator[dict[str, Any] | str]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield parse_row(line.decode("utf-8"), number, "it", expected="the columns of the table").values
            except (BadInput, UnicodeDecodeError) as error:
                yield str(error)


def count_rows(files: Sequence[Path]) -> int | None:
    """How many rows the files say they have; None where one does not say. Raises as `read_table`."""
    if any(path.suffix == ".jsonl" for path in files):
        return None
    parquet, total = import_parquet(), 0
    for path in files:
        with _told(path):
            total += parquet.read_metadata(path).num_rows
    return total


def column_names(files: Sequence[Path]) -> tuple[str, ...]:
    """Columns of the first file, which is Parquet. Raises as `read_table`."""
    parquet = import_parquet()
    with _told(files[0]):
        return tuple(parquet.read_schema(files[0]).names)


def _row(number: int, where: str, values: dict[str, Any] | str) -> TableRow:
    if isinstance(values, str):
        return TableRow(number=number, where=where, values={}, problem=values)
    return TableRow(number=number, where=where, values=values)


def _each(batch: Any) -> Iterator[dict[str, Any] | str]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for place in range(batch.num_rows):
            try:
                values = batch.slice(place, 1).to_pylist()[0]
            except UnicodeDecodeError:
                values = "it holds text that is not UTF-8; write the file again."
            yield values


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what pyarrow says of a file into BadInput with its name."""
    from pyarrow.lib import ArrowException

    try:
        yield
    except (ArrowException, OSError) as error:
        message = str(error).split("\n")[0].rstrip(".")
        raise BadInput(f"'{path.name}' cannot be read as Parquet: {message}; write or download it again.") from error
