"""What every MMEB-v2 task makes of a row: a query, candidates by name, and which of them are right."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import BadInput

PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Frames of a video in a folder, of which `n` at equal distances are taken; None: all."""

    folder: Path
    n: int | None

    def paths(self) -> tuple[Path, ...]:
        """The frames in their order. Raises BadInput when there are none."""
        found = (
            [path for path in self.folder.glob("*") if path.suffix.lower() in PICTURES] if self.folder.is_dir() else []
        )
        if not found:
            raise BadInput(
                f"There are no frames in '{self.folder}'; unpack the video frames of TIGER-Lab/MMEB-V2 there."
            )
        frames = sorted(found, key=lambda path: natural(path.name))
        if self.n is None or self.n > len(frames):
            return tuple(frames)
        return tuple(frames[place] for place in np.linspace(0, len(frames) - 1, self.n, dtype=int))


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A query or a candidate before its pictures are opened."""

    name: str = ""
    """Of a candidate: equal names are the same candidate."""
    text: str = ""
    images: tuple[Path, ...] = ()
    frames: Frames | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A row of a task."""

    query: Side
    candidates: tuple[Side, ...]
    right: Mapping[str, float]
    """Grade of each right candidate."""
    id: str = ""
    answer: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts "frame_10" after "frame_9"."""
    return [(bool(digits), int(digits or 0), other.lower()) for digits, other in re.findall(r"(\d+)|(\D+)", name)]


def text(values: Mapping[str, Any], key: str) -> str:
    """A field of the published table that must be text or a number. Raises BadInput."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadInput(f"its '{key}' is {_kind(value)}; the published table has a text there.")
    return str(value)


def texts(values: Mapping[str, Any], key: str) -> list[str]:
    """A field that must be a list of texts, at least one. Raises BadInput."""
    value = values.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise BadInput(f"its '{key}' is {_kind(value)}; the published table has a list of texts there.")
    return value


def one_right(candidates: tuple[Side, ...], name: str) -> dict[str, float]:
    """The grades of a row with one right candidate. Raises BadInput when it is not among the candidates."""
    if all(candidate.name != name for candidate in candidates):
        raise BadInput(f"its right answer '{name[:100]}' is not among its {len(candidates)} candidates.")
    return {name: 1.0}


def _kind(value: Any) -> str:
    return "missing" if value is None else "empty" if value == [] else f"of the kind {type(value).__name__}"
