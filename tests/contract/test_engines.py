"""What every engine promises, whoever wrote it: the same parts, each once, and an end when it is told to."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from making import KILL, MAKER, MORTAL_MAKER, alive, asked, files, made, plan_of, plant, processes

from workbench.export.engine import ENGINES, Engine
from workbench.export.plan import Plan
from workbench.export.planning import make_plan
from workbench.export.run import run_export

NAMES = ENGINES.names()
pytestmark = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "ray" else ()) for name in NAMES]
)
PARTS = ["part-00000.txt", "part-00001.txt", "part-00003.txt", "part-00004.txt"]


@pytest.fixture(autouse=True)
def one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an engine that is to be launched: this process is the only rank."""
    for variable, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(variable, value)


@pytest.fixture(scope="module")
def ray_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for all tests of this file, started as the engine starts its own; an engine that finds one joins it."""
    import ray

    from workbench.export.engines.ray import cluster

    with cluster(ray, plan_of(tmp_path_factory.mktemp("ray")), 2):
        yield


@pytest.fixture
def engine(name: str, request: pytest.FixtureRequest) -> Engine:
    """An engine with the maker of tests/making.py and two workers, if it can choose."""
    if name == "ray":
        request.getfixturevalue("ray_running")
    in_process = name in ("single", "torchrun")
    return ENGINES.get(name)(maker=MAKER, workers=None if in_process else 2)


@pytest.fixture
def alone(engine: Engine) -> Engine:
    """The same with one worker, where a second would only be one more to start."""
    return engine if engine.workers is None else replace(engine, workers=1)


def replaces(engine: Engine) -> bool:
    """Whether its workers are processes of their own, so that one can die without the engine."""
    return engine.workers is not None


def test_it_says_when_to_take_it(name: str) -> None:
    kind = ENGINES.get(name)
    assert kind.name == name
    assert kind.about.endswith(".")
    assert (kind.__doc__ or "").strip()
    assert getattr(kind, "__final__", False)
    assert kind() == kind(workers=None)


def test_it_makes_each_part_once_and_ends_with_the_data(engine: Engine, tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    outcomes = made(engine, plan, (part for part in count() if part != 2))
    assert {part: outcome.rows for part, outcome in outcomes.items() if outcome.rows} == {0: 4, 1: 4, 3: 4, 4: 2}
    assert not any(outcome.problem for outcome in outcomes.values())
    assert sorted(files(plan)) == PARTS
    assert len(processes(plan)) <= (engine.workers or 1), "each worker loads the model once"
    assert max(part for part, _ in asked(plan)) <= 5 + 2, "begins no part when it is known that there are no more"
    if replaces(engine):
        assert {text.rsplit(b" ", 1)[1] for text in files(plan).values()} == {b"1\n"}, "threads are those of the plan"


def test_it_begins_nothing_more_when_stopped(alone: Engine, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, n=10**9)
    seen: list[int] = []
    for outcome in alone.run(plan, count(), stopped=lambda: len(seen) >= 2):
        seen.append(outcome.part)
    assert 2 <= len(seen) <= 2 + (alone.workers or 1)
    assert len(files(plan)) == len(seen)
    assert list(alone.run(plan, count(50), stopped=lambda: True)) == []
    assert len(files(plan)) == len(seen)


def test_it_ends_at_a_problem(alone: Engine, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, n=10**9)
    plant(plan, "problem", 3)
    outcomes = made(alone, plan, count())
    assert outcomes[3].problem == "The disk is full."
    assert {part for part, outcome in outcomes.items() if outcome.problem} == {3}
    assert {0, 1, 2} <= set(outcomes)
    assert len(files(plan)) == len(outcomes) - 1 <= 3 + 2 * (alone.workers or 1)


def test_it_leaves_nobody_behind(alone: Engine, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, n=10**9)
    run = alone.run(plan, count(), stopped=lambda: False)
    next(run)
    run.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator
    if replaces(alone):
        end = time.monotonic() + 60
        while any(map(alive, processes(plan))):
            assert time.monotonic() < end
            time.sleep(0.05)
    else:
        assert processes(plan) == [os.getpid()]


def test_a_worker_that_dies_is_replaced(engine: Engine, tmp_path: Path) -> None:
    if not replaces(engine):
        pytest.skip("it makes parts in this very process")
    plan, whole = plan_of(tmp_path / "broken"), plan_of(tmp_path / "whole")
    plant(plan, "kill", 1)
    plant(plan, "raise", 3)
    outcomes = made(engine, plan, count())
    made(ENGINES.get("local")(maker=MAKER, workers=1), whole, count())
    assert not any(outcome.problem for outcome in outcomes.values())
    assert files(plan) == files(whole)
    assert [part for part, _ in asked(plan)].count(1) == 2
    assert [part for part, _ in asked(plan)].count(3) == 2


def test_a_part_at_which_workers_die_is_given_up_and_told(alone: Engine, tmp_path: Path) -> None:
    if not replaces(alone):
        pytest.skip("it makes parts in this very process")
    plan = plan_of(tmp_path)
    plant(plan, "kill", 0, times=2)
    problem = made(alone, plan, [0])[0].problem
    assert problem.startswith("Part 0 (rows 1 to 4) was not made, because 2 workers died at it and the last ")
    assert "\n" not in problem
    # The fault is gone; whoever goes on makes it.
    assert made(alone, plan, [0])[0].rows == 4


def exported(checkpoint: Path, out: Path) -> Plan:
    return make_plan("shapes", str(checkpoint), out, split="validation", n=22, part_rows=4, max_tokens=6, device="cpu")


@pytest.fixture(scope="module")
def reference(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of a small export, uninterrupted."""
    out = tmp_path_factory.mktemp("single") / "thoughts.jsonl"
    assert run_export(exported(tiny_checkpoint, out), ENGINES.get("single")(), out).status == "complete"
    return written(out)


def written(out: Path) -> dict[str, bytes]:
    """All that an export wrote but its manifest, which tells time and place."""
    return {
        str(path.relative_to(out.parent)): path.read_bytes()
        for path in out.parent.rglob("*")
        if path.is_file() and "manifest" not in path.name
    }


def test_what_another_engine_began_it_finishes_byte_for_byte_though_a_worker_is_killed(
    engine: Engine, tiny_checkpoint: Path, tmp_path: Path, reference: dict[str, bytes]
) -> None:
    out = tmp_path / "thoughts.jsonl"
    plan = exported(tiny_checkpoint, out)
    done: list[Any] = []
    begun = run_export(plan, ENGINES.get("single")(), out, progress=done.append, cancelled=lambda: len(done) > 2)
    assert begun.status == "cancelled"
    assert 0 < begun.rows < 22
    if replaces(engine):
        (plan.folder / KILL).touch()
    finished = run_export(plan, replace(engine, maker=MORTAL_MAKER), out, resume=True)
    assert not (plan.folder / KILL).exists()
    assert (finished.status, finished.rows) == ("complete", 22)
    assert finished.made == 22 - begun.rows
    assert written(out) == reference
