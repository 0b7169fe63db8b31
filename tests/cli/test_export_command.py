"""`thinkscope export` from outside: exit codes, sentences, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quick import ORIGIN, QuickModel, quicken, records, tree, write_rows

from workbench.cli import main
from workbench.export import part
from workbench.export.engines.single import SingleEngine
from workbench.export.making import Maker
from workbench.models.reading import checkpoint_hash

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rows(tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten rows; their records are made at once."""
    quicken(monkeypatch)
    model = QuickModel(replace(ORIGIN, checkpoint_sha256=checkpoint_hash(tiny_checkpoint)))
    monkeypatch.setattr(part, "load_checkpoint", lambda *_, **__: model)
    return write_rows(tmp_path / "rows.jsonl", 10)


def words(data: Path | str, checkpoint: Path, out: Path, *more: str) -> list[str]:
    fixed = ["--engine", "single", "--device", "cpu", "--part-rows", "4"]
    return ["export", str(data), "--checkpoint", str(checkpoint), "--out", str(out), *fixed, *more]


def test_all_rows(rows: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "thoughts.jsonl"
    assert main(words(rows, tiny_checkpoint, out)) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"10 rows, 0 of them failed, in {out} (")
    assert told.err.splitlines()[0] == "0 done, 0 failed of an unknown number; 0.0 rows/s, time left unknown"
    assert main(words(rows, tiny_checkpoint, out)) == 2
    assert "go on with --resume" in capsys.readouterr().err
    assert main(words(rows, tiny_checkpoint, out, "--resume", "--json")) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["status"], summary["out"], summary["rows"], summary["made"]) == ("complete", str(out), 10, 0)


def test_what_an_engine_prints_is_no_result(
    rows: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = SingleEngine.run

    def chatty(self: SingleEngine, *arguments: Any, **options: Any) -> Any:
        sys.stdout.write("a line of Python\n")
        os.write(1, b"a line of a library\n")
        return run(self, *arguments, **options)

    monkeypatch.setattr(SingleEngine, "run", chatty)
    assert main(words(rows, tiny_checkpoint, tmp_path / "thoughts.jsonl", "--json")) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["rows"] == 10
    assert {"a line of Python", "a line of a library"} <= set(told.err.splitlines())


def test_some_rows_failed(
    rows: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(rows, 10, row_2="{broken", row_5="[]")
    out = tmp_path / "thoughts.jsonl"
    assert main(words(rows, tiny_checkpoint, out)) == 3
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("thinkscope: 2 rows have no thought, and their records say why: Row 2 of 'rows.jsonl'")
    assert "; Row 5 of 'rows.jsonl' is a JSON list" in told
    assert main(words(rows, tiny_checkpoint, tmp_path / "stopped", "--on-error", "stop")) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("thinkscope: Row 2 of 'rows.jsonl' is not JSON")


def test_shards(rows: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "thoughts.jsonl"
    assert main(words(rows, tiny_checkpoint, out, "--shard", "1/2")) == 0
    told = capsys.readouterr()
    assert told.out == "4 rows in complete parts so far, 0 of them failed\n"
    assert "parts of other shards are missing" in told.err
    assert main(words(rows, tiny_checkpoint, out, "--shard", "0/2")) == 0
    assert len(records(out)) == 10


def test_no_rows(rows: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(write_rows(rows, 0), tiny_checkpoint, tmp_path / "thoughts.jsonl")) == 0
    assert capsys.readouterr().err.endswith("thinkscope: the data set has no rows.\n")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--n", "0"], "n is 0, but must be 1 or more"),
        (["--part-rows", "0"], "part-rows is 0"),
        (["--with", "latents,lense"], "Did you mean 'lens'"),
        (["--context", "latents"], "Did you mean 'latents_only'"),
        (["--engine", "locals"], "Did you mean 'local'"),
        (["--shard", "2/2"], "There is no shard 2/2"),
        (["--shard", "half"], "A shard is written i/n"),
        (["--workers", "3"], "has one worker, not 3"),
        (["--dtype", "float8"], "The dtype 'float8' is unknown"),
        (["--checkpoint", "tte-flsh"], "Did you mean"),
        (["--on-error", "ignore"], "invalid choice: 'ignore'"),
        (["--out", "thoughts.parquet"], "must be a .jsonl file or a folder"),
    ],
)
def test_wrong_usage_is_one_sentence(
    rows: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    sentence: str,
) -> None:
    assert main(words(rows, tiny_checkpoint, tmp_path / "thoughts", *more)) == 2
    [told] = capsys.readouterr().err.splitlines()
    assert sentence in told


def test_data_without_end_needs_a_number(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("shapes", tiny_checkpoint, tmp_path / "thoughts")) == 2
    assert "'shapes' never ends; say how many rows with --n." in capsys.readouterr().err


@pytest.mark.parametrize(("presses", "kept"), [(1, 8), (2, 4)])
def test_ctrl_c_finishes_or_drops_the_part(
    rows: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    presses: int,
    kept: int,
) -> None:
    out = tmp_path / "thoughts"
    make = Maker.make

    def interrupted(self: Any, rows: Any, *, arrays_file: str) -> Any:
        if rows[0].number == 5:
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)
        return make(self, rows, arrays_file=arrays_file)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Maker, "make", interrupted)
        assert main(words(rows, tiny_checkpoint, out)) == 130
    assert signal.getsignal(signal.SIGINT) is before
    told = capsys.readouterr().err
    assert "the same command with --resume goes on from there" in told
    assert sum(len(records(path)) for path in out.glob("*.jsonl")) == kept
    assert not list(out.glob(".*"))
    assert main(words(rows, tiny_checkpoint, out, "--resume")) == 0
    assert main(words(rows, tiny_checkpoint, tmp_path / "whole")) == 0
    assert tree(out) == tree(tmp_path / "whole")


@pytest.mark.slow
def test_ctrl_c_of_the_whole_process_group(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """As a terminal sends it: to the command and to its workers."""
    out = tmp_path / "thoughts"
    command = words("shapes", tiny_checkpoint, out, "--n", "100000", "--max-tokens", "2", "--engine", "local")
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", *command, "--workers", "1"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 300
        while not (out / "part-00000.json").exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert "finishing the parts that are being made" in told
    assert "Traceback" not in told
    assert not list(out.glob(".*"))
    assert json.loads((out / "manifest.json").read_text())["status"] == "partial"
