"""Lines of a JSONL file as rows, each with its own fate: a bad line does not end the file."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from workbench.data.enclosure import Enclosure
from workbench.data.fields import NEEDED, id_of, to_pair
from workbench.data.records import Row
from workbench.errors import BadInput
from workbench.jsonl import JsonRow, parse_row


def jsonl_rows(path: Path, folder: Path | Enclosure | None = None) -> Iterator[Row]:
    """Every line that is not blank; numbers are those of the lines. Images lie in `folder`, else beside the file."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _row(path, path.parent if folder is None else folder, number, line)


def _row(path: Path, folder: Path | Enclosure, number: int, line: bytes) -> Row:
    where = f"Row {number} of '{path.name}'"
    try:
        parsed = _parse(line, number, where)
        name = id_of(parsed.values)
    except BadInput as error:
        told = str(error)
        return Row(number=number, where=where, problem=told if told.startswith(where) else f"{where}: {told}")
    return Row(number=number, where=where, id=name, make=partial(to_pair, parsed.values, folder))


def _parse(line: bytes, number: int, where: str) -> JsonRow:
    try:
        # A file may begin with a mark of its byte order.
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{where} is not UTF-8 text (byte {error.start}); save the file as UTF-8.") from error
    return parse_row(text, number, where, expected=NEEDED)
