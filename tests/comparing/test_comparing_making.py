"""Whole comparisons: of planted models where the answer is known, and of small real ones of other kinds."""

import gc
import json
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from checkpoints import write_tiny
from comparisons import QUERIES, WordModel, compare, setup, shorten, write_checkpoint, write_data
from planted import N_LAYERS, N_THINK

from workbench.comparing import making
from workbench.comparing.document import comparison_json, schema
from workbench.comparing.kept import Kept
from workbench.comparing.making import Compared, Setup, choose, make_comparison
from workbench.comparing.opening import open_sample
from workbench.comparing.pairing import find_common
from workbench.comparing.question import pose
from workbench.comparing.reading import Reading
from workbench.comparison import PairComparison
from workbench.errors import BadCheckpoint, BadInput, Cancelled, OutOfMemory
from workbench.memory import is_memory
from workbench.models.layout import explicit_cot, no_think, tte_flash
from workbench.types import DecodedThought, Trace
from workbench.words import changed_words, diff_words

SWAPS = {"red": "blue"}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """The second takes red for blue, and thinks likewise otherwise."""
    return compare(tmp_path_factory.mktemp("compared"), WordModel("good"), WordModel("blind", swaps=SWAPS))


def pair_of(compared: Compared) -> PairComparison:
    [pair] = compared.comparison.pairs
    return pair


def refused(pair: PairComparison) -> dict[str, str]:
    return {one.what: one.why for one in pair.refused}


def test_quality_and_its_paired_differences_are_those_that_were_planted(compared: Compared) -> None:
    metrics = {one.name: [None if v is None else v.value for v in one.values] for one in compared.comparison.metrics}
    # The questions about red things find the blue documents.
    assert metrics["hit_at_1"][0] == 1.0
    ranks = [sample.ranks for sample in compared.comparison.samples]
    assert all(reference == 1 for reference, _ in ranks)
    red = np.array(["red" in query for query in QUERIES])
    assert [other == 1 for _, other in ranks] == [not bool(one) for one in red]
    assert metrics["hit_at_1"][1] == pytest.approx(1 - red.mean())
    assert metrics["mrr"][1] == pytest.approx(np.mean([1 / other for _, other in ranks if other]))
    [hit] = [one for one in pair_of(compared).differences if one.metric == "hit_at_1"]
    assert hit.change.value == pytest.approx(-red.mean())
    assert (hit.higher, hit.lower) == (0, int(red.sum()))


def test_who_changed_is_told_sample_by_sample(compared: Compared) -> None:
    for change, query in zip(pair_of(compared).changes, QUERIES, strict=True):
        n_words = sum(word in ("red", "blue", "square", "left", "right") for word in query.split())
        assert change.words == pytest.approx(1 / n_words if "red" in query else 0)
        assert change.gained is not None
        assert (change.gained < 0) == ("red" in query)


def test_one_sample_side_by_side(compared: Compared) -> None:
    view = open_sample(compared, 0)
    assert [(piece.kind, piece.text) for piece in view.diff] == [
        ("gone", "red"),
        ("new", "blue"),
        ("same", "square left"),
    ]
    assert [card.label for card in view.cards] == ["Thought 1", "Thought 2", "Thought 3", "Thought 4", "Embedding"]
    first = view.cards[0]
    assert first.read_reference is not None
    assert first.read_other is not None
    assert (first.read_reference.words[0], first.read_other.words[0]) == (" red", " blue")
    assert view.apart == ""
    assert view.maps[0].shape == view.maps[1].shape == (5, 15)
    assert view.high == pytest.approx(max(one.max() for one in view.maps))
    [target] = [one for one in view.standings if one.is_target]
    assert target.text == "red square left"
    assert target.rank_reference == 1
    assert target.rank_other == compared.comparison.samples[0].ranks[1]
    assert [one.rank_reference for one in view.standings] == sorted(one.rank_reference for one in view.standings)


@pytest.mark.parametrize(("sample", "pair", "told"), [(6, 0, "no sample 7"), (-1, 0, "no sample"), (0, 1, "no pair 2")])
def test_what_there_is_not_cannot_be_opened(compared: Compared, sample: int, pair: int, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        open_sample(compared, sample, pair)


def test_equal_models_are_alike_in_everything(tmp_path: Path) -> None:
    same = pair_of(compare(tmp_path, WordModel("one", noise=1), WordModel("copy", noise=1, noise_of="one")))
    assert [one.of for one in same.likeness] == ["embedding", "thoughts"] + ["thought"] * N_THINK
    assert len(same.by_depth) == N_LAYERS * (1 + N_THINK)
    for one in (*same.likeness, *same.by_depth):
        assert one.overlap.value == 1
        assert one.cka == pytest.approx(1)
        assert one.residual == pytest.approx(0, abs=1e-6)
    for grid, shape in ((same.layers, (N_LAYERS, N_LAYERS)), (same.steps, (N_THINK, N_THINK))):
        assert grid is not None
        assert grid.overlap.shape == shape
        np.testing.assert_array_equal(grid.overlap.diagonal(), 1)
        np.testing.assert_allclose(grid.cka.diagonal(), 1, rtol=1e-6)
    assert same.depths is not None
    np.testing.assert_array_equal(same.depths.overlap, np.ones((N_LAYERS, N_THINK)))
    assert same.matched == "position"
    assert [one.value.value for one in same.agreements] == pytest.approx([1, 1, 1])
    assert [one.agreement.value for one in same.looks] == pytest.approx([1] * (N_THINK + 1))
    assert {one.metric for one in same.differences} >= {"hit_at_1", "mrr", "token_log_probability"}
    assert {(one.change.value, one.change.low, one.change.high, one.higher, one.lower) for one in same.differences} == {
        (0, 0, 0, 0, 0)
    }
    assert {(change.words, change.neighbours, change.gained) for change in same.changes} == {(0, 0, 0)}
    assert same.refused == ()
    # Noise of its own makes it another one, so what is said above is not said of everything.
    other = pair_of(compare(tmp_path, WordModel("one", noise=1), WordModel("other", noise=1)))
    assert {one.of for one in other.likeness if one.overlap.value < 1} == {"thoughts", "thought"}
    assert min(one.residual for one in other.by_depth) > 0.01


def test_other_patches_are_not_laid_over_each_other(tmp_path: Path) -> None:
    compared = compare(tmp_path, WordModel("coarse"), WordModel("fine", finer=True))
    view = open_sample(compared, 0)
    assert "3 x 5 and 6 x 10" in view.apart
    assert view.maps[1].shape == (5, 60)
    assert "6 of 6 samples are cut into other patches" in refused(pair_of(compared))["attention maps"]


def test_other_candidates_make_no_ranking(tmp_path: Path) -> None:
    compared = compare(tmp_path, WordModel("all"), WordModel("picky", refuses=["red square left"]))
    pair = pair_of(compared)
    assert "'picky' without 1 of 6" in refused(pair)["rankings"]
    assert pair.agreements == ()
    assert not {one.metric for one in pair.differences} & {"hit_at_1", "mrr"}
    assert all(change.rank_other is None for change in pair.changes)
    # The query of that text was refused too; the other five are compared.
    assert len(pair.changes) == 5
    assert open_sample(compared, 1).standings == ()
    with pytest.raises(BadInput, match="'picky' could not read sample 'q0'"):
        open_sample(compared, 0)


def test_other_data_are_not_compared(compared: Compared) -> None:
    one, other = compared.readings
    changed = Reading(other.folder)
    changed.about = replace(other.about, data_revision="sha256:1")
    with pytest.raises(BadInput, match="different revisions of the data"):
        find_common((one, changed), ("a", "b"))
    changed.about = replace(other.about, question="1")
    with pytest.raises(BadInput, match="other samples or candidates"):
        find_common((one, changed), ("a", "b"))


def test_no_sample_in_common_is_told(tmp_path: Path) -> None:
    one, other = WordModel("one", refuses=QUERIES[:3]), WordModel("other", refuses=QUERIES[3:])
    with pytest.raises(
        BadInput, match=r"no sample in common: 'one' could read 3 of 6 and 'other' could read 3 of 6.*not for"
    ):
        compare(tmp_path, one, other)


def test_one_sample_is_shown_and_the_rest_is_refused(tmp_path: Path) -> None:
    question = pose(str(write_data(tmp_path / "data")), n=1)
    compared = compare(tmp_path, WordModel("good"), WordModel("blind", swaps=SWAPS), question=question)
    pair = pair_of(compared)
    assert "One sample has no spread" in refused(pair)["differences"]
    assert "4 samples or more, and both could read 1" in refused(pair)["embeddings and thoughts"]
    assert (pair.likeness, pair.layers, pair.differences) == ((), None, ())
    assert [match.other for match in pair.matches] == [1, 2, 3, 4]
    assert open_sample(compared, 0).diff[0].kind == "gone"


def test_more_than_two_are_each_compared_with_the_first(tmp_path: Path) -> None:
    models = [WordModel("first"), WordModel("second", swaps=SWAPS), WordModel("third", swaps={"left": "right"})]
    comparison = compare(tmp_path, *models).comparison
    assert [(pair.reference, pair.other) for pair in comparison.pairs] == [(0, 1), (0, 2)]
    assert [side.name for side in comparison.sides] == ["first", "second", "third"]
    assert all(len(metric.values) == 3 for metric in comparison.metrics)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_memory_that_runs_out_on_the_second_keeps_what_was_read(tmp_path: Path, error: Exception) -> None:
    first, second = WordModel("first"), WordModel("second", fails_at=1)
    second.error = error
    with pytest.raises(OutOfMemory, match=r"while 'second' was read.*kept in .*goes on from there"):
        compare(tmp_path, first, second)
    traced = first.traced
    assert traced
    assert compare(tmp_path, first, second).comparison.pairs
    assert first.traced == traced


def test_another_error_is_not_taken_for_memory(tmp_path: Path) -> None:
    second = WordModel("second", fails_at=1)
    second.error = RuntimeError("shapes do not match")
    with pytest.raises(RuntimeError, match="do not match"):
        compare(tmp_path, WordModel("first"), second)
    wrapped = BadCheckpoint("cannot be loaded")
    wrapped.__cause__ = RuntimeError("DefaultCPUAllocator: not enough memory")
    assert is_memory(wrapped)
    assert not is_memory(BadCheckpoint("cannot be loaded"))


def test_a_cancelled_comparison_stops_and_goes_on(tmp_path: Path) -> None:
    first, second = WordModel("first"), WordModel("second")
    with pytest.raises(Cancelled):
        compare(tmp_path, first, second, cancelled=lambda: second.traced > 0)
    traced = first.traced
    compare(tmp_path, first, second)
    assert first.traced == traced


def test_a_second_time_nothing_is_read(tmp_path: Path) -> None:
    models = [WordModel("first"), WordModel("second", swaps=SWAPS)]
    once = compare(tmp_path, *models).comparison
    traced = [model.traced for model in models]
    again = compare(tmp_path, *models).comparison
    assert [model.traced for model in models] == traced
    assert again.metrics == once.metrics
    assert again.samples == once.samples


def test_texts_that_were_cut_off_are_counted(tmp_path: Path) -> None:
    class Wordy(WordModel):
        def decode(self, traces: Sequence[Trace], **how: Any) -> list[DecodedThought]:
            return [replace(one, finish="length") for one in super().decode(traces, **how)]

    compared = compare(tmp_path, WordModel("one"), Wordy("two"))
    [note] = [note for note in compared.comparison.notes if "cut off" in note]
    assert note.startswith("6 of 6 texts of 'two' did not end within the tokens")


def test_of_checkpoints_with_one_name_none_keeps_it(tmp_path: Path) -> None:
    folders = [write_checkpoint(tmp_path / run / "checkpoint") for run in ("a", "b")]
    for folder, run in zip(folders, "ab", strict=True):
        (folder / "more.json").write_text(run)
    other = write_checkpoint(tmp_path / "other")
    assert [one.name for one in choose([*map(str, folders), str(other)])] == [*map(str, folders), "other"]


def test_bad_choices_are_told(tmp_path: Path) -> None:
    names, _ = setup(tmp_path, WordModel("one"), WordModel("two"))
    with pytest.raises(BadInput, match="given twice"):
        choose([names[0], names[1], names[0]])
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in Path(names[0]).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BadInput, match="is the same as"):
        choose([names[0], str(copy)])
    with pytest.raises(BadInput, match="2 to 8 checkpoints, not 1"):
        choose(names[:1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadCheckpoint, match="is empty"):
        choose([names[0], str(tmp_path / "empty")])
    (copy / "model.safetensors").unlink()
    with pytest.raises(BadCheckpoint, match=r"no model\.safetensors"):
        choose([names[0], str(copy)])


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory, shapes_rows: list[dict[str, Any]]) -> dict[str, Path]:
    """Small random checkpoints: four and six think tokens, one that does not think, one that writes."""
    folder = tmp_path_factory.mktemp("kinds")
    layouts = {"four": tte_flash(4), "six": tte_flash(6), "bare": no_think(), "written": explicit_cot()}
    return {
        name: write_tiny(folder / name, shapes_rows, layout=layout, seed=number)
        for number, (name, layout) in enumerate(layouts.items())
    }


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


def compare_kinds(kinds: dict[str, Path], kept: Path, *names: str, n: int = 12) -> Compared:
    chosen = choose([str(kinds[name]) for name in names])
    return make_comparison(chosen, pose("shapes", n=n), Setup(kept=Kept(kept), device="cpu", dtype="float32"))


def test_thoughts_are_matched_across_models_of_other_k(kinds: dict[str, Path], tmp_path: Path, short: None) -> None:
    compared = compare_kinds(kinds, tmp_path, "four", "six")
    pair = pair_of(compared)
    assert pair.matched == "likeness"
    assert pair.steps is not None
    assert pair.steps.overlap.shape == (4, 6)
    jsonschema.Draft202012Validator(schema()).validate(json.loads(json.dumps(comparison_json(compared.comparison))))
    paired = [match for match in pair.matches if match.reference and match.other]
    told = [(match.reference, match.other) for match in paired]
    assert [one.think for one in pair.likeness[2:]] == told
    assert [one.think for one in pair.by_depth if one.of == "thought"] == told * compared.comparison.sides[0].n_layers
    assert sorted(match.reference for match in paired if match.reference) == [1, 2, 3, 4]
    assert len({match.other for match in paired}) == 4
    assert sum(match.reference is None for match in pair.matches) == 2
    cards = open_sample(compared, 0).cards
    assert len(cards) == 7
    assert sum(card.label.startswith("Thought none | ") for card in cards) == 2


def test_what_does_not_think_is_compared_in_the_rest(kinds: dict[str, Path], tmp_path: Path, short: None) -> None:
    compared = compare_kinds(kinds, tmp_path, "four", "bare", "written")
    bare, written = compared.comparison.pairs
    assert "'bare' has no think tokens" in refused(bare)["thoughts"]
    assert "'bare' writes no text" in refused(bare)["decoded thoughts"]
    assert "'bare' writes no text" in refused(bare)["thought_exact"]
    assert "'bare' writes no text" in refused(bare)["token_log_probability"]
    assert [one.of for one in bare.likeness] == ["embedding"]
    assert (bare.layers, bare.matches) == (None, ())
    assert "'written' has no think tokens" in refused(written)["thoughts"]
    assert "decoded thoughts" not in refused(written)
    view = open_sample(compared, 1, 0)
    assert [card.other for card in view.cards] == [None] * 4 + [0]
    assert [card.label for card in view.cards] == ["Thought 1", "Thought 2", "Thought 3", "Thought 4", "Embedding"]
    assert view.maps[1].shape[0] == 1
    assert all(change.words is None for change in bare.changes)
    assert all(change.words is not None for change in written.changes)
    # The random models read hits as an evaluation does; the same samples are ranked among the same candidates.
    from workbench.evaluation.shapes import evaluate_shapes
    from workbench.models.checkpoint import load_checkpoint

    model = load_checkpoint(kinds["bare"], device="cpu", dtype="float32")
    [hit] = [metric for metric in compared.comparison.metrics if metric.name == "hit_at_1"]
    assert hit.values[1] is not None
    assert hit.values[1].value == pytest.approx(evaluate_shapes(model, n=12).metrics["hit_at_1"].value)


def test_one_model_is_gone_before_the_next_is_loaded(
    kinds: dict[str, Path], tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.models.checkpoint import load_checkpoint

    alive: list[weakref.ref[Any]] = []

    def load(path: Path, **how: Any) -> Any:
        gc.collect()
        assert all(one() is None for one in alive)
        model = load_checkpoint(path, **how)
        alive.append(weakref.ref(model))
        return model

    monkeypatch.setattr(making, "load_checkpoint", load)
    compare_kinds(kinds, tmp_path, "four", "bare", n=2)
    assert len(alive) == 2
    assert all(one() is None for one in alive)


def test_a_diff_of_words_makes_both_texts() -> None:
    before, after = "two objects. left: red  ring.\nanswer: ring", "two objects. right: red star. answer: red ring"
    found = diff_words(before, after)
    assert " ".join(text for kind, text in found if kind != "new") == " ".join(before.split())
    assert " ".join(text for kind, text in found if kind != "gone") == " ".join(after.split())
    assert changed_words(before, before) == 0
    assert changed_words("a b", "c d e") == 1
    assert changed_words("a b", "a c") == 0.5
    assert changed_words("", "") == 0
    assert changed_words("", "a") == 1
