"""An audit from end to end with a small random model: what it holds, that it goes on, and what it says of poor data."""

import html
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from comparisons import shorten_audit, write_data
from PIL import Image

from workbench.audit import MEASURES, TELLS_TARGET, Audit
from workbench.auditing import run_audit
from workbench.auditing.document import schema
from workbench.auditing.making import ask, make_audit
from workbench.comparing.kept import Kept
from workbench.comparing.making import Setup
from workbench.comparing.reading import ABOUT, Reading
from workbench.edits import Edit
from workbench.errors import BadCheckpoint, BadInput, Cancelled, UnknownName, Unsupported
from workbench.models.layout import Layout, no_think, tte_flash
from workbench.render.audit_html import audit_html
from workbench.stages import Progress

N = 6


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_audit(monkeypatch)


def test_a_checkpoint_that_changes_after_it_was_chosen_is_not_audited_under_its_old_name(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "mine")
    wanted = ask(folder, "shapes", split="test", n=2, seed=0)
    (folder / "more.json").write_text("{}")
    kept = Kept(tmp_path / "kept")
    with pytest.raises(BadInput, match="has changed on the disk since it was chosen"):
        make_audit(wanted, Setup(kept=kept, device="cpu", dtype="float32"))
    assert not list(kept.root.glob("*/*"))


@pytest.fixture
def audited(tiny_checkpoint: Path, tmp_path: Path) -> Audit:
    return run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=tmp_path / "kept")


def test_an_audit_holds_every_figure_with_its_interval(audited: Audit) -> None:
    held = json.loads(json.dumps(audited.to_json(), allow_nan=False))
    jsonschema.Draft202012Validator(schema()).validate(held)
    assert held["verdict"]["kind"] == "inconclusive"
    assert "only 6 samples" in held["verdict"]["sentence"]
    figures = [*held["measures"].values(), *(one for edit in held["edits"] for one in edit["measures"].values())]
    assert len(figures) > 200
    assert all(set(one) == {"value", "low", "high", "n"} and one["n"] <= N for one in figures)
    assert all(name in MEASURES for edit in held["edits"] for name in edit["measures"])
    assert all(name in MEASURES for name in held["measures"])
    none = audited.edit("none")
    assert none is not None
    assert none.measures["embedding_change"].value == pytest.approx(0, abs=1e-6)
    assert {one.name for one in audited.edits} >= {
        "swap-image.all",
        "keep-only.4",
        "patch.3",
        "block.embed-query",
        "control.all",
    }
    moved = audited.edit("swap-random.all")
    assert moved is not None
    assert moved.measures["embedding_change"].value > 1e-6
    whole = [one for one in audited.geometry if one.by_query is not None]
    assert whole
    for one in whole:
        parts = [getattr(one, f"by_{name}").value for name in ("query", "image", "position", "both")]
        assert sum(parts) == pytest.approx(1)
    assert held["command"].startswith("thinkscope audit ")
    assert "Round trip" not in {one["what"] for one in held["not_tested"]}
    assert {
        held["measures"][f"round_trip_{name}"]["n"] for name in ("hit_at_1", "agrees", "change", "other_change")
    } == {N}


def test_the_report_is_one_file_without_scripts(audited: Audit) -> None:
    page = audit_html(audited)
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    for title in (
        "All thoughts edited",
        "Each thought by itself",
        "Attention cut",
        "Not tested",
        "How to make it again",
    ):
        assert title in page
    assert audited.verdict.sentence.split(":")[0] in page


def test_an_audit_of_what_tells_the_target_says_so(tiny_kinds: dict[str, Path], tmp_path: Path, audited: Audit) -> None:
    audit = run_audit(tiny_kinds["lame"], "shapes", split="test", n=N, kept=tmp_path / "lame")
    held = json.loads(json.dumps(audit.to_json(), allow_nan=False))
    jsonschema.Draft202012Validator(schema()).validate(held)
    page, other = audit_html(audit), audit_html(audited)
    assert "3 think tokens whose text tells the words of the target, 3 layers" in page
    assert TELLS_TARGET in audit.notes
    assert html.escape(TELLS_TARGET) in page
    for name in ("bm25_thought", "text_thought", "round_trip_hit_at_1"):
        assert "words that the model tells of the target" in held["about"][name]
        assert html.escape(held["about"][name]) in page
        assert html.escape(MEASURES[name]) not in page
        assert html.escape(MEASURES[name]) in other
    # Its decoder has no place for fewer thoughts than all.
    [why] = [one.why for one in audit.not_tested if one.what == "Decoded thoughts while some are hidden"]
    assert "'lame'" in why
    for one in audit.edits:
        if one.kind in ("hide", "truncate"):
            assert "embedding_change" in one.measures
            assert "log_probability_change" not in one.measures
    assert "4 think tokens, 3 layers" in other
    assert TELLS_TARGET not in audited.notes
    assert "while some are hidden" not in other


def opened(kept: Path) -> tuple[Reading, Path]:
    """The reading of an audit, and the folder of what was edited."""
    [edited] = kept.glob("audit-*")
    [reading] = [one for one in kept.iterdir() if (one / ABOUT).is_file()]
    return Reading(reading), edited


def test_hiding_in_an_audit_is_the_knockout_of_a_trace(tiny_checkpoint: Path, tiny_model: Any, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    from workbench.auditing.parts import part_path
    from workbench.auditing.planned import places, plan
    from workbench.comparing.question import pose

    run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=tmp_path / "kept")
    [folder] = (tmp_path / "kept").glob("audit-*")
    at = places(plan(4, 3))
    cosines = load_file(part_path(folder, "audit", 1))["cosine"]
    for row, asked in enumerate(pose("shapes", n=N).rows[4:]):
        assert asked.pair is not None
        [trace] = tiny_model.trace([tiny_model.prepare(asked.pair.query)])
        expected = np.concatenate([trace.knockout, trace.stepwise[:1]]) @ trace.embedding
        columns = [at[name] for name in ("hide.1", "hide.2", "hide.3", "hide.4", "hide.all")]
        assert cosines[row, columns] == pytest.approx(expected, abs=1e-5)


def test_a_round_trip_is_the_text_behind_the_query_without_thoughts(
    tiny_checkpoint: Path, tiny_model: Any, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    from workbench.auditing.parts import part_path
    from workbench.comparing.question import pose
    from workbench.stats import rank_of

    run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=tmp_path / "kept")
    reading, edited = opened(tmp_path / "kept")
    held = load_file(part_path(edited, "audit", 0))
    documents, question = reading.documents(), pose("shapes", n=N)
    for row, asked in enumerate(question.rows[:4]):
        thought = reading.rows[row].thought
        assert asked.pair is not None
        assert thought is not None
        query = asked.pair.query
        spoken = replace(query, id="spoken", text=f"{query.text}\n{thought.text}")
        # Without thoughts by another way: the embedding of a trace that sees none of them.
        [trace] = tiny_model.trace([tiny_model.prepare(spoken)])
        cosines = documents @ trace.stepwise[0]
        assert held["spoken_rank"][row, 0] == rank_of(cosines[None], np.array([asked.target]))[0]
        own = documents @ reading.embeddings()[row]
        assert held["spoken_agrees"][row, 0] == (own.argmax() == cosines.argmax())


def test_texts_are_scored_under_every_edit_and_kept_where_the_model_writes_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file

    from workbench.assets import resolve_checkpoint
    from workbench.auditing.parts import part_path
    from workbench.auditing.planned import places, plan
    from workbench.comparing.question import pose
    from workbench.models.checkpoint import load_checkpoint

    shorten_audit(monkeypatch, tokens=16)
    path = resolve_checkpoint("tte-flash-early")
    model: Any = load_checkpoint(path, device="cpu")
    n = 3
    run_audit(path, "shapes", split="test", n=n, kept=tmp_path / "kept")
    reading, edited = opened(tmp_path / "kept")
    held, planned = load_file(part_path(edited, "audit", 0)), plan(model.info.n_think, model.info.n_layers)
    at = places(planned)
    for name in ("own", "kept"):
        missing = np.isnan(held[name]) & np.isfinite(held["cosine"])
        assert {planned[column].name for column in np.flatnonzero(missing.any(axis=0))} <= {"hide.all"}
    for unseen in ("block.embed-think", "block.embed-query", "control.1", "control.all"):
        assert (held["own"][:, at[unseen]] == held["own"][:, 0]).all()
    edits = {"none": Edit()} | {f"hide.{k + 1}": Edit(hidden=(k,)) for k in range(model.info.n_think)}
    edits["truncate.1"] = Edit(hidden=tuple(range(1, model.info.n_think)))
    kept = []
    for row, asked in enumerate(pose("shapes", n=n).rows):
        thought = reading.rows[row].thought
        assert asked.pair is not None
        assert thought is not None
        [traces] = model.edit([model.prepare(asked.pair.query)], [list(edits.values())])
        scores = model.score(traces, [thought.text] * len(edits))
        written = model.decode(traces, max_tokens=16)
        for name, score, text in zip(edits, scores, written, strict=True):
            mean = score.total / len(score.log_probabilities)
            assert held["own"][row, at[name]] == pytest.approx(mean, abs=1e-5)
            assert held["kept"][row, at[name]] == (text.text == thought.text)
            kept.append(text.text == thought.text)
    assert any(kept)
    assert not all(kept)


def test_single_edits_are_scored_for_the_first_samples_alone_and_that_is_told(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.auditing.texts.FIRST_ROWS", 2)
    monkeypatch.setattr("workbench.auditing.making.FIRST_ROWS", 2)
    audit = run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=tmp_path / "kept")
    counted = {
        one.name: one.measures["log_probability_change"].n
        for one in audit.edits
        if "log_probability_change" in one.measures
    }
    assert (counted["zero.2"], counted["truncate.1"], counted["block.think-image"]) == (2, 2, 2)
    assert (counted["zero.all"], counted["patch.1"], counted["block.embed-think"], counted["control.1"]) == (N,) * 4
    assert any(note.startswith("Of the first 2 samples alone") for note in audit.notes)


def test_a_text_that_is_cut_otherwise_than_it_was_written_is_not_said_to_stay(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """A random model writes half characters, which no text can give back."""
    from safetensors.numpy import load_file

    from workbench.auditing.parts import part_path

    run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=tmp_path / "kept")
    reading, edited = opened(tmp_path / "kept")
    kept = load_file(part_path(edited, "audit", 0))["kept"]
    for row, one in enumerate(reading.rows[:4]):
        assert one.thought is not None
        assert np.isnan(kept[row, 0]) == ("\N{REPLACEMENT CHARACTER}" in one.thought.text)
    assert np.isnan(kept[:, 0]).any()


def test_the_policy_is_chosen_on_the_validation_split(tiny_checkpoint: Path, tiny_model: Any, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    from workbench.auditing.parts import part_path
    from workbench.comparing.question import pose
    from workbench.stats import rank_of

    audit = run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=tmp_path / "kept")
    assert audit.budget is not None
    assert (audit.budget.fitted_on, audit.budget.n_fitted) == ("validation", 24)
    assert len(audit.budget.policies[0].thresholds) == 1
    assert not any("chosen on one half" in note for note in audit.notes)
    [folder] = (tmp_path / "kept").glob("fit-*")
    held = load_file(part_path(folder, "fit", 0))
    question = pose("shapes", split="validation", n=24)
    documents = tiny_model.embed([tiny_model.prepare(one) for one in question.documents])
    for row, asked in enumerate(question.rows[:4]):
        assert asked.pair is not None
        [trace] = tiny_model.trace([tiny_model.prepare(asked.pair.query)])
        steps = np.concatenate([trace.stepwise, trace.embedding[None]])[: tiny_model.info.n_think + 1]
        ranks = rank_of(steps @ documents.T, np.full(len(steps), asked.target))
        assert held["rank"][row].tolist() == ranks.tolist()
        assert held["agree"][row] == pytest.approx((steps[1:] * steps[:-1]).sum(axis=1), abs=1e-5)


def test_without_another_split_the_policy_is_chosen_on_halves_and_that_is_told(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    words = [f"{one} square {side}" for one in ("red", "blue") for side in ("left", "right")]
    data = write_data(tmp_path / "data", words * 6)
    audit = run_audit(tiny_checkpoint, str(data), split="test", n=24, kept=tmp_path / "kept")
    assert audit.budget is not None
    assert audit.budget.fitted_on == ""
    assert any("chosen on one half" in note and "0 rows that are not audited" in note for note in audit.notes)
    same = run_audit(tiny_checkpoint, "shapes", split="test", n=N, fit_split="test", kept=tmp_path / "kept")
    other = run_audit(tiny_checkpoint, "shapes", split="test", n=N, fit_split="valid", kept=tmp_path / "kept")
    assert any("the split valid cannot be used (There is no" in note for note in other.notes)
    assert any("is the one that is audited" in note for note in same.notes)


def stop_at(share: float) -> tuple[Progress, Callable[[], bool]]:
    reached: list[float] = [0.0]

    def tell(done: float, message: str) -> None:
        reached[0] = max(reached[0], done if message == "Editing thoughts" else 0.0)

    return tell, lambda: reached[0] > share


def test_an_audit_that_was_stopped_goes_on(tiny_checkpoint: Path, tmp_path: Path, audited: Audit) -> None:
    kept = tmp_path / "other"
    tell, cancelled = stop_at(0.72)
    with pytest.raises(Cancelled, match="kept"):
        run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=kept, tell=tell, cancelled=cancelled)
    [folder] = kept.glob("audit-*")
    [done] = folder.iterdir()
    before = done.stat().st_mtime_ns, done.read_bytes()
    again = run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=kept)
    assert (done.stat().st_mtime_ns, done.read_bytes()) == before
    assert again.edits == audited.edits
    assert again.measures == audited.measures
    # What is complete needs no model.
    (tmp_path / "kept").rename(tmp_path / "moved")
    assert run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=tmp_path / "moved").edits == audited.edits


def test_another_seed_draws_other_partners(tiny_checkpoint: Path, tmp_path: Path, audited: Audit) -> None:
    other = run_audit(tiny_checkpoint, "shapes", split="test", n=N, seed=1, kept=tmp_path / "kept")
    assert other.edit("noise.all") != audited.edit("noise.all")


def test_one_sample_is_reported_with_what_could_not_be_measured(tiny_checkpoint: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", ["red square left"])
    audit = run_audit(tiny_checkpoint, str(data), split="test", n=5, kept=tmp_path / "kept")
    assert audit.verdict.kind == "inconclusive"
    assert {"swap-random.all", "swap-nearest.all", "swap-image.all", "shuffle.all"} <= {
        one.what for one in audit.not_tested
    }
    jsonschema.Draft202012Validator(schema()).validate(json.loads(json.dumps(audit.to_json(), allow_nan=False)))
    assert audit_html(audit)


def test_equal_samples_are_reported(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    data = write_data(folder, ["red square left"] * 5)
    for number in range(5):
        Image.new("RGB", (50, 30), (90, 90, 90)).save(folder / f"{number}.png")
    audit = run_audit(tiny_checkpoint, str(data), split="test", n=5, kept=tmp_path / "kept")
    assert audit.verdict.kind == "inconclusive"
    assert "swap-random.all" in {one.what for one in audit.not_tested}


def test_data_without_candidates_and_with_missing_images(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    data = write_data(folder)
    (folder / "2.png").unlink()
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    data.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "target"}) + "\n" for row in rows))
    audit = run_audit(tiny_checkpoint, str(data), split="test", n=6, kept=tmp_path / "kept")
    assert "no sample has a right candidate" in audit.verdict.sentence
    assert any("1 of 6 rows could not be used" in note for note in audit.notes)
    assert "Ranks" in {one.what for one in audit.not_tested}
    changed = audit.edit("mean.all")
    assert changed is not None
    assert "embedding_change" in changed.measures
    assert "hit_change" not in changed.measures


@pytest.mark.parametrize(
    ("layout", "told"),
    [(no_think(), r"no think tokens \(K = 0\)"), (tte_flash(2, extraction="two_pass"), "the extraction two_pass")],
)
def test_a_model_whose_thoughts_cannot_be_edited_is_refused_before_the_data_are_read(
    tmp_path: Path, shapes_rows: list[dict[str, Any]], layout: Layout, told: str
) -> None:
    from checkpoints import write_tiny

    folder = write_tiny(tmp_path / "plain", shapes_rows, layout=layout)
    with pytest.raises(Unsupported, match=told):
        run_audit(folder, "/nowhere", split="test", n=4, kept=tmp_path / "kept")


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"n": 0}, BadInput, "1 to 5,000"),
        ({"n": 6_000}, BadInput, "1 to 5,000"),
        ({"seed": -1}, BadInput, "seed"),
        ({"data": "/nowhere"}, BadInput, "nowhere"),
        ({"split": "nowhere"}, UnknownName, "split"),
        ({"checkpoint": "/nowhere"}, BadCheckpoint, "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(tiny_checkpoint: Path, tmp_path: Path, given: Any, error: Any, told: str) -> None:
    asked = {"checkpoint": tiny_checkpoint, "data": "shapes", "split": "test", "n": 4, "seed": 0} | given
    checkpoint, data = asked.pop("checkpoint"), asked.pop("data")
    with pytest.raises(error, match=told):
        run_audit(checkpoint, data, **asked, kept=tmp_path / "kept")
