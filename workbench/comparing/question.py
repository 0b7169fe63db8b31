"""What is asked of every checkpoint: rows of a data set and the documents that they rank, fixed before a model is loaded."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, final

from workbench.data.reader import Reader, find_reader
from workbench.data.records import Pair, Row
from workbench.data.sifting import Report, make_pair, name_rows
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
    right: tuple[int, ...] = ()
    """Places of its right documents among the candidates, the one that the data name first before the others."""

    @property
    def target(self) -> int | None:
        """Place of the right document, of several the first; None where there is none."""
        return self.right[0] if self.right else None


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
        rows = [[row.id, None if row.pair is None else content(row.pair.query), _key_of(row)] for row in self.rows]
        documents = [[name, content(one)] for name, one in zip(self.names, self.documents, strict=True)]
        asked = json.dumps([self.revision, self.split, rows, documents])
        return hashlib.sha256(asked.encode()).hexdigest()


def pose(data: str, *, split: str = "test", n: int | None = None) -> Question:
    """Read the first rows of a data set, and the documents that they are to find.

    Candidates are the distinct right documents of the rows, those too that the data name by id alone. Where these are fewer
    than 200, right documents of the rows after them are added, and of what had to be read through for the ids. A row that
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
    gathered = _Gathered()
    asked = tuple(_asked(row, gathered.documents) for row in islice(rows, DEFAULT_N if n is None else n))
    if not any(row.pair for row in asked):
        why = f" The first reason: {asked[0].error}" if asked else ""
        raise BadInput(f"'{data[:200]}' has no row in its split '{split}' that can be compared.{why}")
    gathered.fetch(reader, source, split, asked)
    gathered.fill(rows)
    places = {name: place for place, name in enumerate(gathered.documents)}
    placed = tuple(_placed(row, places) for row in asked)
    return Question(
        data=data,
        split=split,
        title=info.title,
        revision=info.revision,
        rows=placed,
        names=tuple(gathered.documents),
        documents=tuple(gathered.documents.values()),
        notes=tuple(_notes(placed, gathered, info.pool)),
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


@final
class _Gathered:
    """Candidates as they are found."""

    def __init__(self) -> None:
        self.documents: dict[str, Sample] = {}
        """By id; at first the right documents that rows carry themselves."""
        self.own = 0
        """Right documents of the rows that are asked."""
        self.later = 0
        """Of rows after them."""
        self.passed = 0
        """Others, that were read on the way to the right ones."""
        self.lost: list[str] = []
        """Right documents that are named by id and were not found."""
        self.why = ""
        """The first reason."""
        self.looked = 0
        """Rows that were looked at for more."""
        self._spare: dict[str, Sample] = {}

    def fetch(self, reader: Reader, source: str, split: str, asked: tuple[AskedRow, ...]) -> None:
        """Read the right documents that the data name by id alone, if there are such."""
        named = (name for row in asked if row.pair for name in row.pair.relevant)
        wanted = dict.fromkeys(name for name in named if name not in self.documents)
        report = Report()
        if wanted:
            for document in reader.documents(source, split=split, on_error="skip", report=report):
                if document.id in wanted:
                    self.documents[document.id] = document.sample
                    del wanted[document.id]
                elif len(self._spare) < MIN_CANDIDATES and document.id not in self.documents:
                    self._spare[document.id] = document.sample
                if not wanted and len(self.documents) + len(self._spare) >= MIN_CANDIDATES:
                    break
        self.lost = list(wanted)
        self.why = report.problems[0].reason if report.problems else ""
        self.own = len(self.documents)

    def fill(self, rows: Iterator[Row]) -> None:
        """Take more where there are too few, but none where nothing is ranked."""
        if not self.own:
            return
        for row in islice(rows, LOOK_AHEAD) if self.own < MIN_CANDIDATES else ():
            self.looked += 1
            _asked(row, self.documents)
            if len(self.documents) >= MIN_CANDIDATES:
                break
        self.later = len(self.documents) - self.own
        for name, sample in self._spare.items():
            if len(self.documents) >= MIN_CANDIDATES:
                break
            self.documents.setdefault(name, sample)
        self.passed = len(self.documents) - self.own - self.later


def _asked(row: Row, documents: dict[str, Sample]) -> AskedRow:
    try:
        pair = make_pair(row)
    except BadInput as error:
        return AskedRow(number=row.number, id=row.id, pair=None, error=str(error))
    if pair.target is not None:
        documents.setdefault(_name(pair, pair.target), pair.target)
    # Nobody is asked about negatives, and where data carry images in their tables, these would stay in memory.
    return AskedRow(number=row.number, id=row.id, pair=replace(pair, negatives=()))


def _placed(row: AskedRow, places: dict[str, int]) -> AskedRow:
    if row.pair is None:
        return row
    pair = row.pair
    first = [] if pair.target is None else [_name(pair, pair.target)]
    others = sorted(pair.relevant, key=lambda name: -pair.relevant[name])
    return replace(row, right=tuple(places[name] for name in dict.fromkeys((*first, *others)) if name in places))


def _name(pair: Pair, target: Sample) -> str:
    return pair.target_id or target.id


def _key_of(row: AskedRow) -> list[int] | int | None:
    return list(row.right) if len(row.right) > 1 else row.target


_LOCAL = "In this data set every query has candidates of its own; here all share one list, so Hit@1 is not the published one."


def _notes(rows: tuple[AskedRow, ...], gathered: _Gathered, pool: str) -> Iterator[str]:
    if bad := [row for row in rows if row.pair is None]:
        yield f"{len(bad):,} of {len(rows):,} rows could not be used. The first reason: {bad[0].error}"
    if lost := gathered.lost:
        why = f" The first reason: {gathered.why}" if gathered.why else ""
        told = f"{len(lost):,} right documents that the data name, such as '{lost[0][:100]}', could not be read."
        yield f"{told} They are no candidates.{why}"
    if not gathered.own:
        if not gathered.lost:
            yield "The data name no right documents, so there is nothing to rank."
        return
    short = len(gathered.documents) < MIN_CANDIDATES and gathered.looked == LOOK_AHEAD
    among = f" (of the {LOOK_AHEAD:,} that were looked at)" if short else ""
    later = f", and {gathered.later:,} of rows after them{among}" if gathered.later or short else ""
    passed = f", and {gathered.passed:,} others of the data set's documents" if gathered.passed else ""
    yield f"Candidates are the {gathered.own:,} distinct right documents of these rows{later}{passed}."
    if several := sum(len(row.right) > 1 for row in rows):
        yield (
            f"{several:,} rows have several right documents: the best placed of them counts, and none counts against another."
        )
    if pool == "local":
        yield _LOCAL


def content(sample: Sample) -> tuple[Any, ...]:
    """What a sample is, whatever it is called: equal for equal text and images in the same role."""
    return (sample.role, sample.text, tuple(image.sha256 for image in sample.images))
