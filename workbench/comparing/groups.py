"""Samples by what the data say of them, such as their task: where one checkpoint is better may be where another is worse."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from workbench.comparing.question import Question
from workbench.comparing.scores import Scores, tell_differences, tell_metrics
from workbench.comparison import GroupQuality
from workbench.errors import BadInput

USUAL = "task"
"""Column that groups samples unless another is named, where the data have it."""
MAX_GROUPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The rows of a question by the value of a column."""

    column: str
    """Empty where nothing is grouped."""
    rows: Mapping[str, Bool[np.ndarray, " rows"]]
    """By value, in alphabetical order; a row without the column, or that could not be used, is in none."""
    note: str = ""
    """Why nothing is grouped, though there is the usual column."""


def group_rows(question: Question, column: str | None) -> Groups:
    """Group rows by a column of the data.

    Args:
        question: with the rows.
        column: text of the query's metadata; None: `task` where there is one, else no groups.

    Raises:
        BadInput: for a column that no row has, or with too many values to be groups.
    """
    known = [{} if row.pair is None else row.pair.query.metadata for row in question.rows]
    name = USUAL if column is None else column
    values = [str(one[name]) if name in one else None for one in known]
    found = sorted({value for value in values if value is not None})
    if column is None and not 1 < len(found) <= MAX_GROUPS:
        many = len(found) > MAX_GROUPS
        told = f"The column '{name}' has {len(found):,} values, more than {MAX_GROUPS}, so quality is not told by it."
        return Groups(column="", rows={}, note=told if many else "")
    if not found:
        columns = sorted({other for one in known for other in one})
        there = f"there are: {', '.join(columns)[:300]}" if columns else "the data have none"
        raise BadInput(f"No sample has a column '{name[:100]}' to be grouped by; {there}.")
    if len(found) > MAX_GROUPS:
        raise BadInput(f"The column '{name[:100]}' has {len(found):,} values, but at most {MAX_GROUPS} make groups.")
    return Groups(column=name, rows={one: np.array([value == one for value in values]) for one in found})


def tell_groups(groups: Groups, one: Scores, other: Scores, *, ranked: bool) -> tuple[GroupQuality, ...]:
    """Quality of each group under both, and its paired differences.

    Args:
        groups: of the rows that were scored.
        one: scores of the reference.
        other: of the other checkpoint.
        ranked: whether their rankings may be compared.
    """
    found = []
    for name, rows in groups.rows.items():
        mine = one.only(rows), other.only(rows)
        found.append(
            GroupQuality(
                name=name,
                n=int(rows.sum()),
                metrics=tell_metrics(mine),
                differences=tell_differences(*mine, ranked=ranked),
            )
        )
    return tuple(found)
