"""The part `traffic` of MRMR with three queries and two documents."""

from pathlib import Path

from published import Rows, encoded, write_mrmr

CORPUS: Rows = [
    {"id": "d1", "modality": "text", "text": "Stop at a red light.", "image": None, "vision": encoded("white")},
    {"id": "d2", "modality": "image,text", "text": "<image> Give way.", "image": encoded("blue"), "vision": encoded()},
]


def write(folder: Path) -> str:
    return _write(folder, [_query("q1"), _query("q2"), _query("q3")])


def write_bad(folder: Path) -> tuple[str, int]:
    return _write(folder, [_query("q1"), _query("q4"), _query("q2")]), 2


def write_missing(folder: Path) -> tuple[str, int]:
    rows = [_query("q1"), _query("q2") | {"image": {"bytes": None, "path": "gone.png"}}, _query("q3")]
    return _write(folder, rows), 2


def write_twice(folder: Path) -> tuple[str, int]:
    return _write(folder, [_query("q1"), _query("q1"), _query("q2")]), 2


def _query(name: str) -> dict[str, object]:
    return {"id": name, "modality": "image,text", "text": "<image> Which rule is broken?", "image": encoded()}


def _write(folder: Path, queries: Rows) -> str:
    qrels = [{"query-id": name, "corpus-id": "d2", "score": 1} for name in ("q1", "q2", "q3")]
    return write_mrmr(folder, "traffic", queries=queries, corpus=CORPUS, qrels=qrels)
