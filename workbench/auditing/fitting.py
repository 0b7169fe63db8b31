"""Rows of another split, on which the adaptive policy's threshold is chosen: only what truncation does to them is measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from workbench.auditing.candidates import Candidates
from workbench.auditing.measuring import agreements
from workbench.auditing.parts import SIZE, part_path, read_parts
from workbench.comparing.question import Question, pose
from workbench.comparing.scores import UNKNOWN
from workbench.edits import Edit
from workbench.embedder import Editable, Embedder
from workbench.errors import BadInput, Cancelled, Unsupported
from workbench.stages import Progress
from workbench.store import write_bytes_atomic
from workbench.types import Encoded, Sample

KIND = "fit"
ROWS = 200
"""Rows of the other split that are read."""
LEAST = 20
"""Ranked rows below which nothing is fitted."""
_POSITIONS = 1_024
"""Positions that run through the model together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What truncation does to the rows that a threshold is chosen on, those alone whose right candidate is ranked."""

    split: str
    hits: Float[np.ndarray, "rows steps"]
    """Whether the right candidate ranks first with the first 0 ... K thoughts."""
    agree: Float[np.ndarray, "rows think"]
    """Cosine of the embedding from k thoughts with that from k + 1."""


def pose_fit(data: str, split: str, asked: Question) -> tuple[Question | None, str]:
    """The question on the other split, without rows that are audited themselves; None with the reason where there is none."""
    if split == asked.split:
        return None, f"the split {split} is the one that is audited"
    try:
        found = pose(data, split=split, n=ROWS)
    except BadInput as error:
        return None, f"the split {split} cannot be used ({error})"
    audited = {_content(row.pair.query) for row in asked.rows if row.pair}
    new = [row for row in found.rows if row.pair and row.target is not None and _content(row.pair.query) not in audited]
    if len(new) < LEAST:
        return None, f"the split {split} has {len(new)} rows that are not audited and name a right document, of {LEAST}"
    return (
        Question(
            data=found.data,
            split=found.split,
            title=found.title,
            revision=found.revision,
            rows=tuple(new),
            names=found.names,
            documents=found.documents,
        ),
        "",
    )


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
    )


def _part(model: Embedder, question: Question, candidates: Candidates, rows: range) -> dict[str, np.ndarray]:
    assert isinstance(model, Editable)
    n_think = model.info.n_think
    edits = [Edit(hidden=tuple(range(k, n_think))) for k in range(n_think + 1)]
    rank = np.full((len(rows), n_think + 1), UNKNOWN, dtype=np.int32)
    agree = np.full((len(rows), n_think), np.nan, dtype=np.float32)
    queries = [row.pair.query for row in question.rows[rows.start : rows.stop] if row.pair]
    more = len(edits) * (n_think + 1)
    for places, batch in _batches(model, queries, more):
        for place, traces in zip(places, model.edit(batch, [edits] * len(batch)), strict=True):
            embeddings = np.stack([trace.embedding for trace in traces])
            agree[place] = agreements(embeddings)
            if (ranks := candidates.ranks(rows.start + place, embeddings)) is not None:
                rank[place] = ranks
    return {"rank": rank, "agree": agree}


def _documents(model: Embedder, question: Question) -> Float[np.ndarray, "documents dim"]:
    found = np.full((len(question.documents), model.info.dim), np.nan, dtype=np.float32)
    for places, batch in _batches(model, question.documents, 0):
        found[places] = model.embed(batch)
    return found


def _batches(model: Embedder, samples: Sequence[Sample], more: int) -> Iterator[tuple[list[int], list[Encoded]]]:
    """Places and samples that fit into the room, at least one, each with `more` positions.

    A sample that the model refuses is left out: it ranks nowhere, and no threshold is chosen on it.
    """
    places: list[int] = []
    batch: list[Encoded] = []
    longest = 0
    for place, sample in enumerate(samples):
        try:
            encoded = model.prepare(sample)
        except (BadInput, Unsupported):
            continue
        longest = max(longest, len(encoded.tokens.ids) + more)
        if batch and (len(batch) + 1) * longest > _POSITIONS:
            yield places, batch
            places, batch, longest = [], [], len(encoded.tokens.ids) + more
        places.append(place)
        batch.append(encoded)
    if batch:
        yield places, batch


def _content(sample: Sample) -> tuple[object, ...]:
    return (sample.text, *(image.sha256 for image in sample.images))
