"""What one checkpoint made of a question, on the disk: small things as JSON, arrays as safetensors, read when asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float

from workbench.embedder import EmbedderInfo
from workbench.errors import BadInput
from workbench.store import loads
from workbench.types import DecodedThought, PatchGrid

VERSION = 2
"""Raised when a reading would come out otherwise, so that older ones are not taken for it."""
ABOUT = "about.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWords:
    """What a think token reads as at the last layer, likeliest first."""

    words: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRow:
    """What the checkpoint made of one row, without arrays."""

    error: str = ""
    passing: bool = False
    """Whether the error may pass, since it is of a file: then the row is read anew when the reading is opened again."""
    thought: DecodedThought | None = None
    grids: tuple[PatchGrid, ...] = ()
    think: tuple[ReadWords, ...] = ()
    """Empty where the model reads no words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some rows or documents, in order."""

    rows: tuple[ReadRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Whose reading it is, of what."""

    name: str
    title: str
    knows: str
    info: EmbedderInfo
    question: str
    """`Question.key`"""
    data_revision: str
    n_rows: int
    n_documents: int
    size: int
    """Rows of a part."""
    n_passing: int = 0
    """Rows and candidates whose error may pass."""
    anew: Mapping[str, str] = field(default_factory=dict)
    """By the name of a part that was read anew: the name of the part that took its place. What lies there is never written
    over, so that whoever opened the reading before reads on in what belongs together."""


@final
class Reading:
    """A complete reading in a folder. Arrays are loaded anew each time, so that holding readings costs little.

    It stays as it was when it was opened, though rows that it lacks may be read anew meanwhile.
    Whatever reads from the folder raises BadInput when somebody has cleared it meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = loads(About, _text(folder / ABOUT))

    @property
    def is_whole(self) -> bool:
        """Whether all its files are there, which somebody may have deleted, and nothing in it is to be read anew."""
        if self.about.n_passing:
            return False
        counts = {"rows": self.about.n_rows, "documents": self.about.n_documents}
        return all(
            self._path(kind, number, ending).is_file()
            for kind, n in counts.items()
            for number in range(-(-n // self.about.size))
            for ending in ("json", "safetensors")
        )

    @property
    def info(self) -> EmbedderInfo:
        return self.about.info

    @cached_property
    def rows(self) -> tuple[ReadRow, ...]:
        """One for each row of the question."""
        return tuple(row for _, part in self._parts("rows") for row in part.rows)

    @cached_property
    def refused_documents(self) -> dict[int, str]:
        """Candidates that it could not embed, with the reason."""
        rows = [row for _, part in self._parts("documents") for row in part.rows]
        return {place: row.error for place, row in enumerate(rows) if row.error}

    def embeddings(self) -> Float[np.ndarray, "rows dim"]:
        """NaN for a row that it could not read."""
        return self._stack("rows")

    def documents(self) -> Float[np.ndarray, "documents dim"]:
        """NaN for a document that it could not embed."""
        return self._stack("documents")

    def states(self, layer: int) -> Float[np.ndarray, "rows think width"]:
        """States of the think tokens after a layer, from 0; NaN for a row that it could not read."""
        info = self.info
        found = np.full((self.about.n_rows, info.n_think, info.width), np.nan, dtype=np.float32)
        for at, states in self.states_by_part(layer):
            found[at] = states
        return found

    def latents(self, row: int) -> Float[np.ndarray, "layers think width"]:
        """States of one row's think tokens after each layer. The row must be one that it could read."""
        number, place = divmod(row, self.about.size)
        at = sum(not one.error for one in self.rows[row - place : row])
        with _reader(self._path("rows", number, "safetensors")) as file:
            return file.get_slice("latents")[at]

    def states_by_part(self, layer: int) -> Iterator[tuple[list[int], Float[np.ndarray, "rows think width"]]]:
        """As `states`, some rows at a time and only those that it could read, with their numbers."""
        for begin, part, file in self._open("rows"):
            at = [begin + place for place, row in enumerate(part.rows) if not row.error]
            if at:
                yield at, file.get_slice("latents")[:, layer]

    def attention(self, row: int) -> Float[np.ndarray, "rows cells"]:
        """Share of attention of the think rows and the embed row on each cell of the images, mean over layers and heads."""
        part, place = divmod(row, self.about.size)
        with _reader(self._path("rows", part, "safetensors")) as file:
            return file.get_tensor(f"attention.{place}")

    def _stack(self, kind: str) -> np.ndarray:
        n = self.about.n_rows if kind == "rows" else self.about.n_documents
        found = np.full((n, self.info.dim), np.nan, dtype=np.float32)
        for begin, part, file in self._open(kind):
            at = [begin + place for place, row in enumerate(part.rows) if not row.error]
            if at:
                found[at] = file.get_tensor("embedding")
        return found

    def _open(self, kind: str) -> Iterator[tuple[int, Part, Any]]:
        for number, part in self._parts(kind):
            with _reader(self._path(kind, number, "safetensors")) as file:
                yield number * self.about.size, part, file

    def _parts(self, kind: str) -> Iterator[tuple[int, Part]]:
        n = self.about.n_rows if kind == "rows" else self.about.n_documents
        for number in range(-(-n // self.about.size)):
            yield number, loads(Part, _text(self._path(kind, number, "json")))

    def _path(self, kind: str, number: int, ending: str) -> Path:
        name = part_name(kind, number)
        return self.folder / f"{self.about.anew.get(name, name)}.{ending}"


def part_name(kind: str, number: int) -> str:
    """Name of a part's files, without ending. The JSON is written last and says that the part is complete."""
    return f"{kind}-{number:05d}"


def _reader(path: Path) -> Any:
    from safetensors import safe_open

    try:
        return safe_open(path, framework="numpy")
    except FileNotFoundError as error:
        raise _gone(path) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise _gone(path) from error


def _gone(path: Path) -> BadInput:
    return BadInput(
        f"What a checkpoint read was cleared from '{path.parent.parent}' meanwhile; ask for the same again, and it is read anew."
    )
