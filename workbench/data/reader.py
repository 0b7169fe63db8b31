"""What a data set reader is: something that turns other people's files into queries and the documents they are to find.

A new form of data is one new file in `workbench.data.readers`, or one in another package's entry point.
"""

import abc
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from workbench.data.records import DataInfo, Document, Pair, Row
from workbench.data.sifting import OnError, Report, SeenIds, Shard, sift
from workbench.errors import BadInput
from workbench.registry import Registry

WHOLE = Shard()


class Reader(abc.ABC):
    """A form of data set. Stateless; constant memory in the number of rows."""

    name: ClassVar[str]
    about: ClassVar[str]
    """One plain sentence on what it reads, and how its source is written."""
    endless: ClassVar[bool] = False
    """Whether rows never end, so that whoever wants all of them must say how many."""
    only_by_name: ClassVar[bool] = False
    """Whether it is taken only when it is named ("reader:source"), because another reader recognises the same files."""

    @abc.abstractmethod
    def rows(self, source: str, *, split: str) -> Iterator[Row]:
        """Yield the rows one at a time, without opening images.

        Args:
            source: a path, or whatever else names the data; may be empty where there is only one.
            split: part of the data set.

        Raises:
            BadInput: for what cannot be read at all. What is wrong with one row belongs into that `Row`.
        """

    @abc.abstractmethod
    def describe(self, source: str, *, split: str) -> DataInfo:
        """What is known of the data; reads no rows, but may have to hash the files. Raises as `rows` does."""

    def recognises(self, path: Path, split: str) -> bool:
        """Whether a path that exists is data of this form, by the names of its files; of a new reader none is."""
        del path, split
        return False

    def read(
        self,
        source: str,
        *,
        split: str,
        limit: int | None = None,
        shard: Shard = WHOLE,
        on_error: OnError = "stop",
        report: Report | None = None,
    ) -> Iterator[Pair]:
        """Yield pairs one at a time, in the order of the rows.

        Args:
            source: as in `rows`.
            split: as in `rows`.
            limit: how many rows are looked at, before they are dealt to shards, bad ones included; None: all.
            shard: which of them are made into pairs; of the others only the ids are read.
            on_error: whether a bad row or an id that occurred before ends the reading or is passed over.
            report: counts pairs and bad rows, and holds the reasons; needed for "skip".

        Raises:
            BadInput: naming the file and the row number of what cannot be used.
        """
        return sift(self.rows(source, split=split), limit=limit, shard=shard, on_error=on_error, report=report)

    def documents(
        self, source: str, *, split: str, on_error: OnError = "stop", report: Report | None = None
    ) -> Iterator[Document]:
        """Yield every document of the split's pool once, by its id; here the targets and negatives of all pairs."""
        with SeenIds() as seen:
            for pair in self.read(source, split=split, on_error=on_error, report=report):
                for document in _documents(pair):
                    if seen.add(document.id, pair.row) is None:
                        yield document


def _documents(pair: Pair) -> Iterator[Document]:
    if pair.target is not None:
        yield Document(id=pair.target_id or pair.target.id, sample=pair.target)
    for negative in pair.negatives:
        yield Document(id=negative.id, sample=negative)


READERS: Registry[type[Reader]] = Registry("reader", package="workbench.data.readers", group="thinkscope.readers")


def find_reader(data: str, *, split: str = "test") -> tuple[Reader, str]:
    """The reader and the source of a data set named as a person would name it.

    A reader ("shapes"), "reader:source", or a path whose form one reader recognises; a path that none does is JSONL.

    Raises:
        BadInput: for a path that does not exist, or that two readers could mean.
        UnknownName: for a reader that does not exist.
    """
    name, colon, source = data.partition(":")
    path = Path(data)
    if data and path.exists():
        found = [name for name, kind in READERS.items() if kind().recognises(path, split)]
        if len(found) > 1:
            choices = " or ".join(f"{name}:{data}" for name in found)
            raise BadInput(f"'{data[:200]}' could be read in {len(found)} ways; write {choices}.")
        return READERS.get(found[0] if found else "jsonl")(), data
    if colon:
        return READERS.get(name)(), source
    if data in READERS.names():
        return READERS.get(data)(), ""
    known = ", ".join(READERS.names())
    raise BadInput(f"'{data[:200]}' is neither a file or folder nor a reader; readers are {known}.")


def read_pairs(
    data: str,
    *,
    split: str = "test",
    limit: int | None = None,
    shard: Shard = WHOLE,
    on_error: OnError = "stop",
    report: Report | None = None,
) -> Iterator[Pair]:
    """Read a data set named as in `find_reader`; everything else as in `Reader.read`."""
    reader, source = find_reader(data, split=split)
    return reader.read(source, split=split, limit=limit, shard=shard, on_error=on_error, report=report)


__all__ = ["READERS", "DataInfo", "Document", "Pair", "Reader", "Row", "find_reader", "read_pairs"]
