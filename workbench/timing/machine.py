"""The name of the processor, so that figures of two machines are not taken for one."""

import platform
from pathlib import Path

_TOLD = Path("/proc/cpuinfo")


def processor_name(told: Path = _TOLD) -> str:
    """The model of the processor where the system tells it (`told`: Linux' list of processors), else its kind."""
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    names = [
        value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == "model name"
    ]
    return next(filter(None, names), "") or platform.processor() or platform.machine() or "cpu"
