"""The pool of processes: what dies is replaced, what dies twice is told, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from making import MAKER, alive, asked, file_of, files, made, plan_of, plant, processes

from workbench.errors import BadInput
from workbench.export import surroundings
from workbench.export.engines import local
from workbench.export.engines.local import LocalEngine
from workbench.export.plan import Plan


def engine(workers: int = 2) -> LocalEngine:
    return LocalEngine(workers=workers, maker=MAKER)


def until(what: object) -> None:
    assert callable(what)
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "waited a minute in vain"
        time.sleep(0.02)


def test_two_workers_share_the_parts_and_each_loads_once(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    plant(plan, "wait", 0)
    run = engine().run(plan, count(), stopped=lambda: False)
    # Part 0 waits, so the other worker makes the rest.
    first = [next(run).part for _ in range(4)]
    assert first == [1, 2, 3, 4]
    (tmp_path / "go").touch()
    rest = {outcome.part: outcome.rows for outcome in run}
    assert rest[0] == 4
    assert set(rest.values()) == {4, 0}
    assert len(files(plan)) == 5
    assert len(processes(plan)) == 2
    assert {process for _, process in asked(plan)} == set(processes(plan))
    assert not any(map(alive, processes(plan)))


def test_threads_are_set_before_anything_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    plan = plan_of(tmp_path, n=4, threads=3)
    made(engine(1), plan, [0])
    assert file_of(plan, 0).read_text() == "part 0, 4 rows, threads 3\n"


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("kill", "was killed by SIGKILL, as happens when memory runs out"),
        ("segv", "was killed by SIGSEGV"),
        ("raise", "failed with 'ArithmeticError: a bug of ours'"),
    ],
)
def test_after_a_second_death_the_outcome_says_so(tmp_path: Path, fault: str, how: str) -> None:
    plan = plan_of(tmp_path)
    plant(plan, fault, 0, times=2)
    [outcome] = made(engine(1), plan, range(5)).values()
    assert (outcome.part, outcome.rows) == (0, 0)
    assert outcome.problem.startswith("Part 0 (rows 1 to 4) was not made, because 2 workers died at it")
    assert f"the last {how};" in outcome.problem
    assert outcome.problem.count("\n") == 0
    assert files(plan) == {}
    # The fault is gone now; who goes on makes what is lacking.
    assert set(made(engine(1), plan, range(5))) == set(range(5))


def test_what_is_the_inputs_fault_is_told_and_kills_nobody(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    plant(plan, "refuse", 1)
    outcomes = made(engine(1), plan, range(5))
    assert [outcome.problem for outcome in outcomes.values()] == ["", "The checkpoint cannot be used."]
    assert len(processes(plan)) == 1


def test_a_worker_that_dies_idle_is_nobodys_fault(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)

    def parts() -> Iterator[int]:
        yield 0
        [process] = processes(plan)
        os.kill(process, signal.SIGKILL)
        until(lambda: not alive(process))
        yield 1

    outcomes = made(engine(1), plan, parts())
    assert [outcome.problem for outcome in outcomes.values()] == ["", ""]
    assert len(processes(plan)) == 2


def test_nobody_is_left_when_no_more_is_asked(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    plant(plan, "wait", 1)
    run = engine().run(plan, count(), stopped=lambda: False)
    assert next(run).part == 0
    until(lambda: len(processes(plan)) == 2)
    run.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert not any(map(alive, processes(plan)))
    assert not file_of(plan, 1).exists()


def test_nobody_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    plant(plan, "wait", 0)
    plant(plan, "wait", 1)
    code = (
        "from pathlib import Path; from making import *; from workbench.export.engines.local import LocalEngine\n"
        f"made(LocalEngine(workers=2, maker=MAKER), plan_of(Path({str(tmp_path)!r})), range(5))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        until(lambda: len(processes(plan)) == 2)
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not any(map(alive, processes(plan))))
    assert files(plan) == {}


def test_what_libraries_print_is_no_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(tmp_path)
    noisy = LocalEngine(workers=1, maker="test_local_engine:Noisy")
    assert made(noisy, plan, [0])[0].done == 7
    told = capfd.readouterr()
    assert told.out == ""
    assert '{"outcome": "of a library"}' in told.err


class Noisy:
    def __init__(self, plan: Plan) -> None:
        os.write(1, b'{"outcome": "of a library"}\n')

    def __call__(self, part: int) -> object:
        from workbench.export.engine import Outcome

        return Outcome(part=part, rows=7, done=7)


@pytest.mark.parametrize(
    ("gpus", "device", "threads", "workers", "expected"),
    [
        ([], None, 1, None, (6, {})),
        ([], None, 4, None, (1, {})),
        ([], None, 16, None, (1, {})),
        (["0", "3"], None, 1, None, (2, {"CUDA_VISIBLE_DEVICES": "3"})),
        (["0", "3"], "cuda", 1, 4, (4, {"CUDA_VISIBLE_DEVICES": "3"})),
        (["0", "3"], "cuda:0", 6, None, (1, {})),
        (["0", "3"], "cpu", 2, None, (3, {})),
    ],
)
def test_a_worker_for_each_gpu_or_cores_in_equal_shares(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: list[str],
    device: str | None,
    threads: int,
    workers: int | None,
    expected: tuple[int, dict[str, str]],
) -> None:
    seen: list[tuple[int, list[dict[str, str]]]] = []

    def pool(maker: str, plan: Plan, *, size: int, seats: list[dict[str, str]]) -> object:
        seen.append((size, seats))
        return None

    monkeypatch.setattr(local, "Pool", pool)
    monkeypatch.setattr(local, "make_parts", lambda *given, **named: iter(()))
    monkeypatch.setattr(local, "gpus", lambda: gpus)
    monkeypatch.setattr(local, "cores", lambda: 6)
    monkeypatch.delenv("THINKSCOPE_DEVICE", raising=False)
    plan = Plan(data="", checkpoint=tmp_path, checkpoint_sha256="", folder=tmp_path, device=device, threads=threads)
    LocalEngine(workers=workers).run(plan, [], stopped=lambda: False)
    [(size, seats)] = seen
    assert (size, seats[1] if len(seats) > 1 else {}) == expected


def test_gpus_that_are_hidden_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert surroundings.gpus() == ["4", "6"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert surroundings.gpus() == ["0", "1"]


def test_no_workers_make_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--workers 1"):
        LocalEngine(workers=0).run(plan_of(tmp_path), [0], stopped=lambda: False)
