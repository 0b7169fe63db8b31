"""What a data set reader is: something that turns other people's files into queries and the documents they are to find.

A new form of data is one new file in `workbench.data.readers`, or one in another package's entry point.
"""

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workbench.errors import BadInput
from workbench.registry import Registry
from workbench.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A query, and what is known of the right answer to it."""

    query: Sample
    reasoning: str = ""
    """What should be thought; empty when the data does not say."""
    answer: str = ""
    target: Sample | None = None
    """The document that should be found."""
    target_id: str = ""
    """Equal for targets that count as the same."""
    negatives: tuple[Sample, ...] = ()
    """Documents that should not be found."""


class Reader(abc.ABC):
    """A form of data set. Stateless."""

    name: ClassVar[str]
    about: ClassVar[str]
    """One plain sentence on what it reads."""

    @abc.abstractmethod
    def read(self, source: str, *, split: str, limit: int | None = None) -> Iterator[Pair]:
        """Yield pairs one at a time, at most `limit`.

        Args:
            source: a path, or whatever else names the data; may be empty where there is only one.
            split: part of the data set.
            limit: None reads to the end.

        Raises:
            BadInput: naming the file and the row number of what cannot be used.
        """


READERS: Registry[type[Reader]] = Registry("reader", package="workbench.data.readers", group="thinkscope.readers")


def read_pairs(data: str, *, split: str = "test", limit: int | None = None) -> Iterator[Pair]:
    """Read a data set named as a person would: a reader ("shapes"), "reader:source", or the path of a JSONL file or folder.

    Raises:
        BadInput: for a path that does not exist, and as the reader does.
        UnknownName: for a reader that does not exist.
    """
    name, colon, source = data.partition(":")
    if colon and not Path(data).exists():
        return READERS.get(name)().read(source, split=split, limit=limit)
    if Path(data).exists():
        return READERS.get("jsonl")().read(data, split=split, limit=limit)
    if data in READERS.names():
        return READERS.get(data)().read("", split=split, limit=limit)
    known = ", ".join(READERS.names())
    raise BadInput(f"'{data[:200]}' is neither a file or folder nor a reader; readers are {known}.")
