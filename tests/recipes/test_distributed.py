"""Two processes, each with half of every batch, learn what one process with the whole batch learns.

On CPUs accelerate takes its processes from torch's launcher; `accelerate launch` starts the same processes on GPUs.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_training import SMALL

from workbench.data.shapes import ShapesConfig, write_shapes

STEPS = 6


def losses(data: Path, out: Path, *, processes: int, batch: int) -> list[float]:
    """Train through the command line and return the contrastive loss of each step."""
    config = out.with_suffix(".toml")
    config.write_text("", encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    settings = [*SMALL, f"optimiser.batch={batch}", f"optimiser.steps={STEPS}", "data.validation="]
    # Every process means its own queries, all of one weight; texts differ in length, so that part would not be the same.
    settings += ["loss.truncation=0", "loss.text=0", "loss.readout=0"]
    command = [
        "-m",
        "workbench.cli",
        "train",
        "tte-flash",
        "--config",
        str(config),
        "--data",
        str(data),
        "--out",
        str(out),
    ]
    for setting in settings:
        command += ["--set", setting]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    environment["ACCELERATE_USE_CPU"] = "true"
    done = subprocess.run(
        [*launcher, *command], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert (out / "checkpoint" / "thinkscope.json").is_file()
    return [json.loads(line)["contrastive"] for line in lines]


def test_two_processes_learn_as_one(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", ShapesConfig(), "train", 48)
    one = losses(data, tmp_path / "one", processes=1, batch=8)
    two = losses(data, tmp_path / "two", processes=2, batch=4)
    assert len(one) == len(two) == STEPS
    assert two == pytest.approx(one, rel=1e-3)
