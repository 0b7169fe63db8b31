"""What an export says of one sample, as JSON values: one object, the same keys in every one, null where there is nothing.

The shape is published as JSON Schema in `schema/thought.v1.schema.json`, which also says what each number means. Loaders
guess types from what they read, so that no object has keys of the data's own: metadata is a list of names and values.
"""

import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from workbench.data.records import Pair, Row
from workbench.types import DecodedThought, ImageRef, Sample

SCHEMA = "thinkscope.thought"
VERSION = 1
"""Raised when a key changes its meaning or goes."""

Record = dict[str, Any]
"""Plain JSON values under the keys of the schema."""

MAX_METADATA = 2_000
"""Characters of one value of the metadata; what is longer belongs into the data set, not beside every thought."""


def failed_record(row: Row, error: str, pair: Pair | None = None) -> Record:
    """The record of a row that gave no thought. `error` is one sentence; the pair, where there was one, says what it held."""
    return _record(row, pair) | {"error": plain(error)}


def done_record(row: Row, pair: Pair, parts: Mapping[str, Any]) -> Record:
    """The record of a row with what the model made of it: thought, think_tokens, lens, knockout, arrays and checks."""
    return {**_record(row, pair), **parts}


def _record(row: Row, pair: Pair | None) -> Record:
    query = None if pair is None else pair.query
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "id": plain(row.id or f"row-{row.number}"),
        "row": row.number,
        "role": None if query is None else query.role,
        "text": None if query is None else plain(query.text),
        "images": [] if query is None else [_image(image) for image in query.images],
        "metadata": [] if query is None else _metadata(query),
        "expected": None if pair is None else _expected(pair),
        "thought": None,
        "think_tokens": [],
        "lens": None,
        "knockout": None,
        "arrays": None,
        "checks": [],
        "error": None,
    }


def thought_values(thought: DecodedThought) -> dict[str, Any]:
    """The decoded thought as it stands in a record."""
    logs = thought.log_probabilities
    total = math.fsum(logs)
    return {
        "text": plain(thought.text),
        "tokens": [
            {"text": plain(text), "id": identity, "log_probability": nats(log)}
            for text, identity, log in zip(thought.tokens, thought.token_ids, logs, strict=True)
        ],
        "context": thought.context,
        "finish": thought.finish,
        "log_probability": nats(total),
        "mean_log_probability": nats(total / len(logs)) if logs else None,
    }


def line(record: Record) -> str:
    """The record as one line of JSON, without the line's end."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def schema(name: str = "thought") -> dict[str, Any]:
    """The published JSON Schema (2020-12) of "thought" records or of the "manifest"."""
    file = files("workbench.export") / "schema" / f"{name}.v{VERSION}.schema.json"
    return json.loads(file.read_text(encoding="utf-8"))


def number(value: float) -> float | None:
    """Six significant digits of a float32's seven; null if not finite."""
    return float(f"{value:.6g}") + 0.0 if math.isfinite(value) else None


def nats(value: float) -> float | None:
    """A log-probability to six decimals: as it is the difference of large logits, further ones are noise near 0."""
    return round(value, 6) + 0.0 if math.isfinite(value) else None


def plain(text: str) -> str:
    r"""The text as UTF-8 can hold it: half of a surrogate pair becomes its name, as `\ud800`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _image(image: ImageRef) -> dict[str, Any]:
    return {"name": plain(image.name), "sha256": image.sha256, "width": image.width, "height": image.height}


def _expected(pair: Pair) -> dict[str, Any] | None:
    told = {"reasoning": pair.reasoning, "answer": pair.answer, "target_id": pair.target_id}
    return {name: plain(text) or None for name, text in told.items()} if any(told.values()) else None


def _metadata(sample: Sample) -> list[dict[str, str]]:
    return [{"name": plain(str(name)), "value": _told(value)} for name, value in sample.metadata.items()]


def _told(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return plain(text if len(text) <= MAX_METADATA else f"{text[: MAX_METADATA - 1]}…")


def repeated_share(ids: Sequence[int], n: int = 4) -> float:
    """The share of a text's n-grams of tokens that stood in it before: near 1 for a text that goes in circles."""
    grams = [tuple(ids[at : at + n]) for at in range(len(ids) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
