"""The rows of a training JSONL: read, checked, what of them is written, and which documents in them are the same."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from workbench.errors import BadInput
from workbench.jsonl import JsonRow, read_jsonl

Row = Mapping[str, Any]
TextPlace = Literal["reasoning_after", "reasoning_before", "target_apart", "target_text_apart", "none"]
"""What text of a row is learned, and where it stands: the reasoning behind the embed tokens, or before them; the words of the
target as labels alone, an image told by its caption (`target_apart`) or by nothing (`target_text_apart`)."""
REASONED: tuple[TextPlace, ...] = ("reasoning_after", "reasoning_before")


def read_training_rows(
    path: Path, *, limit: int | None = None, perceived: bool = False, text: TextPlace = "reasoning_after"
) -> list[Row]:
    """Read and check a training JSONL. Raises BadInput naming file, row number and what is missing or wrong.

    Rows need a `reasoning` only where it is learned (`text`). `perceived` also asks of every row with images what the
    perception loss needs: `scene` and `objects`.
    """
    if not path.is_file():
        raise BadInput(f"There is no training data at '{path}'. `thinkscope shapes --out DIR --n N` makes some.")
    rows: list[Row] = []
    needed = ("query", "reasoning", "target") if text in REASONED else ("query", "target")
    for row in islice(read_jsonl(path, expected=f"images, {', '.join(needed[:-1])} and {needed[-1]}"), limit):
        _check(row, needed)
        if perceived and row.values.get("images"):
            _check_objects(row)
        rows.append(row.values)
    if not rows:
        raise BadInput(f"'{path}' holds no rows.")
    return rows


def target_key(row: Row) -> str:
    """Identity of a row's target: equal keys are the same candidate."""
    return row.get("target_id") or document_key(row["target"])


def document_key(document: Row) -> str:
    """Identity of a document by its content."""
    text, images = document.get("text"), document.get("images")
    if not images:
        return f"text:{text}"
    return f"image:{'|'.join(images)}" + (f" text:{text}" if text else "")


def target_text(row: Row) -> str:
    """What a row's target says in words: its text, else its `caption`; empty where an image has neither.

    Shapes names an image by its caption, so that a `target_id` of the form `image:...` is one too.
    """
    target = row["target"]
    named = str(row.get("target_id") or "").partition("image:")
    return target.get("text") or target.get("caption") or (named[2] if not named[0] else "")


def row_text(row: Row, place: TextPlace) -> str:
    """What is learned to be written of a row; empty where it has no such words."""
    match place:
        case "reasoning_after" | "reasoning_before":
            return row["reasoning"]
        case "target_apart":
            return target_text(row)
        case "target_text_apart":
            return row["target"].get("text") or ""
        case "none":
            return ""


def row_length(row: Row) -> int:
    """Letters of query and reasoning, by which rows of like length come into one batch."""
    return len(row["query"]) + len(row.get("reasoning") or "")


def _check(row: JsonRow, needed: Sequence[str]) -> None:
    values, where = row.values, row.where
    if lacking := [key for key in needed if key not in values]:
        raise BadInput(f"{where} lacks {', '.join(lacking)}; needed: images, {', '.join(needed)}.")
    for key in ("query", "reasoning"):
        given = values.get(key, "")
        if not isinstance(given, str) and (key in needed or given is not None):
            raise BadInput(f"{where}: '{key}' is a JSON {type(given).__name__}; expected a string.")
    if not isinstance(values.get("target_id") or "", str):
        raise BadInput(f"{where}: 'target_id' must be a string.")
    if not isinstance(values.get("negatives") or [], list):
        raise BadInput(f"{where}: 'negatives' must be a list of objects with 'text' and 'images'.")
    _check_images(where, values)
    for name, document in (("target", values["target"]), *(("negative", n) for n in values.get("negatives") or [])):
        if not isinstance(document, dict):
            raise BadInput(f"{where} has a {name} that is no object; expected one with 'text' and 'images'.")
        if not isinstance(document.get("text") or "", str):
            raise BadInput(f"{where} has a {name} whose 'text' is no string.")
        if not isinstance(document.get("caption") or "", str):
            raise BadInput(f"{where} has a {name} whose 'caption' is no string.")
        _check_images(where, document)
        if not (document.get("text") or document.get("images")):
            raise BadInput(f"{where} has a {name} with neither text nor images.")
    if not (values["query"] or values.get("images")):
        raise BadInput(f"{where} has neither query nor images.")


def _check_images(where: str, holder: Mapping[str, Any]) -> None:
    images = holder.get("images") or []
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise BadInput(f"{where}: 'images' must be a list of paths.")


def _check_objects(row: JsonRow) -> None:
    wanted = (
        "the perception loss needs 'scene' (width and height in pixels) and 'objects' (size, colour, shape and box as "
        "top, left, bottom, right) of the row's first image; set perception.steps and perception.weight to 0 without them"
    )
    scene, objects = row.values.get("scene"), row.values.get("objects")
    if not isinstance(scene, dict) or not all(_is_positive(scene.get(side)) for side in ("width", "height")):
        raise BadInput(f"{row.where} has no usable 'scene': {wanted}.")
    if not isinstance(objects, list):
        raise BadInput(f"{row.where} has no 'objects': {wanted}.")
    for thing in objects:
        box = thing.get("box") if isinstance(thing, dict) else None
        named = box is not None and all(isinstance(thing.get(key), str) for key in ("size", "colour", "shape"))
        if not named or not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
            raise BadInput(f"{row.where} has an object that is not complete: {wanted}.")
        top, left, bottom, right = box
        if not (0 <= top + bottom < 2 * scene["height"] and 0 <= left + right < 2 * scene["width"]):
            raise BadInput(f"{row.where} has an object whose centre lies outside the image: box {box}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0
