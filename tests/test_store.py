"""Records survive a round trip to the last bit, damage is named, and a file is never half written."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workbench import store
from workbench.errors import BadInput
from workbench.types import (
    Check,
    DecodedThought,
    ImageRef,
    Measure,
    PatchGrid,
    ProbeResult,
    Provenance,
    Sample,
    TokenTable,
    Trace,
)

# The shape hook's checker picks the entries that it checks with `random`, also while a strategy builds a record.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

TEXT = st.text(max_size=12)
FLOATS = st.floats(allow_nan=False)
FREE = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ARRAYS = st.one_of(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    # NumPy itself drops the zero characters at a string's end, so they are not ours to keep.
    hnp.arrays(np.dtype("<U5"), hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4)),
)
PROVENANCES = st.builds(
    Provenance,
    checkpoint=TEXT,
    weights_sha256=TEXT,
    family=TEXT,
    format=TEXT,
    dtype=TEXT,
    device=TEXT,
    seed=st.none() | st.integers(),
    processor=st.dictionaries(TEXT, FREE, max_size=3),
    data_revision=st.none() | TEXT,
    versions=st.dictionaries(TEXT, TEXT, max_size=2),
)


@st.composite
def measures(draw: st.DrawFn) -> Measure:
    values = draw(ARRAYS)
    dims = tuple("abc"[: values.ndim])
    label = TEXT | st.integers() | FLOATS
    sizes = dict(zip(dims, values.shape, strict=True))
    coords = {
        dim: tuple(draw(st.lists(label, min_size=size, max_size=size)))
        for dim, size in sizes.items()
        if draw(st.booleans())
    }
    return Measure(name=draw(TEXT), values=values, dims=dims, units="nats", coords=coords, signed=draw(st.booleans()))


CHECKS = st.builds(Check, name=TEXT, value=FLOATS, tolerance=st.none() | FLOATS, passed=st.booleans(), about=TEXT)
RESULTS = st.builds(
    ProbeResult,
    probe=TEXT,
    version=st.integers(1, 9),
    sample_id=TEXT,
    parameters=st.dictionaries(TEXT, FREE, max_size=3),
    measures=st.lists(measures(), max_size=3).map(tuple),
    checks=st.lists(CHECKS, max_size=2).map(tuple),
    provenance=PROVENANCES,
)


def assert_same(first: Any, second: Any) -> None:
    """Equality to the bit: arrays with NaN equal themselves, 1 is not 1.0 and 0.0 is not -0.0."""
    assert type(first) is type(second)
    if isinstance(first, np.ndarray):
        assert first.shape == second.shape
        assert first.dtype.kind == second.dtype.kind
        if first.dtype.kind == "f":
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(np.isnan(first), np.isnan(second))
            np.testing.assert_array_equal(np.signbit(first[~np.isnan(first)]), np.signbit(second[~np.isnan(second)]))
        np.testing.assert_array_equal(first, second)
    elif dataclasses.is_dataclass(first):
        for item in dataclasses.fields(first):
            if item.compare:
                assert_same(getattr(first, item.name), getattr(second, item.name))
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, (tuple, list)):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    else:
        assert first == second or (math.isnan(first) and math.isnan(second))


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


@settings(deadline=None)
@given(RESULTS)
def test_result_survives_json(result: ProbeResult) -> None:
    text = store.dumps(result)
    json.loads(text, parse_constant=refuse)
    assert_same(result, store.loads(ProbeResult, text))


@given(hnp.arrays(np.float32, st.integers(0, 30)))
def test_every_float32_survives(values: np.ndarray) -> None:
    measure = Measure(name="m", values=values, dims=("a",), units="nats")
    assert_same(measure, store.loads(Measure, store.dumps(measure)))


def test_float32_is_written_as_briefly_as_it_can_be_read_back() -> None:
    written = store.to_json(Measure(name="m", values=np.array([0.1, 1 / 3], dtype=np.float32), dims=("a",), units="x"))
    assert json.dumps(written["values"]["values"]) == "[0.1, 0.33333334]"


def test_odd_floats_are_words_in_arrays_and_marked_outside() -> None:
    values = np.array([np.nan, np.inf, -np.inf], dtype=np.float32)
    written = store.to_json(Measure(name="m", values=values, dims=("a",), units="x"))
    assert written["values"]["values"] == ["nan", "inf", "-inf"]
    check = Check(name="c", value=math.nan, tolerance=-math.inf, passed=False)
    assert store.to_json(check)["value"] == {"__float__": "nan"}
    assert_same(check, store.loads(Check, store.dumps(check)))


@given(
    st.builds(
        DecodedThought,
        text=TEXT,
        tokens=st.lists(TEXT, max_size=3).map(tuple),
        token_ids=st.lists(st.integers(), max_size=3).map(tuple),
        log_probabilities=st.lists(st.floats(max_value=0), max_size=3).map(tuple),
        context=st.sampled_from(["latents_only", "query_and_latents"]),
        finish=st.sampled_from(["end", "length"]),
    )
)
def test_thought_survives_json(thought: DecodedThought) -> None:
    assert_same(thought, store.loads(DecodedThought, store.dumps(thought)))


@pytest.mark.parametrize("values", [np.ones(2, dtype=np.float64), np.array([b"x"]), np.array([None])])
def test_other_arrays_are_refused(values: np.ndarray) -> None:
    with pytest.raises(TypeError, match="cannot be stored"):
        store.to_json(Measure(name="m", values=values, dims=("a",), units="x"))


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="set cannot be stored"):
        store.to_json(Sample(id="s", text="t", metadata={"bad": {1}}))
    with pytest.raises(TypeError, match="keys must be text"):
        store.to_json(Sample(id="s", text="t", metadata={"bad": {1: 2}}))


GOOD = {"name": "c", "value": 1.5, "tolerance": None, "passed": True, "about": ""}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": 1}, "unknown field 'extra'"),
        ({"value": "much"}, "'much' at Check.value"),
        ({"value": True}, "'True' at Check.value"),
        ({"passed": 1}, "'1' at Check.passed"),
        ({"name": None}, "'None' at Check.name"),
    ],
)
def test_damage_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        store.from_json(Check, GOOD | change)


def test_missing_fields_and_broken_text_are_named() -> None:
    with pytest.raises(BadInput, match="lacks its field 'value'"):
        store.from_json(Check, {"name": "c"})
    with pytest.raises(BadInput, match="not valid JSON"):
        store.loads(Check, "{")
    with pytest.raises(BadInput, match="must be a JSON object"):
        store.loads(Check, "[]")


@pytest.mark.parametrize("damage", [{"shape": [3]}, {"values": ["much", 1.0]}, {"dtype": "float16"}])
def test_damaged_array_is_named(damage: dict[str, Any]) -> None:
    data = store.to_json(Measure(name="m", values=np.ones(2, dtype=np.float32), dims=("a",), units="x"))
    data["values"] |= damage
    with pytest.raises(BadInput, match=r"Measure\.values"):
        store.from_json(Measure, data)


def make_trace(number: int, images: tuple[ImageRef, ...]) -> Trace:
    generator = np.random.default_rng(number)
    kinds = ("text", "image", "image", "think", "think", "embed")
    return Trace(
        sample=Sample(id=f"s{number}", text="what is left of it? 什么", images=images, metadata={"n": [1, 2.5, None]}),
        tokens=TokenTable(ids=np.arange(6), texts=("a", "b", "b", "c", "c", "\n"), kinds=kinds),
        grids=(PatchGrid(frames=1, rows=1, cols=2, start=1),),
        think=slice(3, 5),
        embed=5,
        latents=generator.normal(size=(3, 2, 4)).astype(np.float32),
        attention=generator.random((3, 2, 3, 6)).astype(np.float32),
        embedding=generator.normal(size=4).astype(np.float32),
        stepwise=generator.normal(size=(3, 4)).astype(np.float32),
        knockout=generator.normal(size=(2, 4)).astype(np.float32),
        provenance=Provenance(
            checkpoint="c", weights_sha256="0", family="f", format="native", dtype="float32", device="cpu", seed=1
        ),
        continuation=object(),
    )


def embedded_image(data: bytes) -> ImageRef:
    return ImageRef(data=data, sha256=hashlib.sha256(data).hexdigest(), width=3, height=2)


def test_traces_survive_a_folder(tmp_path: Path) -> None:
    on_disk = ImageRef(path=Path("pictures/a b.png"), sha256="ab", width=5, height=7, name="a b")
    traces = [make_trace(0, (on_disk, embedded_image(b"\x89PNG\x00"))), make_trace(1, ())]
    store.save_traces(tmp_path / "new", traces)
    back = store.load_traces(tmp_path / "new")
    assert_same(traces, back)
    assert [trace.continuation for trace in back] == [None, None]


def test_trace_survives_json_too() -> None:
    trace = make_trace(0, (embedded_image(b"bytes"),))
    assert_same(trace, store.loads(Trace, store.dumps(trace)))


def test_second_save_replaces_the_first_and_leaves_nothing_behind(tmp_path: Path) -> None:
    store.save_traces(tmp_path, [make_trace(0, ()), make_trace(1, ())])
    store.save_traces(tmp_path, [make_trace(2, ())])
    assert [trace.sample.id for trace in store.load_traces(tmp_path)] == ["s2"]
    assert len(list(tmp_path.iterdir())) == 2


def test_changed_image_and_empty_folder_are_refused(tmp_path: Path) -> None:
    image = embedded_image(b"right")
    store.save_traces(tmp_path, [make_trace(0, (image,))])
    (tmp_path / "images" / image.sha256).write_bytes(b"wrong")
    with pytest.raises(BadInput, match="not the image that was saved"):
        store.load_traces(tmp_path)
    with pytest.raises(BadInput, match=r"holds no traces\.json"):
        store.load_traces(tmp_path / "images")


def test_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "folder" / "file.txt"
    store.write_text_atomic(target, "old é")
    assert target.read_text(encoding="utf-8") == "old é"

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        store.write_text_atomic(target, "new")
    assert target.read_text(encoding="utf-8") == "old é"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_reader_of_the_old_file_is_not_disturbed(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    store.write_text_atomic(target, "old")
    with target.open(encoding="utf-8") as reader:
        store.write_text_atomic(target, "new and longer")
        assert reader.read() == "old"
    assert target.read_text(encoding="utf-8") == "new and longer"
