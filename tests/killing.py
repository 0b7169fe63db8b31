"""Exports that are killed and resumed, in a process of their own: python tests/killing.py FOLDER [CHECKPOINT]

Torch is imported and the model loaded once; every run is a forked child, killed with SIGKILL. With a checkpoint the records
are the real ones and the moments random; without, records are made at once, and a run is killed before each of its steps in
the file system. Prints one JSON object.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401 - imported once for all children
import quick
import torch
from _pytest.monkeypatch import MonkeyPatch

from workbench.export import part
from workbench.export.engines.single import SingleEngine
from workbench.export.planning import make_plan
from workbench.export.run import run_export

RANDOM_KILLS = 50
_STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree", "os.truncate")


def in_child(work: Callable[[], object], *, kill_after: float | None = None) -> bool:
    """Do the work in a forked child; whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), f"the child failed with {code}"
    return code == 0


def kill_before(step: int, folder: Path) -> None:
    """Have this process killed before its nth step in a folder, counted from 0."""
    left = [step]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _STEPS or not str(arguments[0] or "").startswith(str(folder)):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    sys.addaudithook(hook)


def check_halves(folder: Path, whole: dict[str, bytes]) -> None:
    """No file that is there under its own name holds half of anything."""
    for name, content in quick.tree(folder).items():
        if (
            ".making-" in name
            or name.endswith(".done")
            or ".done/" in name
            or not name.endswith((".jsonl", ".safetensors"))
        ):
            continue
        if "part-" not in name:
            assert content == whole[name], f"{name} is not whole"
        assert not name.endswith(".jsonl") or content.endswith(b"\n"), f"{name} ends within a line"
        for line in content.decode().splitlines() if name.endswith(".jsonl") else ():
            json.loads(line)


def kill_at_every_step(folder: Path) -> dict[str, Any]:
    """Quick exports, killed before every step in the file system, into a file and into a folder."""
    quick.quicken(MonkeyPatch())
    data = quick.write_rows(folder / "rows.jsonl", 6, row_3="{broken")
    found = {}
    for name in ("thoughts.jsonl", "thoughts"):

        def run(out: Path, resume: bool = False) -> None:
            quick.export(data, out, run={"resume": resume}, extras=("latents",))

        whole = folder / "whole" / name
        whole.parent.mkdir(exist_ok=True)
        run(whole)
        expected = quick.tree(whole.parent)
        step, finished = 0, False
        while not finished:
            place = folder / f"{name}-{step}"
            place.mkdir()

            def killed(place: Path = place, step: int = step, name: str = name, run: Any = run) -> None:
                kill_before(step, place)
                run(place / name)

            finished = in_child(killed)
            check_halves(place, expected)
            run(place / name, resume=True)
            assert quick.tree(place) == expected, f"{name} differs after a kill before step {step}"
            step += 1
        found[name] = step - 1
        for path in sorted(whole.parent.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    return found


def kill_at_random(folder: Path, checkpoint: str) -> dict[str, Any]:
    """Real exports, killed at random moments of the time that an undisturbed one takes, and resumed."""
    model = part.load_checkpoint(checkpoint, device="cpu", dtype="float32")
    part.load_checkpoint = lambda *_, **__: model

    def run(out: Path, parquet: bool, resume: bool = False) -> None:
        settings = {"n": 8, "extras": ("latents", "lens"), "parquet": parquet, "device": "cpu", "dtype": "float32"}
        plan = make_plan("shapes", checkpoint, out, part_rows=3, max_tokens=3, batch=3, **settings)  # pyright: ignore[reportArgumentType]
        run_export(plan, SingleEngine(), out, resume=resume)

    # What is lazily made is made here, so that a child's time is the export's.
    expected, seconds = {}, {}
    for parquet in (False, True):
        out = folder / f"whole-{parquet}" / "thoughts.jsonl"
        out.parent.mkdir()
        start = time.monotonic()
        finish(out, parquet, run)
        seconds[parquet] = time.monotonic() - start
        expected[parquet] = quick.tree(out.parent)
    dice = random.Random(0)
    killed = runs = 0
    while killed < RANDOM_KILLS:
        assert runs < 10 * RANDOM_KILLS, f"only {killed} of {runs} runs lived long enough to be killed"
        parquet = runs % 5 == 0
        out = folder / str(runs) / "thoughts.jsonl"
        out.parent.mkdir()
        after = dice.uniform(0, seconds[parquet])
        killed += not in_child(lambda out=out, parquet=parquet: run(out, parquet), kill_after=after)
        check_halves(out.parent, expected[parquet])
        finish(out, parquet, run, resume=True)
        assert quick.tree(out.parent) == expected[parquet], f"differs after kill {runs}"
        runs += 1
    lines = expected[True]["thoughts.jsonl"].decode().splitlines()
    return {"runs": runs, "killed": killed, "records": len(lines)}


def finish(out: Path, parquet: bool, run: Callable[..., None], **settings: Any) -> None:
    """Run to the end; with Parquet in a child, since threads of pyarrow here would be missing in every later child."""
    if parquet:
        assert in_child(lambda: run(out, parquet, **settings))
    else:
        run(out, parquet, **settings)


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1]).absolute()
    report = kill_at_random(target, sys.argv[2]) if len(sys.argv) > 2 else kill_at_every_step(target)
    sys.stdout.write(json.dumps(report) + "\n")
