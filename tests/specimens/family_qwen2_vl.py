"""A small random Qwen2-VL."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkpoints import write_tiny


def write(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write a checkpoint of Thinkscope's own format whose tokenizer knows the rows' words."""
    return write_tiny(folder, rows)
