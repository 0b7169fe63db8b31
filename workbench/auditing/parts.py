"""What the parts of an audit hold: one row for each sample. Only numbers; no thoughts and no images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from workbench.comparing.scores import UNKNOWN

SIZE = 32
"""Rows of a part."""


def part_path(folder: Path, kind: str, number: int) -> Path:
    """The file of a part."""
    return folder / f"{kind}-{number:05d}.safetensors"


def is_complete(folder: Path, kind: str, n_rows: int) -> bool:
    """Whether all parts of so many rows are there."""
    return all(part_path(folder, kind, number).is_file() for number in range(-(-n_rows // SIZE)))


class Held:
    """Arrays of a part as they fill, as in `Measured`."""

    def __init__(self, n: int, *, edits: int, written: int, n_think: int) -> None:
        def blank(*shape: int) -> np.ndarray:
            return np.full(shape, np.nan, dtype=np.float32)

        def unknown(*shape: int) -> np.ndarray:
            return np.full(shape, UNKNOWN, dtype=np.int32)

        self.rank = unknown(n, edits)
        self.cosine, self.margin, self.toward = blank(n, edits), blank(n, edits), blank(n, edits)
        self.own, self.other, self.kept = blank(n, edits), blank(n, edits), blank(n, edits)
        self.words, self.fluency = blank(n, written), blank(n, written)
        self.agree = blank(n, n_think)
        self.bm25, self.alone, self.spoken_rank = unknown(n, 3), unknown(n, 2), unknown(n, 2)
        self.spoken_agrees = blank(n, 2)
        self.squares = np.zeros((0, 0, 4))

    def arrays(self) -> dict[str, np.ndarray]:
        """All of them, for a file."""
        return {name: np.ascontiguousarray(array) for name, array in vars(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Per sample; NaN, and rank 0, where there is nothing."""

    rank: Int[np.ndarray, "rows edits"]
    """Of the right candidate, 1 is the best."""
    cosine: Float[np.ndarray, "rows edits"]
    """Of the embedding with the unedited one."""
    margin: Float[np.ndarray, "rows edits"]
    toward: Float[np.ndarray, "rows edits"]
    own: Float[np.ndarray, "rows edits"]
    """Mean log-probability (nats per token) of the sample's own text."""
    other: Float[np.ndarray, "rows edits"]
    """Of the text of the random other sample, where the thoughts come from it, or unedited."""
    kept: Float[np.ndarray, "rows edits"]
    """1 where the text written under the edit is the own one, word for word, else 0. Told from teacher-forced readings, so not for
    a text that the tokenizer cuts otherwise than it was written."""
    words: Float[np.ndarray, "rows written"]
    fluency: Float[np.ndarray, "rows written"]
    agree: Float[np.ndarray, "rows think"]
    """Cosine of the embedding from k thoughts with that from k + 1."""
    bm25: Int[np.ndarray, "rows 3"]
    """Rank among the candidates that are texts, given query, thought, both."""
    alone: Int[np.ndarray, "rows 2"]
    """The same for the model given query or thought as text."""
    spoken_rank: Int[np.ndarray, "rows 2"]
    """Rank of the right candidate when the decoded text stands behind the query's words, own and another's, and no thought is
    seen."""
    spoken_agrees: Float[np.ndarray, "rows 2"]
    """Whether the first candidate is then the one of the unedited sample."""
    squares: Float[np.ndarray, "squares layers 4"]
    """As `crossing.sums_of_squares`."""


def gather(folder: Path, n_rows: int) -> Measured:
    """Read all parts of the audited rows."""
    held = read_parts(folder, "audit", n_rows)
    held["squares"] = [one for one in held["squares"] if one.size] or held["squares"][:1]
    return Measured(**{name: np.concatenate(some) for name, some in held.items()})


def read_parts(folder: Path, kind: str, n_rows: int) -> dict[str, list[np.ndarray]]:
    """The arrays of all parts by name."""
    from safetensors.numpy import load_file

    parts: list[Mapping[str, np.ndarray]] = [
        load_file(part_path(folder, kind, number)) for number in range(-(-n_rows // SIZE))
    ]
    return {name: [part[name] for part in parts] for name in parts[0]}
