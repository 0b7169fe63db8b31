"""Retrieval data in the three tables of BEIR: queries, a corpus, and which document answers which query how well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.data.arrow import column_names, read_table
from workbench.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """The relevant documents of each query, and the ids of the corpus; grows with the judgements, not with the pictures."""

    grades: Mapping[str, Mapping[str, float]]
    corpus: frozenset[str]

    def of(self, query: str) -> Mapping[str, float]:
        """The grades of a query. Raises BadInput when it has none, or when the corpus lacks a document that it names."""
        found = self.grades.get(query)
        if not found:
            raise BadInput(f"there is no relevant document for the query '{query[:100]}'.")
        if lost := sorted(found.keys() - self.corpus):
            raise BadInput(f"its relevant document '{lost[0][:100]}' is not in the corpus.")
        return found


def read_judgements(qrels: Sequence[Path], corpus: Sequence[Path], *, key: str) -> Judgements:
    """Read both tables but for pictures and texts; `key` is the column of the corpus with the ids.

    Columns are written `query-id` or `query_id`; of a pair that is judged twice the higher grade counts, and grades of 0
    or below say that a document is not relevant.

    Raises BadInput for columns or rows that are not so.
    """
    grades: dict[str, dict[str, float]] = {}
    for row in read_table(qrels):
        values = {name.replace("_", "-"): value for name, value in row.values.items()}
        query, document, score = (values.get(name) for name in ("query-id", "corpus-id", "score"))
        if query is None or document is None or not isinstance(score, int | float):
            raise BadInput(f"{row.where} (relevance) lacks query-id, corpus-id or score.")
        if score > 0:
            known = grades.setdefault(str(query), {})
            known[str(document)] = max(float(score), known.get(str(document), 0.0))
    return Judgements(grades=grades, corpus=frozenset(_ids(corpus, key)))


def _ids(corpus: Sequence[Path], key: str) -> list[str]:
    names = column_names(corpus)
    if key not in names:
        raise BadInput(f"'{corpus[0].name}' has the columns {', '.join(names)[:200]}; a corpus has '{key}'.")
    return [str(row.values[key]) for row in read_table(corpus, columns=[key])]


def need(values: Mapping[str, Any], key: str) -> str:
    """A column that must be there. Raises BadInput."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadInput(f"it lacks '{key}'.")
    return str(value)
