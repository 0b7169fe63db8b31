"""What a run keeps on disk survives a stop at any moment."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from workbench.errors import BadInput
from workbench.recipes.run_state import RunState


def write(state: RunState, target: Path, text: str) -> None:
    with state.replacing(target) as folder:
        (folder / "content").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    state, target = RunState(tmp_path), tmp_path / "state"
    write(state, target, "one")
    write(state, target, "two")
    assert (target / "content").read_text() == "two"
    assert names(tmp_path) == ["state"]


def test_an_error_while_writing_leaves_the_old_one(tmp_path: Path) -> None:
    state, target = RunState(tmp_path), tmp_path / "state"
    write(state, target, "one")
    with pytest.raises(OSError, match="full"), state.replacing(target) as folder:
        (folder / "content").write_text("half")
        raise OSError("the disk is full")
    assert (target / "content").read_text() == "one"
    assert names(tmp_path) == ["state"]


@pytest.mark.parametrize(("stop_at", "kept"), [(1, "one"), (2, "two"), (3, "two")])
def test_a_stop_between_any_two_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int, kept: str
) -> None:
    """A killed process cleans nothing up; here the rename (or, third, the removal after them) that never came raises."""
    state, target = RunState(tmp_path), tmp_path / "checkpoint"
    write(state, target, "one")
    rename, done = Path.rename, 0

    def until_killed(self: Path, other: Path) -> Path:
        nonlocal done
        done += 1
        if done == stop_at:
            raise KeyboardInterrupt
        return rename(self, other)

    def killed(*_given: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", until_killed)
        with state.replacing(target) as folder:
            (folder / "content").write_text("two")
            if stop_at == 3:
                patch.setattr("workbench.recipes.run_state.shutil.rmtree", killed)
    assert len(names(tmp_path)) == 2
    RunState(tmp_path).recover()
    assert (target / "content").read_text() == kept
    assert names(tmp_path) == ["checkpoint"]


def test_recovery_of_a_whole_or_missing_run_changes_nothing(tmp_path: Path) -> None:
    RunState(tmp_path / "none").recover()
    write(RunState(tmp_path), tmp_path / "state", "one")
    (tmp_path / ".hidden").mkdir()
    RunState(tmp_path).recover()
    assert names(tmp_path) == [".hidden", "state"]


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    state = RunState(tmp_path)
    state.save(3, nn.Linear(2, 3), [], {})
    loaded = nn.Linear(2, 3)
    assert state.load_weights(loaded) == 3
    with pytest.raises(BadInput, match="a model of another shape"):
        state.load_weights(nn.Linear(3, 3))


def test_a_number_that_is_none_stays_json(tmp_path: Path) -> None:
    RunState(tmp_path).log({"step": 1, "object": math.nan, "loss": 0.5, "split": "train"})
    [line] = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 1, "object": None, "loss": 0.5, "split": "train"}


def test_optimisers_of_another_method_are_refused(tmp_path: Path) -> None:
    module = nn.Linear(2, 3, bias=False)
    state = RunState(tmp_path)

    def stepped(optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
        module(torch.ones(1, 2)).sum().backward()
        optimiser.step()
        return optimiser

    state.save(1, module, [stepped(torch.optim.AdamW(module.parameters()))], {})
    with pytest.raises(BadInput, match=r"another optimiser\.method; resume it with the one it began with"):
        state.load_optimisers([torch.optim.Muon(module.parameters())], module)
    fresh = torch.optim.AdamW(module.parameters())
    state.load_optimisers([fresh], module)
    assert set(fresh.state[module.weight]) == {"step", "exp_avg", "exp_avg_sq"}
    state.save(1, module, [stepped(torch.optim.Muon(module.parameters()))], {})
    with pytest.raises(BadInput, match=r"another optimiser\.method"):
        state.load_optimisers([torch.optim.AdamW(module.parameters())], module)
