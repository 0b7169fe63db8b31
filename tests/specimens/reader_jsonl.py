"""A JSONL data set of three rows, one of them without an image; and others of which one row is wrong."""

from pathlib import Path

from published import write_jsonl, write_picture


def write(folder: Path) -> str:
    """Write a test split of at least three rows and return what names it as a source."""
    write_picture(folder / "red.png")
    rows = [
        {
            "query": "what colour ?",
            "images": ["red.png"],
            "reasoning": "all red.",
            "answer": "red",
            "target": {"text": "red"},
        },
        {"query": "which image is red ?", "target": {"images": ["red.png"]}, "negatives": [{"text": "blue"}]},
        {"query": "what colour ?", "images": ["red.png"], "target": {"text": "red"}, "target_id": "text:red"},
    ]
    write_jsonl(folder / "test.jsonl", rows)
    return str(folder)


def write_bad(folder: Path) -> tuple[str, int]:
    """Write a test split with one row that cannot be used; return its source and that row's number."""
    write_jsonl(folder / "test.jsonl", [{"query": "fine"}, {"query": 3}, {"query": "fine too"}])
    return str(folder), 2


def write_missing(folder: Path) -> tuple[str, int]:
    """The same with a row whose image is not there."""
    write_jsonl(folder / "test.jsonl", [{"query": "fine"}, {"query": "q", "images": ["gone.png"]}, {"query": "too"}])
    return str(folder), 2


def write_twice(folder: Path) -> tuple[str, int]:
    """The same with a row whose id occurred before."""
    write_jsonl(folder / "test.jsonl", [{"id": "a", "query": "one"}, {"id": "a", "query": "two"}, {"query": "three"}])
    return str(folder), 2
