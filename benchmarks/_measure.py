"""What the benchmark scripts share: interleaved timing, peak memory, random checkpoints, output."""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_ALONE = (
    "import importlib, sys\n"
    "from _measure import peak_mib\n"
    "module, name, *words = sys.argv[1:]\n"
    "code = getattr(importlib.import_module(module), name)(words)\n"
    "sys.stderr.write(f'\\n{peak_mib()}')\n"
    "sys.exit(code)\n"
)


def interleaved(tasks: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1) -> dict[str, float]:
    """Median seconds of each task, the tasks taking turns so that drift hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(warm_up + rounds):
        for name, task in tasks.items():
            begun = time.perf_counter()
            task()
            if turn >= warm_up:
                times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_mib() -> float:
    """Highest resident memory of this process so far, MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux a new program begins with the peak of the process that started it.
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a process of its own took and told."""

    seconds: float
    """The start of Python included."""
    peak_mib: float
    """Its highest resident memory, MiB."""
    printed: str


def run_alone(module: str, function: str, words: Sequence[str], *, threads: int) -> Ran:
    """Call a function of an importable module with a list of words, in a process of its own with that many threads.

    The function returns an exit code or None. A call that fails ends the benchmark with what the process said.
    """
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, module, function, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(done.stderr)
    return Ran(seconds=seconds, peak_mib=float(done.stderr.strip().splitlines()[-1]), printed=done.stdout)


def run_command(words: Sequence[str], *, threads: int) -> Ran:
    """The same with a command of `thinkscope`."""
    return run_alone("workbench.cli", "main", words, threads=threads)


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the flags that every benchmark takes."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--rounds", type=int, default=5, help="timed turns of each task (default: 5)")
    made.add_argument("--threads", type=int, default=2, help="torch threads (default: 2)")
    return made


def emit(result: dict[str, Any], as_json: bool) -> None:
    """Print the result with the machine it was measured on."""
    result["machine"] = {"cpu": platform.processor() or platform.machine(), "torch": torch.__version__}
    result["machine"]["threads"] = torch.get_num_threads()
    if as_json:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
        return
    for key, value in result.items():
        sys.stdout.write(f"{key}: {json.dumps(value)}\n")
