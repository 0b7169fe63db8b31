"""JSONL with one object a row, the form in which Shapes is written and training reads."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, final

from workbench.data.reader import READERS, Pair, Reader
from workbench.errors import BadInput
from workbench.samples import make_sample
from workbench.types import Role, Sample


@READERS.register("jsonl")
@final
class JsonLines(Reader):
    """Rows with `query`, `images`, `reasoning`, `answer`, `target` and `negatives`; image paths relative to the file."""

    name = "jsonl"
    about = "A JSONL file, or a folder that holds one for each split."

    def read(self, source: str, *, split: str, limit: int | None = None) -> Iterator[Pair]:
        path = Path(source)
        if path.is_dir():
            path = path / f"{split}.jsonl"
        if not path.is_file():
            raise BadInput(f"There is no file '{path}'; give a JSONL file, or a folder that holds one for each split.")
        return islice(_rows(path), limit)


def _rows(path: Path) -> Iterator[Pair]:
    with path.open(encoding="utf-8") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _pair(path, number, line)
        except UnicodeDecodeError as error:
            raise BadInput(f"'{path.name}' is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error


def _pair(path: Path, number: int, line: str) -> Pair:
    where = f"Row {number} of '{path.name}'"
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where} is not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise BadInput(f"{where} is a JSON {type(row).__name__}; expected an object with 'query' or 'images'.")
    try:
        target = row.get("target")
        return Pair(
            query=_sample(path.parent, {"text": row.get("query", ""), "images": row.get("images", [])}, "query"),
            reasoning=_text(row, "reasoning"),
            answer=_text(row, "answer"),
            target=None if target is None else _sample(path.parent, target, "document"),
            target_id=_text(row, "target_id"),
            negatives=tuple(_sample(path.parent, negative, "document") for negative in row.get("negatives", [])),
        )
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def _sample(folder: Path, given: Any, role: Role) -> Sample:
    if not isinstance(given, dict):
        raise BadInput(f"a {role} is a JSON {type(given).__name__}; expected an object with 'text' and 'images'.")
    images = given.get("images", [])
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise BadInput("'images' must be a list of paths.")
    return make_sample([folder / image for image in images], _text(given, "text"), role=role)


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key) or ""
    if not isinstance(value, str):
        raise BadInput(f"'{key}' is a JSON {type(value).__name__}; expected a string.")
    return value
