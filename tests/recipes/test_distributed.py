"""Two processes, each with half of every batch, learn what one process with the whole batch learns.

The processes are torch's launcher's, as in the README; `accelerate launch` starts the same ones on GPUs.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_training import SMALL

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.recipes.batches import RowOrder
from workbench.recipes.rows import row_length

STEPS = 6


def logged(name: str, data: Path, out: Path, *more: str, processes: int, batch: int) -> list[dict[str, Any]]:
    """Train through the command line and return what the log says of each step."""
    config = out.with_suffix(".toml")
    config.write_text("", encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    settings = [*SMALL, f"optimiser.batch={batch}", f"optimiser.steps={STEPS}", "data.validation="]
    # Every process means its own queries, all of one weight; texts differ in length, so that part would not be the same.
    settings += ["loss.truncation=0", "loss.text=0", "loss.readout=0", *more]
    command = ["-m", "workbench.cli", "train", name, "--config", str(config), "--data", str(data), "--out", str(out)]
    for setting in settings:
        command += ["--set", setting]
    # Nothing but the launcher says that there are several.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    environment = {**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, *command], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count(f"step {STEPS}/{STEPS}") == 1  # one of them speaks for all
    assert (out / "checkpoint" / "thinkscope.json").is_file()
    return [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_two_processes_learn_as_one(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", ShapesConfig(), "train", 48)
    one = logged("tte-flash", data, tmp_path / "one", processes=1, batch=8)
    # Gradients saved or computed again, the processes must agree on which weights have one.
    again = "model.gradient_checkpointing=true"
    two = logged("tte-flash", data, tmp_path / "two", again, processes=2, batch=4)
    assert len(one) == len(two) == STEPS
    assert [line["contrastive"] for line in two] == pytest.approx([line["contrastive"] for line in one], rel=1e-3)


def test_a_process_without_words_reports_none_and_the_other_does(tmp_path: Path) -> None:
    """One query a process, half of the targets images that nothing is said of, which the recipe lame may meet."""
    shapes = write_shapes(tmp_path / "shapes", ShapesConfig(), "train", 40)
    read = [json.loads(line) for line in shapes.read_text(encoding="utf-8").splitlines()]
    pictured = [{**row, "target_id": None} for row in read if row["target"]["images"]][:6]
    # Texts of one length, so that the mean of two processes is that of one.
    written = [{**row, "target": {"text": "ring"}, "target_id": f"ring {at}"} for at, row in enumerate(read[:6])]
    rows = [*pictured, *written]
    data = shapes.with_name("half.jsonl")
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    lengths = [row_length(row) for row in rows]
    asked = [
        [
            index >= len(pictured)
            for [(_, index)] in RowOrder(lengths, batch=1, seed=0, start=0, stop=STEPS, rank=r, world=2)
        ]
        for r in (0, 1)
    ]
    assert {(True, False), (False, True)} <= set(zip(*asked, strict=True)), "each is the one without words at some step"
    one = logged("lame", data, tmp_path / "one", "lame.warmup=0", processes=1, batch=2)
    two = logged("lame", data, tmp_path / "two", "lame.warmup=0", processes=2, batch=1)
    assert ["text" in line for line in two] == ["text" in line for line in one]
    for name in ("contrastive", "text", "token_accuracy", "thought_exact"):
        values = [[line.get(name, 0.0) for line in log] for log in (one, two)]
        assert values[1] == pytest.approx(values[0], rel=1e-3, abs=1e-6), name
