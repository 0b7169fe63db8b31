"""A record holds the same keys whatever became of its row, is strict JSON, and its schema is one that can fail."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from workbench.data.records import Pair, Row
from workbench.export.reading import checks_of
from workbench.export.record import (
    MAX_METADATA,
    done_record,
    failed_record,
    line,
    nats,
    number,
    repeated_share,
    schema,
    thought_values,
)
from workbench.types import DecodedThought, ImageRef, Sample

ROW = Row(number=3, where="Row 3 of 'x'", id="three")
PICTURE = ImageRef(data=b"x", sha256="a" * 64, width=4, height=2, name="x.png")
PAIR = Pair(
    query=Sample(id="s", text="why ?", images=(PICTURE,), metadata={"task": "count", "n": 3, "odd": float("nan")}),
    answer="two",
)
THOUGHT = DecodedThought(
    text="two dots",
    tokens=("two", " dots"),
    token_ids=(5, 7),
    log_probabilities=(-0.5, -0.25),
    context="latents_only",
    finish="end",
)
PARTS: dict[str, Any] = {"thought": thought_values(THOUGHT), "checks": []}


def valid(record: dict[str, Any]) -> bool:
    return Draft202012Validator(schema()).is_valid(json.loads(line(record)))


def test_a_record_holds_what_the_row_said() -> None:
    record = done_record(ROW, PAIR, PARTS)
    assert (record["id"], record["row"], record["role"], record["text"]) == ("three", 3, "query", "why ?")
    assert record["images"] == [{"name": "x.png", "sha256": "a" * 64, "width": 4, "height": 2}]
    assert record["expected"] == {"reasoning": None, "answer": "two", "target_id": None}
    assert record["metadata"][:2] == [{"name": "task", "value": "count"}, {"name": "n", "value": "3"}]
    assert record["thought"]["log_probability"] == -0.75
    assert record["thought"]["mean_log_probability"] == -0.375
    assert valid(record)


def test_keys_are_the_same_in_every_record() -> None:
    records = (done_record(ROW, PAIR, PARTS), failed_record(ROW, "It broke."), failed_record(ROW, "It broke.", PAIR))
    assert {tuple(record) for record in records} == {tuple(schema()["properties"])}
    assert all(valid(record) for record in records)
    assert [record["text"] for record in records] == ["why ?", None, "why ?"]


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"row": 0},
        {"error": ""},
        {"extra": 1},
        {"images": [{"name": "x"}]},
        {"think_tokens": [{"index": 0, "token": "t", "words": [], "entropy": 1.0}]},
        {"thought": {**PARTS["thought"], "finish": "tired"}},
        {"checks": [{"name": "other", "value": 1, "passed": True}]},
        {"arrays": {"file": "x", "keys": {}}},
    ],
)
def test_the_schema_refuses_what_is_no_record(change: dict[str, Any]) -> None:
    assert valid(done_record(ROW, PAIR, PARTS))
    assert not valid(done_record(ROW, PAIR, PARTS) | change)


def test_the_schema_itself_is_valid() -> None:
    Draft202012Validator.check_schema(schema("thought"))
    lacking = {key for key in schema()["properties"] if key not in schema()["required"]}
    assert not lacking


def test_texts_that_utf8_cannot_hold_become_names() -> None:
    row = Row(number=1, where="Row 1", id="a\ud800")
    pair = Pair(query=Sample(id="s", text="\udfff?", metadata={"k\ud800": "\ud800"}), answer="\ud800")
    record = failed_record(row, "no \ud800", pair)
    assert record["id"] == "a\\ud800"
    assert json.loads(line(record).encode("utf-8")) == record
    assert failed_record(Row(number=1, where="Row 1", id="a\ud801"), "no")["id"] != record["id"]


def test_a_line_is_one_line_and_strict_json() -> None:
    pair = Pair(query=Sample(id="s", text="a\nb\u2028c"))
    text = line(done_record(ROW, pair, PARTS))
    assert "\n" not in text
    assert json.loads(text)["text"] == "a\nb\u2028c"
    with pytest.raises(ValueError, match="not JSON compliant"):
        line(done_record(ROW, pair, {"thought": math.nan}))


@given(st.floats(width=32))
def test_numbers_are_rounded_or_null(value: float) -> None:
    if not math.isfinite(value):
        assert number(value) is nats(value) is None
        return
    rounded, log = number(value), nats(value)
    assert rounded is not None
    assert log is not None
    assert rounded == pytest.approx(value, rel=5e-6)
    assert log == pytest.approx(value, abs=6e-7, rel=1e-15)
    assert not any(str(told) == "-0.0" for told in (rounded, log))


def test_long_metadata_is_cut() -> None:
    pair = Pair(query=Sample(id="s", text="x", metadata={"long": "y" * 9_999}))
    [entry] = failed_record(ROW, "no", pair)["metadata"]
    assert len(entry["value"]) == MAX_METADATA
    assert entry["value"].endswith("…")


def test_repetition_is_told() -> None:
    assert repeated_share([]) == repeated_share([1, 2, 3]) == repeated_share(range(40)) == 0
    assert repeated_share([1, 2] * 20) == pytest.approx(1 - 2 / 37)


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({}, []),
        ({"finish": "length"}, ["finished"]),
        ({"token_ids": (5,) * 40, "log_probabilities": (-0.5,) * 40, "tokens": ("two",) * 40}, ["not repeating"]),
        ({"text": " ", "tokens": (" ",), "token_ids": (1,), "log_probabilities": (-0.5,)}, ["not empty"]),
        ({"log_probabilities": (-0.5, math.nan)}, ["finite"]),
    ],
)
def test_checks_fail_where_they_should(tiny_trace: Any, change: dict[str, Any], failing: list[str]) -> None:
    from dataclasses import replace

    checks = checks_of(tiny_trace, replace(THOUGHT, **change))
    assert [check["name"] for check in checks if not check["passed"]] == failing


def test_numbers_that_are_none_become_null(tiny_trace: Any) -> None:
    from dataclasses import replace

    from workbench.export.reading import knockout_values

    trace = replace(tiny_trace, knockout=tiny_trace.knockout * math.nan)
    assert set(knockout_values(trace)["change"]) == {None}
    assert valid(done_record(ROW, PAIR, {**PARTS, "knockout": knockout_values(trace)}))
