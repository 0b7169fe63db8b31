"""From rows to pairs: what is bad is told with its row number, and either ends the reading or is counted and passed over."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Literal, TypeVar, final

from workbench.data.records import Pair, Row
from workbench.errors import BadInput

T = TypeVar("T")
OnError = Literal["skip", "stop"]
MAX_PROBLEMS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A row that could not be used."""

    row: int
    reason: str
    """One sentence that names the row and its file."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of the rows. Counts on while a data set is read, and is complete when the iterator is exhausted."""

    done: int = 0
    skipped: int = 0
    problems: list[Problem] = field(default_factory=list)
    """The first 1,000 in the order of the rows; `skipped` counts all."""

    def skip(self, row: int, reason: str) -> None:
        """Count a row that was passed over."""
        self.skipped += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(row=row, reason=reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Every `of`-th row, beginning with row `index` (from 0). The shards of a data set share no row and lack none."""

    index: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.of:
            raise BadInput(f"There is no shard {self.index}/{self.of}; of {self.of} shards the first is 0.")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read "i/n" with i from 0 to n - 1. Raises BadInput."""
        index, slash, of = text.partition("/")
        if not (slash and index.isdecimal() and of.isdecimal()):
            raise BadInput(f"A shard is written i/n with i from 0 to n - 1, for example 0/4, not '{text[:50]}'.")
        return cls(index=int(index), of=int(of))


def sift(
    rows: Iterable[Row], *, limit: int | None, shard: Shard, on_error: OnError, report: Report | None
) -> Iterator[Pair]:
    """Make pairs of the first `limit` rows as far as they belong to the shard.

    Ids are compared over all rows that are passed, whichever shard they belong to, so that all shards agree on which row
    repeats another.

    Raises:
        BadInput: for the first bad row under "stop"; under "skip" only for what ends the whole source.
        ValueError: for "skip" without a report, which would be silent.
    """
    _check(on_error, report)
    return _sift(islice(rows, limit), shard, on_error, report or Report())


def _sift(rows: Iterator[Row], shard: Shard, on_error: OnError, report: Report) -> Iterator[Pair]:
    for place, row in enumerate(name_rows(rows)):
        if place % shard.of != shard.index:
            continue
        try:
            pair = make_pair(row)
        except BadInput as error:
            if on_error == "stop":
                raise
            report.skip(row.number, str(error))
            continue
        report.done += 1
        yield pair


def name_rows(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows under the names by which their pairs go: a row without an id gets one.

    A row that repeats the name of one before it becomes a row of which nothing can be made, with the sentence that says so.
    Nothing of a row is read here. Names are kept in a temporary database, so that memory does not grow with the rows.
    """
    with SeenIds() as seen:
        for row in rows:
            name = row.id or f"row-{row.number}"
            earlier = seen.add(name, row.number)
            if row.make is None:
                yield replace(row, id=name)
            elif earlier is not None:
                told = f"{row.where} has the id '{name[:200]}' of row {earlier}; ids must differ."
                yield replace(row, id=name, make=None, problem=told)
            else:
                yield replace(row, id=name, make=partial(_named, row.make, name, row.number))


def make_pair(row: Row) -> Pair:
    """The pair of a row. Raises BadInput with the whole sentence."""
    if row.make is None:
        raise BadInput(row.problem)
    try:
        return row.make()
    except BadInput as error:
        raise BadInput(f"{row.where}: {error}") from error


def _named(make: Callable[[], Pair], name: str, number: int) -> Pair:
    return replace(make(), id=name, row=number)


def sieve(made: Iterable[tuple[int, str, Callable[[], T]]], *, on_error: OnError, report: Report | None) -> Iterator[T]:
    """Call each third entry; the first two are its row and what begins a sentence about it. Otherwise as `sift`."""
    _check(on_error, report)
    return _sieve(made, on_error, report or Report())


def _sieve(made: Iterable[tuple[int, str, Callable[[], T]]], on_error: OnError, report: Report) -> Iterator[T]:
    for number, where, make in made:
        try:
            entry = make()
        except BadInput as error:
            told = f"{where}: {error}"
            if on_error == "stop":
                raise BadInput(told) from error
            report.skip(number, told)
            continue
        report.done += 1
        yield entry


def _check(on_error: OnError, report: Report | None) -> None:
    if on_error == "skip" and report is None:
        raise ValueError("rows are skipped only into a report")


@final
class SeenIds:
    """Which names were met before, and where. On disk beyond 2 MB; gone when closed."""

    def __init__(self) -> None:
        # An empty name is SQLite's temporary database. One generator uses it at a time, though not always in one thread.
        self._names = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._names.execute("PRAGMA journal_mode=OFF")
        self._names.execute("CREATE TABLE names (name BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._names.execute("BEGIN")

    def add(self, name: str, row: int) -> int | None:
        """Remember a name; return the row that had it before, or None. Raises BadInput when the disk is full."""
        # Bytes, since a name may hold half of a surrogate pair, which SQLite's text cannot.
        key = name.encode("utf-8", "surrogatepass")
        try:
            if self._names.execute("INSERT OR IGNORE INTO names VALUES (?, ?)", (key, row)).rowcount:
                return None
        except sqlite3.OperationalError as error:
            raise BadInput(
                f"The names of the rows, kept to find repeated ones, have no room in the folder for temporary files ({error} "
                f"at row {row}); free some space, or set SQLITE_TMPDIR to another folder."
            ) from error
        return self._names.execute("SELECT row FROM names WHERE name = ?", (key,)).fetchone()[0]

    def __enter__(self) -> "SeenIds":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._names.close()
