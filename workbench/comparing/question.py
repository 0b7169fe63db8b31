"""What is asked of every checkpoint: rows of a data set and the documents that they rank, fixed before a model is loaded."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from workbench.data.reader import find_reader
from workbench.data.records import Pair, Row
from workbench.data.sifting import make_pair, name_rows
from workbench.errors import BadInput
from workbench.types import Sample

DEFAULT_N = 200
MAX_N = 5_000
"""Rows; scores of all queries against all candidates are held at once."""
MIN_CANDIDATES = 200
"""As `thinkscope evaluate`: fewer make Hit@1 too easy to tell checkpoints apart."""
LOOK_AHEAD = 2_000
"""Further rows that are looked at for candidates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRow:
    """A row: its pair, or why there is none."""

    number: int
    id: str
    pair: Pair | None
    error: str = ""
    target: int | None = None
    """Place of the right document among the candidates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Rows and candidates. Equal keys mean equal content, whatever the files are called."""

    data: str
    split: str
    title: str
    revision: str
    rows: tuple[AskedRow, ...]
    names: tuple[str, ...]
    """Ids of the candidates."""
    documents: tuple[Sample, ...]
    """The candidates themselves."""
    notes: tuple[str, ...] = ()
    key: str = field(init=False)

    def told(self, document: int) -> str:
        """What a candidate is called where people read: its text, or the name of its image."""
        one = self.documents[document]
        return one.text or (f"image {one.images[0].name}" if one.images else self.names[document])

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self._key())

    def _key(self) -> str:
        rows = [[row.id, None if row.pair is None else content(row.pair.query), row.target] for row in self.rows]
        documents = [[name, content(one)] for name, one in zip(self.names, self.documents, strict=True)]
        asked = json.dumps([self.revision, self.split, rows, documents])
        return hashlib.sha256(asked.encode()).hexdigest()


def pose(data: str, *, split: str = "test", n: int | None = None) -> Question:
    """Read the first rows of a data set, and the documents that they are to find.

    Candidates are the distinct right documents of the rows, and of further rows where those are fewer than 200. A row that
    cannot be used stays in the question with its reason.

    Args:
        data: as `find_reader` takes it.
        split: part of the data.
        n: rows, bad ones included; None: 200, or all where there are fewer.

    Raises:
        BadInput: for data that cannot be read, for too few or too many rows, or when no row can be used.
    """
    if n is not None and not 1 <= n <= MAX_N:
        raise BadInput(f"The number of samples is {n:,}, but must be 1 to {MAX_N:,}.")
    reader, source = find_reader(data, split=split)
    info = reader.describe(source, split=split)
    rows = name_rows(reader.rows(source, split=split))
    documents: dict[str, Sample] = {}
    asked = tuple(_asked(row, documents) for row in islice(rows, DEFAULT_N if n is None else n))
    if not any(row.pair for row in asked):
        why = f" The first reason: {asked[0].error}" if asked else ""
        raise BadInput(f"'{data[:200]}' has no row in its split '{split}' that can be compared.{why}")
    before = len(documents)
    if before:
        _fill(rows, documents)
    places = {name: place for place, name in enumerate(documents)}
    return Question(
        data=data,
        split=split,
        title=info.title,
        revision=info.revision,
        rows=tuple(_placed(row, places) for row in asked),
        names=tuple(documents),
        documents=tuple(documents.values()),
        notes=_notes(asked, before, len(documents), info.pool),
    )


def check_unchanged(question: Question) -> None:
    """Raise BadInput when the data set is no longer the one that was read: samples of two revisions are not compared."""
    reader, source = find_reader(question.data, split=question.split)
    revision = reader.describe(source, split=question.split).revision
    if revision != question.revision:
        raise BadInput(
            f"The data set '{question.data[:200]}' changed while it was being read (revision {revision[:20]}, before "
            f"{question.revision[:20]}), so the checkpoints would be asked different things; start again."
        )


def _asked(row: Row, documents: dict[str, Sample]) -> AskedRow:
    try:
        pair = make_pair(row)
    except BadInput as error:
        return AskedRow(number=row.number, id=row.id, pair=None, error=str(error))
    if pair.target is not None:
        documents.setdefault(_name(pair, pair.target), pair.target)
    return AskedRow(number=row.number, id=row.id, pair=pair)


def _fill(rows: Iterator[Row], documents: dict[str, Sample]) -> None:
    for row in islice(rows, LOOK_AHEAD):
        if len(documents) >= MIN_CANDIDATES:
            return
        _asked(row, documents)


def _placed(row: AskedRow, places: dict[str, int]) -> AskedRow:
    if row.pair is None or row.pair.target is None:
        return row
    return AskedRow(number=row.number, id=row.id, pair=row.pair, target=places[_name(row.pair, row.pair.target)])


def _name(pair: Pair, target: Sample) -> str:
    return pair.target_id or target.id


def _notes(rows: tuple[AskedRow, ...], own: int, total: int, pool: str) -> tuple[str, ...]:
    found = []
    if bad := [row for row in rows if row.pair is None]:
        found.append(f"{len(bad):,} of {len(rows):,} rows could not be used. The first reason: {bad[0].error}")
    if not total:
        found.append("The data name no right documents, so there is nothing to rank.")
    else:
        more = f", and {total - own:,} of rows after them" if total > own else ""
        found.append(f"Candidates are the {own:,} distinct right documents of these rows{more}.")
    if total and pool == "local":
        found.append(
            "In this data set every query has candidates of its own; here all share one list, so Hit@1 is not the published one."
        )
    return tuple(found)


def content(sample: Sample) -> tuple[Any, ...]:
    """What a sample is, whatever it is called: equal for equal text and images in the same role."""
    return (sample.role, sample.text, tuple(image.sha256 for image in sample.images))
