"""Points from a data set, from an export of it, and from saved traces: they are the same points."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.data.reader import find_reader, read_pairs
from workbench.data.sifting import name_rows
from workbench.errors import BadInput, Cancelled
from workbench.export.arrays import arrays_bytes
from workbench.export.making import Maker
from workbench.export.plan import Plan
from workbench.export.record import line
from workbench.mapping.collecting import collect_points
from workbench.mapping.gathering import is_right
from workbench.mapping.points import Points, check_layer, check_of
from workbench.mapping.sampling import draw
from workbench.mapping.traces import is_traced, read_points
from workbench.store import save_traces, to_json

N = 6


@pytest.fixture(scope="module")
def collected(tiny_model: Any) -> Points:
    return collect_points(tiny_model, "shapes", of="thoughts", n=N)


@pytest.fixture(scope="module")
def exported(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the same samples, as its files are defined."""
    folder = tmp_path_factory.mktemp("export")
    reader, source = find_reader("shapes")
    named = name_rows(reader.rows(source, split="test"))
    rows = [next(named) for _ in range(N)]
    plan = Plan(
        data="shapes", checkpoint=Path("tiny"), checkpoint_sha256="0", folder=folder, extras=("latents", "embedding")
    )
    made = Maker(plan, tiny_model).make(rows, arrays_file="arrays/part-00000.safetensors")
    (folder / "arrays").mkdir()
    (folder / "arrays" / "part-00000.safetensors").write_bytes(arrays_bytes(made.arrays))
    (folder / "part-00000.jsonl").write_text("".join(f"{line(record)}\n" for record in made.records))
    manifest = {
        "schema": "thinkscope.export",
        "status": "complete",
        "provenance": to_json(tiny_model.info.provenance),
        "data": {"title": "Shapes, seed 7", "split": "test", "revision": "r"},
        "plan": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_every_think_token_of_every_sample_is_a_point(collected: Points, tiny_model: Any) -> None:
    k = tiny_model.info.n_think
    assert collected.vectors.shape == (N * k, tiny_model.info.width)
    np.testing.assert_array_equal(collected.k, np.tile(np.arange(k), N))
    np.testing.assert_array_equal(collected.sample, np.repeat(np.arange(N), k))
    assert collected.layer == tiny_model.info.n_layers - 1
    assert collected.found == N * k
    assert collected.notes == ()


def test_vectors_are_those_of_the_trace(collected: Points, tiny_model: Any) -> None:
    pairs = list(read_pairs("shapes", limit=N))
    for number, pair in enumerate(pairs):
        [trace] = tiny_model.trace([tiny_model.prepare(pair.query)])
        own = collected.vectors[collected.sample == number]
        np.testing.assert_allclose(own, trace.latents[-1], atol=1e-4)
        assert collected.samples[number].id == pair.id
        assert collected.samples[number].answer == pair.answer
        assert bool(collected.samples[number].thumbnail) == bool(pair.query.images)


@pytest.mark.parametrize("of", ["embedding", "pooled-thoughts"])
def test_other_kinds_have_one_point_a_sample(collected: Points, tiny_model: Any, of: Any) -> None:
    found = collect_points(tiny_model, "shapes", of=of, n=N, thumbnails=False)
    assert len(found.vectors) == N
    assert set(found.k.tolist()) == {-1}
    if of == "pooled-thoughts":
        means = collected.vectors.reshape(N, -1, found.vectors.shape[1]).mean(axis=1)
        np.testing.assert_allclose(found.vectors, means, atol=1e-5)
    else:
        np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
        assert found.layer is None
    assert not any(sample.thumbnail for sample in found.samples)


def test_an_export_gives_the_same_points(collected: Points, exported: Path) -> None:
    assert is_traced(str(exported))
    found = read_points(exported, of="thoughts")
    np.testing.assert_array_equal(found.vectors, collected.vectors)
    assert [sample.thoughts for sample in found.samples] == [sample.thoughts for sample in collected.samples]
    assert [column.name for column in found.columns] == [column.name for column in collected.columns]
    for ours, theirs in zip(found.columns, collected.columns, strict=True):
        np.testing.assert_allclose(ours.values.astype(float), theirs.values.astype(float), rtol=1e-5, err_msg=ours.name)
    assert read_points(exported, of="embedding", n=2).vectors.shape[0] == 2


def test_saved_traces_give_the_same_vectors(collected: Points, tiny_model: Any, tmp_path: Path) -> None:
    queries = [pair.query for pair in read_pairs("shapes", limit=2)]
    save_traces(tmp_path, tiny_model.trace([tiny_model.prepare(query) for query in queries]))
    found = read_points(tmp_path, of="thoughts")
    np.testing.assert_allclose(found.vectors, collected.vectors[: len(found.vectors)], atol=1e-4)
    assert "without decoded thoughts" in found.notes[-1]


def test_an_export_without_the_arrays_or_not_finished_is_refused(exported: Path, tmp_path: Path) -> None:
    rows = [json.loads(row) for row in (exported / "part-00000.jsonl").read_text().splitlines()]
    manifest = json.loads((exported / "manifest.json").read_text())

    def write(changed: dict[str, Any], **status: str) -> None:
        (tmp_path / "part-00000.jsonl").write_text(json.dumps(rows[0] | changed) + "\n")
        (tmp_path / "manifest.json").write_text(json.dumps(manifest | status))

    write({"arrays": None})
    with pytest.raises(BadInput, match="needs the latents"):
        read_points(tmp_path, of="thoughts")
    write({"arrays": rows[0]["arrays"] | {"file": "../outside.safetensors"}})
    with pytest.raises(BadInput, match="not within the export"):
        read_points(tmp_path, of="thoughts")
    write({})
    with pytest.raises(BadInput, match="cannot be read"):
        read_points(tmp_path, of="thoughts")
    write({}, status="partial")
    with pytest.raises(BadInput, match="not finished"):
        read_points(tmp_path, of="thoughts")


def test_more_points_than_the_limit_are_drawn_and_told(tiny_model: Any, collected: Points) -> None:
    k = tiny_model.info.n_think
    found = collect_points(tiny_model, "shapes", of="thoughts", n=N, limit=3 * k, seed=1)
    assert len(found.samples) == 3
    assert found.found == N * k
    assert found.notes[0] == f"Showing {3 * k} of {N * k} points: 3 samples drawn with seed 1."
    ids = [sample.id for sample in collected.samples]
    assert [sample.id for sample in found.samples] == sorted(sample.id for sample in found.samples)
    assert {sample.id for sample in found.samples} < set(ids)


def test_larger_draws_of_a_seed_hold_smaller_ones() -> None:
    small, large = (draw(1000, limit=limit, per_sample=1, seed=3) for limit in (50, 200))
    assert set(small.places.tolist()) < set(large.places.tolist())
    assert draw(10, limit=200, per_sample=8, seed=0).note(8, 0) == ""


def test_bad_rows_are_counted_and_told(tiny_model: Any, tmp_path: Path) -> None:
    rows = [
        {"id": "a", "query": "what is it?"},
        {"id": "a", "query": "again?"},
        {"id": "c", "images": ["gone.png"], "query": "?"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = collect_points(tiny_model, str(path), of="embedding")
    assert [sample.id for sample in found.samples] == ["a"]
    assert "2 samples gave no point" in found.notes[0]


def test_what_cannot_be_mapped_is_refused(tiny_model: Any) -> None:
    with pytest.raises(BadInput, match="never ends; say how many rows with --n"):
        collect_points(tiny_model, "shapes", of="embedding")
    with pytest.raises(BadInput, match="must be 1 or more"):
        collect_points(tiny_model, "shapes", of="embedding", n=0)
    with pytest.raises(BadInput, match="There is no layer 99"):
        collect_points(tiny_model, "shapes", of="thoughts", n=1, layer=99)
    with pytest.raises(BadInput, match="not of 'words'"):
        check_of("words")
    with pytest.raises(Cancelled):
        collect_points(tiny_model, "shapes", of="embedding", n=1, cancelled=lambda: True)
    assert check_layer(-1, 4) == check_layer(None, 4) == 3


@pytest.mark.parametrize(
    ("thought", "answer", "right"),
    [
        ("one object. top: red circle. answer: red circle.", "Red  circle", True),
        ("one object. top: red circle. answer: blue circle.", "red circle", False),
        ("answer: a. then more. answer: b", "a", False),
        ("it is a red circle", "red circle", True),
        ("it is a redder circle", "red", False),
        ("anything", "", False),
    ],
)
def test_an_answer_is_right_word_for_word(thought: str, answer: str, right: bool) -> None:
    assert is_right(thought, answer) is right
