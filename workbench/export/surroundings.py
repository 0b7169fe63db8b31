"""What workers of an export are born with: a GPU each where there are several, else CPU cores; threads; import path."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from workbench.export.plan import Plan

VISIBLE = "CUDA_VISIBLE_DEVICES"
_KEEP_MEMORY = {
    # Read by the C library of Linux when a process starts; others pass them over.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # the most it takes
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_ARENA_MAX": "1",
}
_M_ARENA_MAX = -8
"""What C library's `mallopt` calls it."""


def wants_any_gpu(plan: Plan) -> bool:
    """Whether the plan leaves it open which GPU a worker takes: neither the CPU nor a certain GPU is named."""
    device = plan.device or os.environ.get("THINKSCOPE_DEVICE") or "cuda"
    return device == "cuda"


def gpus() -> list[str]:
    """GPUs of this machine that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    return (named or [str(index) for index in range(count)])[:count]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_settings(plan: Plan) -> Mapping[str, str]:
    """Environment in which every numerical library takes the plan's number of threads, and memory once used is used again.

    To give it back and ask for it anew in every batch is a tenth of a small model's time. What this process was told about
    memory, its workers are told too.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(plan.threads))
    return threads | {name: value for name, value in _KEEP_MEMORY.items() if name not in os.environ}


def share_memory() -> None:
    """In this process: from now on all threads ask for memory in one place, so that what one gives back another takes.

    Threads that prepare images for another one, each with memory of its own, grow the process by some MiB with every
    thousand samples. Where the C library does not know this, nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def import_path() -> str:
    """PYTHONPATH under which another process imports what this one can import, wherever it was told to look."""
    return os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
