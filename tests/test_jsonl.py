"""One reader of JSONL: rows with their numbers, and every mistake in one sentence that names the row."""

from pathlib import Path

import pytest

from workbench.errors import BadInput
from workbench.jsonl import read_jsonl


def test_rows_keep_the_numbers_of_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n \r\n{"b": "\xc3\xa9"}')
    rows = list(read_jsonl(path, expected="'a'"))
    assert [(row.number, row.values) for row in rows] == [(1, {"a": 1}), (3, {"b": "é"})]
    assert rows[1].where == "Row 3 of 'a.jsonl'"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1', "^Row 2 of 'a.jsonl' is not JSON: Expecting ',' delimiter at character"),
        (b"[" * 200_000, "^Row 2 of 'a.jsonl' is not JSON"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "^Row 2 of 'a.jsonl' is not JSON that can be read"),
        (b"null", "^Row 2 of 'a.jsonl' is a JSON NoneType; expected an object with 'a'.$"),
        (b'{"a": "\xff"}', "^'a.jsonl' is not UTF-8 text"),
    ],
)
def test_a_row_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + content)
    with pytest.raises(BadInput, match=message) as told:
        list(read_jsonl(path, expected="'a'"))
    assert "\n" not in str(told.value)
