"""Rows of another split, on which the adaptive policy's threshold is chosen: only what truncation does to them is measured."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from workbench.auditing.candidates import Candidates
from workbench.auditing.measuring import agreements
from workbench.auditing.parts import SIZE, part_path, read_parts
from workbench.comparing.question import Question, content, pose
from workbench.comparing.scores import UNKNOWN
from workbench.edits import Edit
from workbench.embedder import Editable, Embedder
from workbench.errors import BadInput, Cancelled, UnknownName, Unsupported
from workbench.models.runs import cut
from workbench.stages import Progress
from workbench.store import write_bytes_atomic
from workbench.types import Encoded, Sample

KIND = "fit"
ROWS = 200
"""Rows of the other split that are read."""
LEAST = 20
"""Ranked rows below which nothing is fitted."""
_POSITIONS = 1_024
"""Positions of rows whose edits are held together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What truncation does to the rows that a threshold is chosen on, those alone whose right candidate is ranked."""

    split: str
    hits: Float[np.ndarray, "rows steps"]
    """Whether the right candidate ranks first with the first 0 ... K thoughts."""
    agree: Float[np.ndarray, "rows think"]
    """Cosine of the embedding from k thoughts with that from k + 1."""
    unranked: int = 0
    """Rows that were left out: the model could not read the query or its right candidate."""

    @property
    def is_enough(self) -> bool:
        """Whether there are rows enough to choose a threshold on."""
        return len(self.hits) >= LEAST


def pose_fit(data: str, split: str, asked: Question) -> tuple[Question | None, str]:
    """The question on the other split, without rows that are audited themselves; None with the reason where there is none."""
    if split == asked.split:
        return None, f"the split {split} is the one that is audited"
    try:
        found = pose(data, split=split, n=ROWS)
    except (BadInput, UnknownName) as error:
        return None, f"the split {split} cannot be used ({error})"
    audited = {content(row.pair.query) for row in asked.rows if row.pair}
    new = [row for row in found.rows if row.pair and row.target is not None and content(row.pair.query) not in audited]
    if len(new) < LEAST:
        return None, f"the split {split} has {len(new)} rows that are not audited and name a right document, of {LEAST}"
    return replace(found, rows=tuple(new), notes=()), ""


def measure_fit(
    model: Embedder, question: Question, folder: Path, *, tell: Progress, cancelled: Callable[[], bool]
) -> None:
    """Make the parts that are missing.

    Raises:
        Cancelled: when `cancelled` said so; complete parts stay.
    """
    from safetensors.numpy import save

    n = len(question.rows)
    candidates: Candidates | None = None
    for number, begin in enumerate(range(0, n, SIZE)):
        path = part_path(folder, KIND, number)
        if path.is_file():
            continue
        if cancelled():
            raise Cancelled("The audit was cancelled; what was measured so far is kept.")
        tell(begin / n, "Truncating thoughts of the rows for the policy")
        candidates = candidates or Candidates(question, _documents(model, question))
        write_bytes_atomic(path, save(_part(model, question, candidates, range(begin, min(begin + SIZE, n)))))


def gather_fit(folder: Path, question: Question) -> Fit:
    """Read all parts."""
    held = {name: np.concatenate(some) for name, some in read_parts(folder, KIND, len(question.rows)).items()}
    known = held["rank"][:, -1] != UNKNOWN
    return Fit(
        split=question.split,
        hits=(held["rank"][known] == 1).astype(np.float64),
        agree=held["agree"][known].astype(np.float64),
        unranked=int((~known).sum()),
    )


def _part(model: Embedder, question: Question, candidates: Candidates, rows: range) -> dict[str, np.ndarray]:
    assert isinstance(model, Editable)
    n_think = model.info.n_think
    edits = [Edit(hidden=tuple(range(k, n_think))) for k in range(n_think + 1)]
    rank = np.full((len(rows), n_think + 1), UNKNOWN, dtype=np.int32)
    agree = np.full((len(rows), n_think), np.nan, dtype=np.float32)
    queries = [row.pair.query for row in question.rows[rows.start : rows.stop] if row.pair]
    more = len(edits) * (n_think + 1)
    ready = _ready(model, queries)
    lengths = [len(encoded.tokens.ids) + more for _, encoded in ready]
    for some in cut(ready, lengths, _POSITIONS):
        edited = model.edit([encoded for _, encoded in some], [edits] * len(some))
        for (place, _), traces in zip(some, edited, strict=True):
            embeddings = np.stack([trace.embedding for trace in traces])
            agree[place] = agreements(embeddings)
            if (ranks := candidates.ranks(rows.start + place, embeddings)) is not None:
                rank[place] = ranks
    return {"rank": rank, "agree": agree}


def _documents(model: Embedder, question: Question) -> Float[np.ndarray, "documents dim"]:
    found = np.full((len(question.documents), model.info.dim), np.nan, dtype=np.float32)
    for begin in range(0, len(found), SIZE):
        if ready := _ready(model, question.documents[begin : begin + SIZE]):
            found[[begin + place for place, _ in ready]] = model.embed([encoded for _, encoded in ready])
    return found


def _ready(model: Embedder, samples: Sequence[Sample]) -> list[tuple[int, Encoded]]:
    """Samples with their places. One that the model refuses is left out: it ranks nowhere, and no threshold is chosen on it."""
    found = []
    for place, sample in enumerate(samples):
        with suppress(BadInput, Unsupported):
            found.append((place, model.prepare(sample)))
    return found
