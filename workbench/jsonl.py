"""JSONL files, one object in a row: the one place that reads them, so that each mistake is told in the same words."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRow:
    """One object, and where it stands."""

    number: int
    """Line of the file, counted from 1; blank lines count, but are no rows."""
    where: str
    """How a message names the row."""
    values: dict[str, Any]


def read_jsonl(path: Path, *, expected: str) -> Iterator[JsonRow]:
    """The rows of a file, one at a time. `expected` says what an object holds, for the message about one that is none.

    Raises BadInput naming the row that is not a JSON object, or the file that is not UTF-8.
    """
    with path.open(encoding="utf-8-sig") as lines:
        try:
            yield from parse_jsonl(lines, path.name, expected=expected)
        except UnicodeDecodeError as error:
            raise BadInput(f"'{path.name}' is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error


def parse_jsonl(lines: Iterable[str], name: str, *, expected: str) -> Iterator[JsonRow]:
    """The rows of the lines of the file called `name`; otherwise as `read_jsonl`."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield parse_row(line, number, f"Row {number} of '{name}'", expected=expected)


def parse_row(line: str, number: int, where: str, *, expected: str) -> JsonRow:
    """One line; for those who go on after a bad one. Raises BadInput as `read_jsonl` does."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        told = f"{error.msg} at character {error.pos + 1}"
        raise BadInput(f"{where} is not JSON: {told}; mend or remove it.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
        raise BadInput(f"{where} is not JSON that can be read: {error}; mend or remove it.") from error
    if not isinstance(values, dict):
        raise BadInput(f"{where} is a JSON {type(values).__name__}; expected an object with {expected}.")
    return JsonRow(number=number, where=where, values=values)
