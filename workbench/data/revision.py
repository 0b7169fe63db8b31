"""Which data this is: the commit it was downloaded at, or a hash of its files."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK = 2**20


def hash_files(files: Iterable[Path], *, root: Path) -> str:
    """Hash names (relative to `root`) and contents, in the order of the names."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(path.relative_to(root).as_posix().encode("utf-8", "surrogateescape") + b"\0")
        total.update(_hash(path).encode() + b"\0")
    return f"sha256:{total.hexdigest()}"


def found_commit(folder: Path) -> str:
    """The commit of a copy of a Hugging Face repository; empty when nothing in the folder says.

    Reads what `git clone` and what `hf download --local-dir` leave behind. Files that were changed since are not noticed.
    """
    for marker in sorted((folder / ".cache" / "huggingface" / "download").rglob("*.metadata"))[:1]:
        first = marker.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip()
        if _COMMIT.fullmatch(first):
            return first
    return _head(folder / ".git")


def _head(git: Path) -> str:
    head = git / "HEAD"
    if not head.is_file():
        return ""
    held = head.read_text(encoding="utf-8", errors="replace").strip()
    if _COMMIT.fullmatch(held):
        return held
    name = held.removeprefix("ref: ")
    loose, packed = git / name, git / "packed-refs"
    if loose.is_file():
        held = loose.read_text(encoding="utf-8", errors="replace").strip()
        return held if _COMMIT.fullmatch(held) else ""
    lines = packed.read_text(encoding="utf-8", errors="replace").splitlines() if packed.is_file() else []
    return next((line[:40] for line in lines if line.endswith(f" {name}") and _COMMIT.match(line)), "")


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
