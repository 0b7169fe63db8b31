"""A folder that `save_to_disk` wrote."""

from pathlib import Path

from published import Rows, picture


def write(folder: Path) -> str:
    rows = [
        {"query": "what colour ?", "image": {"bytes": picture(), "path": None}, "answer": "red"},
        {"query": "which colour is the sky ?", "image": None, "answer": "blue"},
        {"query": "what colour ?", "image": {"bytes": picture("blue"), "path": None}, "answer": "blue"},
    ]
    return _save(folder, rows)


def write_bad(folder: Path) -> tuple[str, int]:
    return _save(folder, [{"query": "fine"}, {"query": ""}, {"query": "fine too"}]), 2


def write_missing(folder: Path) -> tuple[str, int]:
    rows = [{"query": "fine", "image": None}, {"query": "q", "image": "gone.png"}, {"query": "too", "image": None}]
    return _save(folder, rows), 2


def write_twice(folder: Path) -> tuple[str, int]:
    return _save(folder, [{"id": "a", "query": "one"}, {"id": "a", "query": "two"}, {"id": "b", "query": "three"}]), 2


def _save(folder: Path, rows: Rows) -> str:
    import datasets

    datasets.disable_progress_bars()
    data = datasets.Dataset.from_list([dict(row) for row in rows])
    if isinstance(rows[0].get("image"), dict):
        data = data.cast_column("image", datasets.Image())
    path = folder / "saved"
    if not path.exists():
        datasets.DatasetDict({"test": data}).save_to_disk(str(path))
    return str(path)
