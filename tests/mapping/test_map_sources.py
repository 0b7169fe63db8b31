"""Points from a data set, from an export of it, and from saved traces: they are the same points."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planted import PROVENANCE

from workbench.cli import main
from workbench.data.reader import find_reader, read_pairs
from workbench.data.shapes import ShapesConfig, caption, make_sample
from workbench.data.sifting import name_rows
from workbench.errors import BadInput, Cancelled
from workbench.export.arrays import arrays_bytes
from workbench.export.making import Maker
from workbench.export.plan import Plan
from workbench.export.record import done_record, line, thought_values
from workbench.latent_map import Column, MapSample
from workbench.mapping.collecting import collect_points
from workbench.mapping.gathering import Gatherer, is_right, named_target, tells_target
from workbench.mapping.joining import join_points
from workbench.mapping.points import Points, check_layer, check_of
from workbench.mapping.sampling import draw
from workbench.mapping.traces import is_traced, read_points
from workbench.models.checkpoint import load_checkpoint
from workbench.store import save_traces, to_json
from workbench.types import DecodedThought

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
        "data": {"title": "Shapes, seed 7", "split": "test", "revision": "r", "source": "shapes"},
        "tells": "reasoning",
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


def told_right(tells: str, texts: Sequence[str]) -> Column:
    """The column `correct` of the first samples of Shapes, had a model written these texts of them."""
    gatherer = Gatherer("embedding", None, len(texts), tells=tells, ids_tell=True)
    reader, source = find_reader("shapes")
    vector = np.ones(4, dtype=np.float32)
    for row, text in zip(name_rows(reader.rows(source, split="test")), texts, strict=False):
        assert row.make is not None
        parts = {"thought": thought_values(written(text))}
        gatherer.add(done_record(row, row.make(), parts), {"embedding": vector}.get)
    points = gatherer.points(PROVENANCE, source={}, title="", seconds=0)
    return next(column for column in points.columns if column.name == "correct")


def written(text: str) -> DecodedThought:
    return DecodedThought(
        text=text, tokens=(text,), token_ids=(0,), log_probabilities=(-0.5,), context="latents_only", finish="end"
    )


def test_a_text_that_tells_the_target_is_right_when_it_is_its_words() -> None:
    samples = [make_sample(ShapesConfig(), "test", index) for index in range(40)]
    assert {"find_image", "find_caption"} <= {sample.task for sample in samples}
    words = [sample.target_text or caption(sample.scene.items) for sample in samples]
    column = told_right("target", words)
    assert [column.categories[code] for code in column.values] == ["right"] * len(samples)
    assert "tells the target" in column.about
    wrong = told_right("target", [f"{text} and more" for text in words])
    assert [wrong.categories[code] for code in wrong.values] == ["wrong"] * len(samples)
    # The rule for reasoning asks for the data's answer, which names the objects of a scene without their sizes and places.
    by_answer = told_right("reasoning", words)
    assert "last 'answer:'" in by_answer.about
    assert (by_answer.values != column.values).any()


def test_words_of_a_target_are_its_text_or_stand_in_its_id() -> None:
    assert named_target("text:on the left") == "on the left"
    assert named_target("image:a red star") == "a red star"
    assert named_target("doc-7") == named_target("") == ""
    assert tells_target("On the left.", "on the  left")
    assert not tells_target("left", "on the left")
    assert tells_target("anything", "") is None


def test_a_targets_words_are_known_from_the_data_and_not_from_an_export(
    tiny_kinds: dict[str, Path], tmp_path: Path
) -> None:
    """Ids of this data set look like those of Shapes but name no words, and an export holds no documents."""
    path = tmp_path / "rows.jsonl"
    target = {"text": "a star"}
    rows = [{"id": f"{i}", "query": "what?", "target": target, "target_id": f"text:{i:05}"} for i in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = load_checkpoint(tiny_kinds["lame"], device="cpu")
    correct = correct_of(collect_points(model, str(path), of="embedding"))
    assert correct is not None
    assert set(correct.values.tolist()) == {correct.categories.index("wrong")}
    pictured = tmp_path / "pictured"
    pictured.mkdir()
    Image.new("RGB", (30, 20)).save(pictured / "a.png")
    rows = [row | {"target": {"images": ["a.png"]}, "target_id": "image:00123"} for row in rows]
    (pictured / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert correct_of(collect_points(model, str(pictured / "test.jsonl"), of="embedding")) is None
    out = tmp_path / "out"
    words = ["export", str(path), "--checkpoint", str(tiny_kinds["lame"]), "--out", str(out), "--max-tokens", "8"]
    assert main([*words, "--with", "embedding", "--workers", "1", "--device", "cpu"]) == 0
    assert correct_of(read_points(out, of="embedding")) is None


def correct_of(points: Points) -> Column | None:
    return next((column for column in points.columns if column.name == "correct"), None)


@pytest.mark.parametrize(
    ("tells", "source", "told"),
    [
        ("reasoning", "shapes", "last 'answer:'"),
        ("target", "shapes", "the target's words"),
        ("target", "shapes:9", "the target's words"),
        ("target", "jsonl:./shapes", None),
        ("target", "./shapes", None),
        ("target", None, None),
        (None, "shapes", None),
        ("", "shapes", None),
    ],
)
def test_texts_of_an_export_are_called_right_as_far_as_its_manifest_says(
    exported: Path, tmp_path: Path, tells: str | None, source: str | None, told: str | None
) -> None:
    """An empty string: the key is not there, as in manifests of before it."""
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    manifest = json.loads((exported / "manifest.json").read_text())
    manifest["data"]["source"] = source
    manifest["tells"] = tells
    if tells == "":
        del manifest["tells"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    correct = correct_of(read_points(tmp_path, of="embedding"))
    assert (correct is None) == (told is None)
    if correct is not None and told is not None:
        assert told in correct.about


def test_two_rules_of_being_right_are_both_told() -> None:
    samples = [make_sample(ShapesConfig(), "test", index) for index in range(2)]
    parts = [
        Points(
            of="embedding",
            layer=None,
            vectors=np.eye(2, dtype=np.float32),
            sample=np.arange(2),
            k=np.full(2, -1),
            samples=tuple(MapSample(id=str(i), thoughts=("",)) for i in range(2)),
            columns=(told_right(tells, [sample.reasoning for sample in samples]),),
            provenance=PROVENANCE,
        )
        for tells in ("reasoning", "target")
    ]
    [joined] = join_points(parts).columns
    assert [joined.categories[code] for code in joined.values] == ["right", "right", "wrong", "wrong"]
    assert joined.about == f"{parts[0].columns[0].about} {parts[1].columns[0].about}"
    [same] = join_points([parts[0], parts[0]]).columns
    assert same.about == parts[0].columns[0].about


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
