"""A JSONL data set of three rows, one of them without an image; and one whose second row is wrong."""

import json
from pathlib import Path

from PIL import Image


def write(folder: Path) -> str:
    """Write a test split of at least three rows and return what names it as a source."""
    Image.new("RGB", (50, 30), "red").save(folder / "red.png")
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
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(folder)


def write_bad(folder: Path) -> tuple[str, int]:
    """Write a test split with one row that cannot be used; return its source and that row's number."""
    (folder / "test.jsonl").write_text('{"query": "fine"}\n{"query": 3}\n', encoding="utf-8")
    return str(folder), 2
