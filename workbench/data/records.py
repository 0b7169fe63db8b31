"""What passes between a data set on disk and whoever uses it: rows, pairs, documents, and what is known of the whole."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from workbench.types import Sample

Pool = Literal["local", "global"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A query, and what is known of the right answer to it."""

    id: str = ""
    """The data's own name of this row; "row-N" where it gives none. Different in every row of a data set."""
    row: int = 0
    """Number of the row, counted from 1 as a person would count."""
    query: Sample
    reasoning: str = ""
    """What should be thought; empty when the data does not say."""
    answer: str = ""
    target: Sample | None = None
    """The document that should be found; None also where reading it would mean to search the whole pool for it."""
    target_id: str = ""
    """Equal for targets that count as the same."""
    negatives: tuple[Sample, ...] = ()
    """Documents that should not be found."""
    candidates: tuple[str, ...] = ()
    """Ids of the documents that this query ranks, in the data's order; empty: all documents of the data set."""
    relevance: Mapping[str, float] = field(default_factory=dict)
    """Grade (above 0) of each document that counts as right, by id; empty: only the target, with grade 1."""

    @property
    def relevant(self) -> Mapping[str, float]:
        """The grades, also where the data names only a target."""
        if self.relevance or self.target is None:
            return self.relevance
        return {self.target_id or self.target.id: 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A candidate of the search under the id by which pairs name it."""

    id: str
    sample: Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class DataInfo:
    """What is known of a data set without reading all of it."""

    title: str
    rows: int | None
    """How many rows it has; None when only reading tells."""
    revision: str
    """Equal only for equal data: the commit it was downloaded at, or "sha256:" and the hash of its files. Images that lie
    beside a table are not in the hash; every sample carries theirs."""
    pinned: str = ""
    """The commit for which numbers are published, where one is known."""
    metric: str = "hit@1"
    """By which the data set is scored: hit@1, ndcg_linear@5 or ndcg@10."""
    pool: Pool = "global"
    """Whether a query ranks candidates of its own or all documents."""
    notes: tuple[str, ...] = ()
    """Plain sentences on what keeps results from being comparable with published ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that was found but not yet looked into: its images are opened by `make`, so that passing over it is cheap."""

    number: int
    """From 1, over all files of the data set."""
    where: str
    """Begins every sentence about the row: "Row 3 of 'test.jsonl'"."""
    id: str = ""
    """The data's own name for it, if it gives one."""
    make: Callable[[], Pair] | None = None
    """Raises BadInput for what cannot be used, without saying where."""
    problem: str = ""
    """The whole sentence on a row from which nothing can be made; `make` is None."""
