"""Two processes, each with half of every batch, learn what one process with the whole batch learns.

The processes are torch's launcher's, as in the README; `accelerate launch` starts the same ones on GPUs.
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


def losses(data: Path, out: Path, *more: str, processes: int, batch: int) -> list[float]:
    """Train through the command line and return the contrastive loss of each step."""
    config = out.with_suffix(".toml")
    config.write_text("", encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    settings = [*SMALL, f"optimiser.batch={batch}", f"optimiser.steps={STEPS}", "data.validation="]
    # Every process means its own queries, all of one weight; texts differ in length, so that part would not be the same.
    settings += ["loss.truncation=0", "loss.text=0", "loss.readout=0", *more]
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
    # Nothing but the launcher says that there are several.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    environment = {**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, *command], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count(f"step {STEPS}/{STEPS}") == 1  # one of them speaks for all
    lines = (out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert (out / "checkpoint" / "thinkscope.json").is_file()
    return [json.loads(line)["contrastive"] for line in lines]


def test_two_processes_learn_as_one(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", ShapesConfig(), "train", 48)
    one = losses(data, tmp_path / "one", processes=1, batch=8)
    # Gradients saved or computed again, the processes must agree on which weights have one.
    two = losses(data, tmp_path / "two", "model.gradient_checkpointing=true", processes=2, batch=4)
    assert len(one) == len(two) == STEPS
    assert two == pytest.approx(one, rel=1e-3)
