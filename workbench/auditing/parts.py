"""What the parts of an audit hold, put together: one row for each sample. Only numbers; no thoughts and no images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from workbench.auditing.measuring import part_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Per sample; NaN, and rank 0, where there is nothing."""

    rank: Int[np.ndarray, "rows edits"]
    """Of the right candidate, 1 is the best."""
    cosine: Float[np.ndarray, "rows edits"]
    """Of the embedding with the unedited one."""
    margin: Float[np.ndarray, "rows edits"]
    toward: Float[np.ndarray, "rows edits"]
    own: Float[np.ndarray, "rows scored"]
    """Mean log-probability (nats per token) of the sample's own text."""
    other: Float[np.ndarray, "rows scored"]
    """Of the text of the random other sample."""
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


def gather(folder: Path, n_rows: int, size: int) -> Measured:
    """Read all parts."""
    from safetensors.numpy import load_file

    parts: list[Mapping[str, np.ndarray]] = [
        load_file(part_path(folder, number)) for number in range(-(-n_rows // size))
    ]
    held = {name: [part[name] for part in parts] for name in parts[0]}
    held["squares"] = [one for one in held["squares"] if one.size] or held["squares"][:1]
    return Measured(**{name: np.concatenate(some) for name, some in held.items()})
