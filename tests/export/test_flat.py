"""The Parquet twin: one flat row for each record, the same columns and types whatever the records hold."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from workbench.data.records import Pair, Row
from workbench.errors import MissingExtra
from workbench.export.flat import COLUMNS, flat_row, join_parquet, parquet_bytes
from workbench.export.record import done_record, failed_record, thought_values
from workbench.types import DecodedThought, Sample

THOUGHT = DecodedThought(
    text="two dots",
    tokens=("two", " dots"),
    token_ids=(5, 7),
    log_probabilities=(-0.5, -0.25),
    context="latents_only",
    finish="end",
)
WORDS = {"words": [{"text": "dot", "probability": 0.5}, {"text": "two", "probability": 0.25}], "entropy": 1.5}


def record(number: int) -> dict[str, Any]:
    pair = Pair(query=Sample(id="s", text=f"why {number} ?", metadata={"task": "count"}), answer="two")
    parts = {
        "thought": thought_values(THOUGHT),
        "think_tokens": [
            {"index": 1, "token": "<t1>", **WORDS},
            {"index": 2, "token": "<t2>", "words": [], "entropy": None},
        ],
        "checks": [
            {"name": "finished", "value": 2, "passed": True},
            {"name": "not empty", "value": 2, "passed": False},
        ],
    }
    return done_record(Row(number=number, where="", id=f"r{number}"), pair, parts)


def failed(number: int) -> dict[str, Any]:
    return failed_record(Row(number=number, where="", id=f"r{number}"), "It broke.")


def test_a_row_is_flat_and_complete() -> None:
    row = flat_row(record(1))
    assert tuple(row) == COLUMNS
    assert row["thought"] == "two dots"
    assert row["tokens"] == ["two", " dots"]
    assert row["n_tokens"] == 2
    assert row["think_words"] == ["dot", None]
    assert row["think_entropies"] == [1.5, None]
    assert json.loads(row["metadata"]) == {"task": "count"}
    assert row["expected_answer"] == "two"
    assert row["checks_passed"] is False
    assert flat_row(failed(1))["checks_passed"] is None


@pytest.mark.parametrize("held", [[], [1], [0], [0, 1]])
def test_columns_do_not_depend_on_the_records(held: list[int], tmp_path: Path) -> None:
    import pyarrow.parquet

    made = [record(n) if n else failed(9) for n in held]
    (tmp_path / "x.parquet").write_bytes(parquet_bytes(made))
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    (tmp_path / "y.parquet").write_bytes(parquet_bytes([record(2)]))
    assert table.schema == pyarrow.parquet.read_table(tmp_path / "y.parquet").schema
    assert table.to_pylist() == [flat_row(one) for one in made]


def test_equal_records_are_equal_bytes() -> None:
    assert parquet_bytes([record(1), failed(2)]) == parquet_bytes([record(1), failed(2)])


@pytest.mark.parametrize("n", [0, 1, 3])
def test_parts_are_joined_in_order(n: int, tmp_path: Path) -> None:
    import pyarrow.parquet

    parts = []
    for number in range(n):
        parts.append(tmp_path / f"{number}.parquet")
        parts[-1].write_bytes(parquet_bytes([record(2 * number + 1), failed(2 * number + 2)]))
    join_parquet(parts, tmp_path / "all.parquet")
    whole = pyarrow.parquet.ParquetFile(tmp_path / "all.parquet")
    assert whole.num_row_groups == n
    assert whole.read().column("row").to_pylist() == list(range(1, 2 * n + 1))


def test_without_pyarrow_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'thinkscope\[data\]'"):
        parquet_bytes([])
