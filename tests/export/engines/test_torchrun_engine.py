"""Ranks: each makes its share without asking the others."""

import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from making import MAKER, asked, files, made, plan_of, plant

from workbench.errors import BadInput
from workbench.export.engine import Outcome
from workbench.export.engines import torchrun
from workbench.export.engines.torchrun import TorchrunEngine
from workbench.export.plan import Plan

ENGINE = TorchrunEngine(maker=MAKER)


def launch(monkeypatch: pytest.MonkeyPatch, rank: int, world: int) -> None:
    for name, value in (("RANK", rank), ("WORLD_SIZE", world), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, str(value))


def test_ranks_share_no_part_and_lack_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for rank in range(3):
        plan = plan_of(tmp_path / str(rank), n=26)
        launch(monkeypatch, rank, 3)
        shares.append([part for part, outcome in made(ENGINE, plan, count()).items() if outcome.rows])
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]


def test_what_is_made_already_moves_no_other_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, 1, 2)
    plan = plan_of(tmp_path, n=100)
    assert list(made(ENGINE, plan, [0, 1, 4, 5, 6, 8, 9])) == [1, 5, 9]


def test_a_rank_without_parts_loads_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, 1, 2)
    assert made(ENGINE, plan_of(tmp_path), [0, 2]) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_problem_ends_the_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, 0, 1)
    plan = plan_of(tmp_path)
    plant(plan, "problem", 1)
    assert [outcome.problem for outcome in made(ENGINE, plan, range(5)).values()] == ["", "The disk is full."]


class Seat:
    """Says by its rows on which GPU it was put."""

    def __init__(self, plan: Plan) -> None:
        self.rows = {None: 1, "cuda:0": 10, "cuda:1": 11, "cpu": 20, "cuda:7": 17}[plan.device]

    def __call__(self, part: int) -> Outcome:
        return Outcome(part=part, rows=self.rows)


@pytest.mark.parametrize(
    ("device", "gpus", "rows"),
    [(None, 0, 1), (None, 2, 11), ("cuda", 2, 11), ("cuda", 1, 10), ("cpu", 2, 20), ("cuda:7", 2, 17)],
)
def test_a_rank_takes_the_gpu_of_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str | None, gpus: int, rows: int
) -> None:
    launch(monkeypatch, 3, 4)
    monkeypatch.delenv("THINKSCOPE_DEVICE", raising=False)
    monkeypatch.setattr(torchrun, "gpus", lambda: [str(index) for index in range(gpus)])
    plan = Plan(data="", checkpoint=tmp_path, checkpoint_sha256="", folder=tmp_path, device=device)
    assert made(TorchrunEngine(maker="test_torchrun_engine:Seat"), plan, [3])[3].rows == rows


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "needs RANK"),
        (
            {"RANK": "0", "WORLD_SIZE": "two", "LOCAL_RANK": "0"},
            "needs WORLD_SIZE in the environment, which holds 'two'",
        ),
        ({"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "ranks count from 0 to 1"),
    ],
)
def test_without_a_launcher_it_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], sentence: str
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
        if name in environment:
            monkeypatch.setenv(name, environment[name])
    with pytest.raises(BadInput, match=sentence):
        ENGINE.run(plan_of(tmp_path), [0], stopped=lambda: False)


def test_workers_are_torchruns_to_choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, 0, 1)
    with pytest.raises(BadInput, match="leave out --workers"):
        TorchrunEngine(workers=2).run(plan_of(tmp_path), [0], stopped=lambda: False)


@pytest.mark.slow
def test_torchrun_itself_starts_it(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(
        "from pathlib import Path; from making import *; from workbench.export.engines.torchrun import TorchrunEngine\n"
        f"made(TorchrunEngine(maker=MAKER), plan_of(Path({str(tmp_path / 'out')!r})), range(5))"
    )
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    plan = plan_of(tmp_path / "out")
    assert len(files(plan)) == 5
    processes = [{process for part, process in asked(plan) if part % 2 == rank} for rank in (0, 1)]
    assert [len(of) for of in processes] == [1, 1]
    assert processes[0] != processes[1]
