"""The ablation trains each cell once, goes on after a stop, keeps the time of all of it, and mixes no scales."""

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.ablation import running
from workbench.ablation.cells import BASE, CONTROL, GROUPS, all_cells, choose, members
from workbench.ablation.running import ROOM, Scale, read_results, run_cells
from workbench.cli import main
from workbench.data.shapes import make_sample, write_shapes
from workbench.errors import BadInput, UnknownName
from workbench.models.checkpoint import load_checkpoint

SMALL = Scale(steps=2, batch=4, rows=12, tower_steps=1, test=4)
TWO = tuple(
    cell for cell in all_cells() if cell == CONTROL or (cell.extraction, cell.dependency) == ("two_pass", "joint")
)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates and held-out rows are the slow part, and no test here is about ranks."""
    monkeypatch.setattr("workbench.evaluation.shapes.MIN_CANDIDATES", 4)
    monkeypatch.setattr(running, "VALIDATION_ROWS", 4)
    monkeypatch.setattr(running, "WORKERS", 0)


def test_the_grid_varies_one_thing_at_a_time() -> None:
    cells = all_cells()
    assert len(cells) == len({cell.name for cell in cells}) == 19
    assert cells[:2] == (BASE, CONTROL)
    assert [len(members(group)) for group in GROUPS] == [12, 3, 5]
    assert all(BASE in members(group) for group in GROUPS)
    assert choose([BASE.name, CONTROL.name, BASE.name]) == (BASE, CONTROL)
    with pytest.raises(UnknownName, match="Did you mean"):
        choose(["shared.joint.latents-only.k5"])


def test_what_is_finished_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    allowed: list[int] = []
    evaluate = running.evaluate_shapes

    def noted(model: Any, **settings: Any) -> Any:
        allowed.append(settings["max_tokens"])
        return evaluate(model, **settings)

    monkeypatch.setattr(running, "evaluate_shapes", noted)
    run_cells(TWO, (0, 1), SMALL, tmp_path, device="cpu", report=lines.append)
    assert lines[0] == "0 of 4 runs are finished"
    model = load_checkpoint(tmp_path / "runs" / TWO[0].name / "seed-0" / "checkpoint", device="cpu")
    assert allowed == [running._longest_text(model, tmp_path / "data")] * 4
    scale, results = read_results(tmp_path)
    assert scale == SMALL
    assert {(result.cell, result.seed) for result in results} == {(cell.name, seed) for cell in TWO for seed in (0, 1)}
    assert all((result.thought_exact is None) == (result.cell == CONTROL.name) for result in results)
    assert all(result.contrastive > 0 and result.n_test == 4 for result in results)
    assert all((result.seconds or 0) > (result.training_seconds or 0) > 0 for result in results)
    towers = {weights_of(tmp_path / "runs" / result.cell / f"seed-{result.seed}") for result in results}
    assert towers == {weights_of(tmp_path / "tower")}, "one vision tower for all, which stays as it is"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    lines.clear()
    monkeypatch.setattr(running, "_run", None)
    run_cells(TWO, (0, 1), SMALL, tmp_path, device="cpu", report=lines.append)
    assert lines == ["4 of 4 runs are finished"]
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    with pytest.raises(BadInput, match="was begun with steps 2, not 3"):
        run_cells(TWO, (0,), Scale(steps=3), tmp_path, device="cpu", report=lines.append)


def weights_of(run: Path) -> bytes:
    from safetensors.torch import load_file

    held = load_file(run / "checkpoint" / "model.safetensors")
    return b"".join(value.numpy().tobytes() for name, value in sorted(held.items()) if "visual" in name)


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of the base that was stopped behind its first step of two; the state's file."""
    from workbench.recipes import loop

    def stop(run: Any, done: int, *rest: Any) -> None:
        raise KeyboardInterrupt

    run_cells((), (0,), SMALL, tmp_path, device="cpu", report=print)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Run, "_validate", stop)
        run_cells((BASE,), (0,), SMALL, tmp_path, device="cpu", report=lambda line: None)
    state = tmp_path / "runs" / BASE.name / "seed-0" / "state" / "state.json"
    assert json.loads(state.read_text())["step"] == 1
    assert read_results(tmp_path)[1] == []
    return state


def test_a_run_that_was_stopped_goes_on_and_its_time_adds_up(stopped: Path, tmp_path: Path) -> None:
    held = json.loads(stopped.read_text())
    assert 0 < held["seconds"] < 1000
    stopped.write_text(json.dumps(held | {"seconds": 1000.0}))
    run_cells((BASE,), (0,), SMALL, tmp_path, device="cpu", report=lambda line: None)
    [result] = read_results(tmp_path)[1]
    assert result.cell == BASE.name
    assert result.training_seconds is not None
    assert result.seconds is not None
    assert 1000 < result.training_seconds < result.seconds < 2000


def test_a_run_begun_before_time_was_kept_has_no_whole_time(stopped: Path, tmp_path: Path) -> None:
    held = json.loads(stopped.read_text())
    del held["seconds"]
    stopped.write_text(json.dumps(held))
    run_cells((BASE,), (0,), SMALL, tmp_path, device="cpu", report=lambda line: None)
    [result] = read_results(tmp_path)[1]
    assert (result.training_seconds, result.seconds) == (None, None)


def test_no_right_thought_is_cut(tmp_path: Path, tiny_model: Any) -> None:
    for many in (1, 4):
        world = Scale(fewest=many, most=many).world
        write_shapes(tmp_path / str(many), world, "train", 40)
        room = running._longest_text(tiny_model, tmp_path / str(many))
        rows = [json.loads(row) for row in (tmp_path / str(many) / "train.jsonl").read_text().splitlines()]
        assert room == max(len(tiny_model.text_ids(row["reasoning"])) for row in rows) + ROOM
        unseen = [make_sample(world, "test", index).reasoning for index in range(40)]
        assert room > max(len(tiny_model.text_ids(text)) for text in unseen)
    assert room > 64


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["ablate", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_bad_input_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "none"))
    assert "holds no ablation" in refusal(capsys, *out, "--summary")
    assert "--seeds is 'one'" in refusal(capsys, *out, "--seeds", "one")
    assert "objects is (3, 1)" in refusal(capsys, *out, "--fewest", "3")
    assert "--steps is 0" in refusal(capsys, *out, "--steps", "0")
    assert "Did you mean" in refusal(capsys, *out, "--cells", "shared.joint.latents-only.k5")
    assert "cannot be read" in refusal(capsys, *out, "--page", str(tmp_path / "no.md"))
    (tmp_path / "page.md").write_text("no marks")
    assert "once each" in refusal(capsys, *out, "--page", str(tmp_path / "page.md"))
    assert not (tmp_path / "none").exists()
