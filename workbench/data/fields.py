"""The form of a row that all plain tables share, whatever file they come in, and what becomes of it.

A row has a query (`query`, else `question`, `text` or `prompt`) or images (`images`: a list; else `image`, `file_name` or
`image_path`: one) or both; and, where it knows them, `id`, `reasoning`, `answer`, `target`, `target_id` and `negatives`.
An image is a path, relative to the folder of the table, or encoded bytes. Further numbers and texts become metadata of
the query.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.data.enclosure import Enclosure
from workbench.data.records import Pair
from workbench.errors import BadInput
from workbench.images import refer
from workbench.samples import make_sample
from workbench.types import ImageRef, Role, Sample

QUERY_KEYS = ("query", "question", "text", "prompt")
IMAGE_KEYS = ("image", "file_name", "image_path")
KNOWN = {"id", "images", "reasoning", "answer", "target", "target_id", "negatives", *QUERY_KEYS, *IMAGE_KEYS}
NEEDED = "'query' or 'images'"


def to_pair(values: Mapping[str, Any], folder: Path | Enclosure) -> Pair:
    """The pair of a row. Raises BadInput saying what is wrong, but not where."""
    target, negatives = values.get("target"), values.get("negatives") or []
    if not isinstance(negatives, list):
        raise BadInput(f"'negatives' is {_kind(negatives)}; expected a list of documents.")
    given = [values["images"]] if "images" in values else [[values[key]] for key in IMAGE_KEYS if values.get(key)][:1]
    images = given[0] if given else []
    key = next((key for key in QUERY_KEYS if values.get(key) is not None), "query")
    query = make_sample(_images(images, folder), text_of(values, key))
    return Pair(
        query=replace(query, metadata=_metadata(values)),
        reasoning=text_of(values, "reasoning"),
        answer=text_of(values, "answer"),
        target=None if target is None else _document(target, folder),
        target_id=text_of(values, "target_id"),
        negatives=tuple(_document(negative, folder) for negative in negatives),
    )


def id_of(values: Mapping[str, Any]) -> str:
    """The row's own name; empty where it has none. Raises BadInput for one that is neither text nor number."""
    value = values.get("id")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadInput(f"'id' is {_kind(value)}; expected a string or a whole number.")
    return str(value)


def text_of(values: Mapping[str, Any], key: str) -> str:
    """A field that must be text where it is there."""
    value = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"'{key}' is {_kind(value)}; expected a string.")
    return value


def image_of(given: Any, folder: Path | Enclosure) -> ImageRef:
    """A checked image of a path, of encoded bytes, or of the pair of both that Hugging Face writes."""
    if isinstance(given, Mapping):
        data, path = given.get("bytes"), given.get("path")
        if isinstance(data, bytes | bytearray | memoryview) and data:
            return refer(bytes(data), name=Path(path).name if isinstance(path, str) and path else None)
        given = path
    if isinstance(given, bytes | bytearray | memoryview):
        return refer(bytes(given))
    if isinstance(given, str) and given:
        return refer(folder / given)
    raise BadInput(f"an image is {_kind(given)}; expected a path or encoded bytes.")


def exact_sample(text: str, images: Sequence[ImageRef | Path], role: Role) -> Sample:
    """A sample whose text is kept to the letter: published tables hold spaces and line ends that models were scored with.

    Raises BadInput as `make_sample` does.
    """
    sample = make_sample(images, text, role=role)
    if sample.text == text:
        return sample
    name = hashlib.sha256(f"{sample.id}\0{text}".encode()).hexdigest()[:16]
    return replace(sample, id=name, text=text)


def _document(given: Any, folder: Path | Enclosure) -> Sample:
    if not isinstance(given, Mapping):
        raise BadInput(f"a document is {_kind(given)}; expected an object with 'text' and 'images'.")
    return make_sample(_images(given.get("images") or [], folder), text_of(given, "text"), role="document")


def _images(given: Any, folder: Path | Enclosure) -> list[ImageRef]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise BadInput(f"'images' is {_kind(given)}; expected a list of images.")
    return [image_of(image, folder) for image in given]


def _metadata(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(key): value
        for key, value in values.items()
        if key not in KNOWN and isinstance(value, str | int | float | bool)
    }


def _kind(value: Any) -> str:
    names = {
        type(None): "empty",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
    }
    return names.get(type(value), "an object" if isinstance(value, Mapping) else f"of the kind {type(value).__name__}")
