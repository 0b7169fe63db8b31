"""A part's rows become records: the thoughts of one-by-one decoding, in the rows' order, whatever went wrong beside them."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from probes.lens import Lens
from workbench.assets import resolve_checkpoint
from workbench.data.reader import find_reader
from workbench.data.records import Pair, Row
from workbench.data.sifting import name_rows
from workbench.embedder import Embedder, Keep
from workbench.errors import BadInput, Unsupported
from workbench.export.making import Made, Maker
from workbench.export.plan import EXTRAS, Plan
from workbench.export.record import line, schema
from workbench.probe import Subject
from workbench.stats import cosine
from workbench.types import Sample

FILE = "arrays/part-00000.safetensors"
PLAN = Plan(data="shapes", checkpoint=Path("none"), checkpoint_sha256="", folder=Path("none"), max_tokens=12)


def shapes_rows(n: int) -> list[Row]:
    reader, source = find_reader("shapes")
    return list(islice(name_rows(reader.rows(source, split="test")), n))


def row(number: int, make: Callable[[], Pair] | None = None, problem: str = "") -> Row:
    return Row(number=number, where=f"Row {number} of 'x'", id=f"r{number}", make=make, problem=problem)


def text_row(number: int, text: str) -> Row:
    return row(number, lambda: Pair(query=Sample(id=f"s{number}", text=text)))


def make(model: Any, rows: Sequence[Row], **changes: Any) -> Made:
    return Maker(dataclasses.replace(PLAN, **changes), model).make(rows, arrays_file=FILE)


@pytest.fixture(scope="module")
def everything(tiny_model: Any) -> Made:
    """Twelve samples of the tiny model with all extras, in batches of five."""
    return make(tiny_model, shapes_rows(12), extras=EXTRAS, batch=5)


@pytest.fixture(scope="module")
def alone(tiny_model: Any) -> list[Any]:
    """The same samples, each traced by itself."""
    return [tiny_model.trace([tiny_model.prepare(r.make().query)])[0] for r in shapes_rows(12) if r.make]


def test_every_record_is_of_the_schema(everything: Made) -> None:
    validator = Draft202012Validator(schema("thought"))
    for record in everything.records:
        validator.validate(json.loads(line(record)))
    assert [record["row"] for record in everything.records] == list(range(1, 13))
    assert (everything.done, everything.failed) == (12, 0)
    assert 0 < everything.model_seconds < everything.seconds


def test_long_samples_make_smaller_batches(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[list[int]] = []
    trace = type(tiny_model).trace

    def spy(self: Any, batch: Sequence[Any], keep: Any = None) -> Any:
        lengths.append([self.length(one.sample) for one in batch])
        return trace(self, batch, keep)

    monkeypatch.setattr(type(tiny_model), "trace", spy)
    monkeypatch.setattr("workbench.export.making._POSITIONS", 200)
    rows = [*(text_row(number, "word " * number) for number in range(1, 31)), text_row(31, "word " * 400)]
    assert make(tiny_model, rows, batch=8, max_tokens=2).done == 31
    assert sum(map(len, lengths)) == 31
    assert max(map(len, lengths)) > 1
    for batch in lengths:
        assert len(batch) == 1 or (len(batch) <= 8 and len(batch) * max(batch) <= 200)


def test_words_are_those_of_the_lens(everything: Made, alone: list[Any], tiny_model: Any) -> None:
    for record, trace in zip(everything.records, alone, strict=True):
        read = Lens().measure(Subject(trace=trace), tiny_model)
        shares, entropies = read.measure("probability").values, read.measure("entropy").values
        for layer, told in enumerate(record["lens"]):
            assert told["layer"] == layer + 1
            for think, cell in enumerate(told["think_tokens"]):
                mine = [word["probability"] for word in cell["words"]]
                np.testing.assert_allclose(mine, shares[layer, think], rtol=1e-3)
                assert cell["entropy"] == pytest.approx(float(entropies[layer, think]), rel=1e-4)
        assert [token["words"] for token in record["think_tokens"]] == [
            cell["words"] for cell in record["lens"][-1]["think_tokens"]
        ]
        assert record["think_tokens"][0]["words"][0]["text"] == str(read.measure("word").values[-1, 0, 0])
        assert [token["token"] for token in record["think_tokens"]] == list(tiny_model.info.think_tokens)


def test_arrays_and_knockout_are_those_of_the_trace(everything: Made, alone: list[Any]) -> None:
    for record, trace in zip(everything.records, alone, strict=True):
        assert record["arrays"]["file"] == FILE
        for name, key in record["arrays"]["keys"].items():
            np.testing.assert_allclose(everything.arrays[key], getattr(trace, name), rtol=1e-3, atol=1e-4)
        turned = 1 - cosine(trace.knockout, trace.embedding[None])
        np.testing.assert_allclose(record["knockout"]["change"], turned, atol=1e-5)
        assert record["knockout"]["strongest"] == int(np.argmax(record["knockout"]["change"])) + 1


def test_only_what_was_asked_for_is_there(tiny_model: Any) -> None:
    made = make(tiny_model, shapes_rows(2), extras=("embedding",))
    assert sorted(made.arrays) == ["1.embedding", "2.embedding"]
    keys = made.records[0]["arrays"]["keys"]
    assert {name for name, key in keys.items() if key} == {"embedding"}
    bare = make(tiny_model, shapes_rows(2))
    assert not bare.arrays
    assert all(r["arrays"] is r["lens"] is r["knockout"] is None for r in bare.records)


@pytest.mark.parametrize("change", [{"ahead": 0}, {"ahead": 5}])
def test_threads_ahead_change_nothing(everything: Made, tiny_model: Any, change: dict[str, int]) -> None:
    again = make(tiny_model, shapes_rows(12), extras=EXTRAS, batch=5, **change)
    assert [line(r) for r in again.records] == [line(r) for r in everything.records]
    assert all(np.array_equal(again.arrays[key], array) for key, array in everything.arrays.items())


def test_what_fails_costs_the_others_nothing(tiny_model: Any) -> None:
    def broken() -> Pair:
        raise BadInput("the image is torn")

    rows = [
        text_row(1, "what is it ?"),
        row(2, broken),
        row(3, problem="Row 3 of 'x' is no JSON."),
        text_row(4, "word " * tiny_model.info.max_tokens),
        text_row(5, "what is it ?"),
    ]
    made = make(tiny_model, rows)
    assert [record["id"] for record in made.records] == ["r1", "r2", "r3", "r4", "r5"]
    assert [bool(record["error"]) for record in made.records] == [False, True, True, True, False]
    assert (made.done, made.failed) == (2, 3)
    assert made.records[1]["error"] == "Row 2 of 'x': the image is torn"
    assert made.records[2]["error"] == "Row 3 of 'x' is no JSON."
    assert "tokens long" in made.records[3]["error"]
    assert made.records[3]["text"].startswith("word")
    assert made.records[0]["thought"] == made.records[4]["thought"]
    validator = Draft202012Validator(schema("thought"))
    for record in made.records:
        validator.validate(json.loads(line(record)))
    with pytest.raises(BadInput, match="Row 2 of 'x': the image is torn"):
        make(tiny_model, rows, on_error="stop")


class Refusing(Embedder):
    """The tiny model, but it will not trace a batch with the word "no" in it, and cannot decode."""

    def __init__(self, model: Any) -> None:
        self.model, self.info = model, dataclasses.replace(model.info, contexts=())
        self.batches: list[int] = []

    def prepare(self, sample: Sample) -> Any:
        return self.model.prepare(sample)

    def trace(self, batch: Sequence[Any], keep: Keep = Keep()) -> Any:
        self.batches.append(len(batch))
        if any("no" in encoded.sample.text for encoded in batch):
            raise Unsupported("The model will not.")
        return self.model.trace(batch, keep)

    def embed(self, batch: Sequence[Any]) -> Any:
        return self.model.embed(batch)


def test_one_refused_sample_of_a_batch_fails_alone(tiny_model: Any) -> None:
    model = Refusing(tiny_model)
    made = make(model, [text_row(1, "yes ?"), text_row(2, "no ?"), text_row(3, "it ?")])
    assert [record["error"] for record in made.records] == [None, "The model will not.", None]
    assert model.batches == [3, 1, 1, 1]


def test_a_model_that_cannot_decode_gives_no_thoughts(tiny_model: Any) -> None:
    [record] = make(Refusing(tiny_model), [text_row(1, "yes ?")]).records
    assert record["thought"] is record["error"] is None
    assert [token["words"] for token in record["think_tokens"]] == [[]] * tiny_model.info.n_think
    assert record["checks"] == [{"name": "finite", "value": None, "passed": True}]


def test_an_untrained_context_is_refused_at_once(tiny_model: Any) -> None:
    with pytest.raises(Unsupported, match=r"not trained to decode with the context 'query_and_latents', only: none"):
        make(Refusing(tiny_model), [], context="query_and_latents")
    seeing = make(tiny_model, shapes_rows(2), context="query_and_latents").records
    assert {record["thought"]["context"] for record in seeing} == {"query_and_latents"}


def test_a_part_without_rows_is_empty(tiny_model: Any) -> None:
    assert make(tiny_model, []).records == ()


def test_batches_hold_like_lengths(tiny_model: Any) -> None:
    seen: list[list[int]] = []

    class Watched(Refusing):
        def trace(self, batch: Sequence[Any], keep: Keep = Keep()) -> Any:
            seen.append([len(encoded.tokens.ids) for encoded in batch])
            return super().trace(batch, keep)

    make(Watched(tiny_model), shapes_rows(20), batch=4)
    flat = [length for batch in seen for length in batch]
    assert len(flat) == 20
    assert flat == sorted(flat)
    assert len(set(flat)) > 3


@pytest.mark.slow
def test_thoughts_of_the_bundled_model_are_those_of_one_by_one(
    bundled_part: tuple[Any, Made], record_property: Callable[[str, object], None]
) -> None:
    model, made = bundled_part
    furthest = 0.0
    for one, record in zip(shapes_rows(40), made.records, strict=True):
        assert one.make is not None
        [trace] = model.trace([model.prepare(one.make().query)], Keep(attention=False, edits=False))
        [thought] = model.decode([trace], max_tokens=128)
        assert record["thought"]["text"] == thought.text
        assert record["thought"]["finish"] == thought.finish
        logs = [token["log_probability"] for token in record["thought"]["tokens"]]
        furthest = max(furthest, float(np.abs(np.array(logs) - thought.log_probabilities).max()))
    record_property("furthest log-probability", furthest)
    assert furthest < 1e-3


@pytest.fixture(scope="module")
def bundled_part() -> tuple[Any, Made]:
    from workbench.models.checkpoint import load_checkpoint

    model = load_checkpoint(resolve_checkpoint("tte-flash"), device="cpu", dtype="float32")
    return model, make(model, shapes_rows(40), batch=16, max_tokens=128)
