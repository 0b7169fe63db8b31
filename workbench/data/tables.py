"""Rows of tables made by others (Parquet, `datasets`, CSV), brought into the form of `workbench.data.fields`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from workbench.data.arrow import column_names, read_table
from workbench.data.enclosure import Enclosure
from workbench.data.fields import IMAGE_KEYS, QUERY_KEYS, id_of, to_pair
from workbench.data.records import Pair, Row
from workbench.errors import BadInput


def table_rows(files: Sequence[Path], folder: Path) -> Iterator[Row]:
    """The rows of Parquet files whose image paths are relative to `folder`."""
    check_columns(column_names(files), f"'{files[0].name}'")
    for row in read_table(files):
        if row.problem:
            yield Row(number=row.number, where=row.where, problem=f"{row.where}: {row.problem}")
        else:
            yield to_row(row.number, row.where, row.values, folder)


def to_row(number: int, where: str, values: Mapping[str, Any], folder: Path | Enclosure) -> Row:
    """A row of plain values, not yet looked into."""
    try:
        name = id_of(values)
    except BadInput as error:
        return Row(number=number, where=where, problem=f"{where}: {error}")
    return Row(number=number, where=where, id=name, make=partial(make_pair, values, folder))


def check_columns(names: Sequence[str], what: str) -> None:
    """Raises BadInput when nothing in the table could be a query or an image."""
    known = (*QUERY_KEYS, "images", *IMAGE_KEYS)
    if not set(names) & set(known):
        held = ", ".join(names)[:200]
        raise BadInput(f"{what} has the columns {held}; expected one of {', '.join(known)}.")


def make_pair(values: Mapping[str, Any], folder: Path | Enclosure) -> Pair:
    """The pair of a table's row, which cannot leave a field out, and has answers that are numbers and targets that are texts.

    Raises BadInput saying what is wrong, but not where.
    """
    row = {key: value for key, value in values.items() if value is not None}
    if "answer" in row:
        row["answer"] = _one_text(row["answer"])
    if isinstance(row.get("target"), str):
        row["target"] = {"text": row["target"]}
    if isinstance(row.get("negatives"), list):
        row["negatives"] = [{"text": one} if isinstance(one, str) else one for one in row["negatives"]]
    if "images" in row and not isinstance(row["images"], list):
        row["images"] = [row["images"]]
    return to_pair(row, folder)


def _one_text(answer: Any) -> Any:
    if isinstance(answer, list) and all(isinstance(one, str) for one in answer):
        return " | ".join(answer)
    return str(answer) if isinstance(answer, int | float) and not isinstance(answer, bool) else answer
