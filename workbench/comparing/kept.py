"""Where readings lie: a folder for each, named by what it holds, so that the same reading is never made twice."""

import os
import re
import shutil
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import final

from workbench.errors import BadInput

MAX_BYTES = 8 * 2**30
_IN_USE = 3600.0
"""Seconds since its last use for which a folder is taken to be in use, perhaps by another process."""
_OURS = re.compile(r"([a-z]+-)?[0-9a-f]{32}")
"""Keys: a kind or none, and half of a SHA-256. Folders of other names are somebody else's."""


@final
class Kept:
    """Folders by key; those used longest ago go first. What else lies in the root is neither counted nor touched.

    Args:
        root: made when needed, readable for its owner alone.
        max_bytes: what they may hold together.
    """

    def __init__(self, root: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self.root = root or default_root()
        self._max_bytes = max_bytes

    def open(self, key: str) -> Path:
        """The folder of a key, marked as used now. Raises BadInput when it cannot be made."""
        folder = self.root / key
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.utime(folder)
        except OSError as error:
            raise BadInput(
                f"Readings cannot be kept in '{self.root}' ({error.strerror or error}); name another folder with --keep."
            ) from error
        return folder

    def tidy(self, spare: Collection[str] = ()) -> None:
        """Delete what is beyond the limit, but nothing that is spared or was used within the hour."""
        there = self.root.iterdir() if self.root.is_dir() else ()
        held = [folder for folder in there if _OURS.fullmatch(folder.name) and folder.is_dir()]
        held.sort(key=_used)
        total = sum(map(_weigh, held))
        for folder in held:
            if total <= self._max_bytes:
                return
            if folder.name in spare or time.time() - _used(folder) < _IN_USE:
                continue
            total -= _weigh(folder)
            shutil.rmtree(folder, ignore_errors=True)


def default_root() -> Path:
    """The user's cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "thinkscope" / "compare"


def mark_used(folders: Iterable[Path]) -> None:
    """Say that folders are in use, so that nobody tidies them away within the hour; one that has gone is passed over."""
    for folder in folders:
        with suppress(OSError):
            os.utime(folder)


def _used(folder: Path) -> float:
    with suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


def _weigh(folder: Path) -> int:
    total = 0
    # Another process may be tidying the same folder away.
    with suppress(OSError):
        for file in folder.iterdir():
            with suppress(OSError):
                total += file.stat().st_size
    return total
