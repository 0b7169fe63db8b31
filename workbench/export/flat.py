"""The Parquet twin of an export: one flat row for each sample, for viewers of tables. pyarrow comes with the extra `data`."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workbench.data.arrow import import_parquet
from workbench.export.record import Record

_KINDS: dict[str, str] = {
    "id": "string",
    "row": "int64",
    "role": "string",
    "text": "string",
    "images": "list<string>",
    "image_sha256": "list<string>",
    "metadata": "string",
    "expected_reasoning": "string",
    "expected_answer": "string",
    "target_id": "string",
    "thought": "string",
    "tokens": "list<string>",
    "token_log_probabilities": "list<double>",
    "n_tokens": "int64",
    "log_probability": "double",
    "mean_log_probability": "double",
    "context": "string",
    "finish": "string",
    "think_words": "list<string>",
    "think_probabilities": "list<double>",
    "think_entropies": "list<double>",
    "knockout": "list<double>",
    "arrays_file": "string",
    "checks_passed": "bool",
    "error": "string",
}
COLUMNS = tuple(_KINDS)


def parquet_bytes(records: Sequence[Record]) -> bytes:
    """The content of a Parquet file with one row group. Raises MissingExtra without pyarrow."""
    parquet = import_parquet()
    made = io.BytesIO()
    parquet.write_table(_table(records), made, compression="zstd")
    return made.getvalue()


def join_parquet(parts: Iterable[Path], target: Path) -> None:
    """Write the parts' row groups one after the other into one file, also of no parts; one row group is held at a time.

    Raises MissingExtra without pyarrow.
    """
    parquet = import_parquet()
    with parquet.ParquetWriter(target, _schema(), compression="zstd") as writer:
        for part in parts:
            with parquet.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))


def flat_row(record: Record) -> dict[str, Any]:
    """The record without what a table cannot show: the first word of each think token, no lens, no list of tokens' ids."""
    expected, thought = record["expected"] or {}, record["thought"]
    first = [token["words"][0] if token["words"] else None for token in record["think_tokens"]]
    tokens = [] if thought is None else thought["tokens"]
    return {
        "id": record["id"],
        "row": record["row"],
        "role": record["role"],
        "text": record["text"],
        "images": [image["name"] for image in record["images"]],
        "image_sha256": [image["sha256"] for image in record["images"]],
        "metadata": json.dumps({entry["name"]: entry["value"] for entry in record["metadata"]}, ensure_ascii=False),
        "expected_reasoning": expected.get("reasoning"),
        "expected_answer": expected.get("answer"),
        "target_id": expected.get("target_id"),
        "thought": thought and thought["text"],
        "tokens": [token["text"] for token in tokens],
        "token_log_probabilities": [token["log_probability"] for token in tokens],
        "n_tokens": thought and len(tokens),
        "log_probability": thought and thought["log_probability"],
        "mean_log_probability": thought and thought["mean_log_probability"],
        "context": thought and thought["context"],
        "finish": thought and thought["finish"],
        "think_words": [word and word["text"] for word in first],
        "think_probabilities": [word and word["probability"] for word in first],
        "think_entropies": [token["entropy"] for token in record["think_tokens"]],
        "knockout": record["knockout"] and record["knockout"]["change"],
        "arrays_file": record["arrays"] and record["arrays"]["file"],
        "checks_passed": all(check["passed"] for check in record["checks"]) if record["checks"] else None,
        "error": record["error"],
    }


def _table(records: Sequence[Record]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([flat_row(record) for record in records], schema=_schema())


def _schema() -> Any:
    import pyarrow as pa

    kinds = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
    kinds |= {f"list<{name}>": pa.list_(kind) for name, kind in tuple(kinds.items())}
    return pa.schema([(name, kinds[kind]) for name, kind in _KINDS.items()])
