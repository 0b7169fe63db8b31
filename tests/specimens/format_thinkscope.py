"""A folder of Thinkscope's own format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkpoints import write_tiny


def write(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write a checkpoint of this format."""
    return write_tiny(folder, rows)
