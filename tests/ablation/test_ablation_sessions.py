"""Results of before time was kept: a run that was not one session has no time, and stays a result."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from workbench.ablation.running import Result, Scale, read_results
from workbench.ablation.sessions import ran_at_once

SCALE = Scale(steps=100, batch=10)
"""At 50 queries a second 20 seconds of training."""


def train(*steps: int) -> list[dict[str, object]]:
    lines = [{"step": step, "split": "train", "samples_per_second": 50.0} for step in steps]
    return [*lines, {"step": steps[-1], "split": "validation", "text": 0.5}]


@pytest.mark.parametrize(
    ("logged", "seconds", "whole"),
    [
        (train(50, 100), 25.0, True),
        (train(50, 100), 9.8, False),
        (train(50, 100, 100), 25.0, False),
        (train(50, 75, 60, 100), 25.0, False),
        (train(50), 25.0, False),
    ],
    ids=["whole", "evaluated alone", "resumed at a logged step", "resumed before it", "another number of steps"],
)
def test_what_the_log_tells(tmp_path: Path, logged: list[dict[str, object]], seconds: float, whole: bool) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in logged))
    assert ran_at_once(log, seconds, steps=100, batch=10) == whole


def test_without_a_log_nothing_is_known(tmp_path: Path) -> None:
    assert not ran_at_once(tmp_path / "log.jsonl", 25.0, steps=100, batch=10)


def test_a_result_of_before_stays_a_result(tmp_path: Path) -> None:
    found = Result(
        cell="no-think",
        seed=0,
        hit_at_1=0.5,
        thought_exact=None,
        answer_exact=None,
        swapped_thought_exact=None,
        text=None,
        contrastive=0.25,
        n_test=4,
        n_candidates=8,
        seconds=25.0,
    )
    old = {name: value for name, value in asdict(found).items() if name != "training_seconds"}
    (tmp_path / "scale.json").write_text(json.dumps(asdict(SCALE)))
    for seed, steps in enumerate([(50, 100), (50, 100, 100)]):
        folder = tmp_path / "runs" / "no-think" / f"seed-{seed}"
        folder.mkdir(parents=True)
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in train(*steps)))
        (folder / "result.json").write_text(json.dumps(old | {"seed": seed}))
    scale, results = read_results(tmp_path)
    assert scale == SCALE
    assert [(result.seed, result.hit_at_1, result.seconds) for result in results] == [(0, 0.5, 25.0), (1, 0.5, None)]
