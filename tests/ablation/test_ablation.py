"""The ablation trains each cell once, goes on after a stop, mixes no scales, and says what its runs show."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from workbench.ablation import running
from workbench.ablation.cells import BASE, CONTROL, GROUPS, all_cells, choose, members
from workbench.ablation.running import Result, Scale, read_results, run_cells
from workbench.ablation.summary import rows_of, sentences, summary_json
from workbench.cli import main
from workbench.errors import BadInput, UnknownName
from workbench.render.ablation import BLOCK, NONE, block
from workbench.render.marked import fill, marks

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
    run_cells(TWO, (0, 1), SMALL, tmp_path, device="cpu", report=lines.append)
    assert lines[0] == "0 of 4 runs are finished"
    scale, results = read_results(tmp_path)
    assert scale == SMALL
    assert {(result.cell, result.seed) for result in results} == {(cell.name, seed) for cell in TWO for seed in (0, 1)}
    assert all((result.thought_exact is None) == (result.cell == CONTROL.name) for result in results)
    assert all(result.seconds > 0 and result.contrastive > 0 and result.n_test == 4 for result in results)
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


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.recipes import loop

    def stop(run: Any, done: int, *rest: Any) -> None:
        raise KeyboardInterrupt

    run_cells((), (0,), SMALL, tmp_path, device="cpu", report=print)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Run, "_validate", stop)
        run_cells((BASE,), (0,), SMALL, tmp_path, device="cpu", report=lambda line: None)
    assert (tmp_path / "runs" / BASE.name / "seed-0" / "state").is_dir()
    assert read_results(tmp_path)[1] == []
    run_cells((BASE,), (0,), SMALL, tmp_path, device="cpu", report=lambda line: None)
    assert [result.cell for result in read_results(tmp_path)[1]] == [BASE.name]


def result(cell: str, seed: int, hit: float, thought: float | None = 0.5, text: float | None = 1.0) -> Result:
    return Result(
        cell=cell,
        seed=seed,
        hit_at_1=hit,
        thought_exact=thought,
        answer_exact=thought,
        swapped_thought_exact=None if thought is None else 0.0,
        text=text,
        contrastive=1.0 - hit,
        n_test=100,
        n_candidates=200,
        seconds=10.0 + seed,
    )


BETTER, MIXED = "two-pass.joint.latents-only.k4", "shared.joint.latents-only.k8"
RESULTS = [
    *(result(BASE.name, seed, 0.5 + 0.1 * seed) for seed in range(3)),
    *(result(BETTER, seed, 0.55 + 0.1 * seed, text=1.25) for seed in range(3)),
    *(result(MIXED, seed, 0.6) for seed in range(3)),
    *(result(CONTROL.name, seed, 0.3, None, None) for seed in range(2)),
]


def test_differences_are_taken_seed_by_seed() -> None:
    rows = {row.cell.name: row for row in rows_of(RESULTS, all_cells())}
    assert set(rows) == {BASE.name, BETTER, MIXED, CONTROL.name}
    assert rows[BASE.name].differences == {}
    found = rows[BETTER].differences["hit_at_1"]
    assert (found.mean, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))
    assert found.n == 3
    assert rows[BETTER].stands_apart("hit_at_1") == 1
    assert rows[MIXED].stands_apart("hit_at_1") == 0
    assert "thought_exact" not in rows[CONTROL.name].measures
    assert rows[CONTROL.name].differences["hit_at_1"].n == 2
    assert rows[BASE.name].seconds == 11.0
    told = {row["cell"]: row for row in summary_json(RESULTS, all_cells())}
    assert told[BETTER]["minus_base"]["text"] == {"mean": 0.25, "low": 0.25, "high": 0.25, "seeds": 3}


def test_sentences_say_which_way_is_better() -> None:
    said = sentences(RESULTS)
    [hit] = [line for line in said if line.startswith("Extraction and dependency, Hit@1")]
    assert f"better than the base in every seed: `{BETTER}` (+5.0, +5.0 to +5.0 points)" in hit
    [text] = [line for line in said if line.startswith("Extraction and dependency, text loss")]
    assert f"worse in every seed: `{BETTER}` (+0.250" in text
    [think] = [line for line in said if line.startswith("Think tokens, Hit@1")]
    assert "better than the base in every seed: none; worse in every seed: none; 1 not told apart" in think
    assert said[-1].startswith("Without thinking (no-think), Hit@1 against the base: in every seed less, -25.0 points")


def test_the_page_holds_what_the_runs_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = block(RESULTS, Scale(), "thinkscope ablate --out runs/ablation")
    assert "| `" not in text
    assert f"| {BETTER} | 50.0% (50.0% to 50.0%) |" in text
    assert "scenes of 1 object," in text
    assert "scenes of 2 to 3 objects," in block(RESULTS, Scale(fewest=2, most=3), "x")
    n_cells = len({result.cell for result in RESULTS})
    assert f"{len(RESULTS)} finished runs of {n_cells} of {len(all_cells())} cells, up to " in text
    assert block([], Scale(), "x") == NONE
    begin, end = marks(BLOCK)
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n{begin}\nold\n{end}\nend\n", encoding="utf-8")
    (tmp_path / "runs/x/seed-0").mkdir(parents=True)
    (tmp_path / "scale.json").write_text(json.dumps(asdict(Scale())))
    (tmp_path / "runs/x/seed-0/result.json").write_text(json.dumps(asdict(RESULTS[0])))
    assert main(["ablate", "--out", str(tmp_path), "--summary", "--page", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scale"]["steps"] == Scale().steps
    assert [row["cell"] for row in told["cells"]] == [BASE.name]
    assert f"| {BASE.name} |" in page.read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").endswith(f"{end}\nend\n")
    with pytest.raises(ValueError, match="once each"):
        fill("no marks", BLOCK, text)


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
