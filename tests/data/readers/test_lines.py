"""JSONL: a bad line does not end the file."""

from pathlib import Path

from workbench.data.reader import read_pairs
from workbench.data.sifting import Report


def read(path: Path, content: bytes) -> tuple[list[str], list[str]]:
    path.write_bytes(content)
    report = Report()
    pairs = list(read_pairs(str(path), on_error="skip", report=report))
    return [pair.query.text for pair in pairs], [problem.reason for problem in report.problems]


def test_every_kind_of_broken_line_is_passed_over(tmp_path: Path) -> None:
    lines = (
        b'\xef\xbb\xbf{"query": "one"}',
        b"",
        b'{"query": ',
        b"[1]",
        b'{"query": "\xff"}',
        b'{"query": "\\ud800"}',
        b'{"id": [1], "query": "q"}',
        b'{"query": "nine"}',
        b'{"query": "ten", "negatives": "none"}',
        b'{"query": "cut o',
    )
    texts, reasons = read(tmp_path / "d.jsonl", b"\n".join(lines))
    assert texts == ["one", "nine"]
    beginnings = (
        "Row 3 of 'd.jsonl' is not JSON",
        "Row 4 of 'd.jsonl' is a JSON list",
        "Row 5 of 'd.jsonl' is not UTF-8 text",
        "Row 6 of 'd.jsonl': The query is not valid Unicode",
        "Row 7 of 'd.jsonl': 'id' is a list",
        "Row 9 of 'd.jsonl': 'negatives' is a text",
        "Row 10 of 'd.jsonl' is not JSON",
    )
    assert len(reasons) == len(beginnings)
    assert all(reason.startswith(start) for reason, start in zip(reasons, beginnings, strict=True)), reasons


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path / "d.jsonl", b"") == ([], [])


def test_numbers_and_texts_that_no_field_takes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"id": 7, "question": "why ?", "task": "relation", "difficulty": 2, "words": [1]}\n')
    [pair] = read_pairs(str(path))
    assert (pair.id, pair.row, pair.query.text) == ("7", 1, "why ?")
    assert pair.query.metadata == {"task": "relation", "difficulty": 2}
