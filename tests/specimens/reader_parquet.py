"""Parquet whose images are bytes, pairs of bytes and path, and paths."""

from pathlib import Path

from published import Rows, encoded, picture, write_picture, write_table


def write(folder: Path) -> str:
    write_picture(folder / "red.png")
    write_table(
        folder / "test-00000-of-00002.parquet", [{"query": "what colour ?", "image": picture(), "target": "red"}]
    )
    rows = [{"query": "what ?", "image": encoded()}, {"query": "which ?", "image": {"bytes": None, "path": "red.png"}}]
    write_table(folder / "test-00001-of-00002.parquet", rows)
    return str(folder)


def write_bad(folder: Path) -> tuple[str, int]:
    return _write(folder, [{"query": "fine"}, {"query": ""}, {"query": "fine too"}]), 2


def write_missing(folder: Path) -> tuple[str, int]:
    rows = [{"query": "fine", "image": None}, {"query": "q", "image": "gone.png"}, {"query": "too", "image": None}]
    return _write(folder, rows), 2


def write_twice(folder: Path) -> tuple[str, int]:
    return _write(folder, [{"id": 1, "query": "one"}, {"id": 1, "query": "two"}, {"id": 2, "query": "three"}]), 2


def _write(folder: Path, rows: Rows) -> str:
    return str(write_table(folder / "test.parquet", rows))
