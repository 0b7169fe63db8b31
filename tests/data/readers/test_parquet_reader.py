"""Parquet, and what reading it costs."""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published import encoded, picture, write_table

from workbench.data.arrow import read_table
from workbench.data.reader import find_reader, read_pairs
from workbench.data.sifting import Report
from workbench.errors import BadInput, MissingExtra
from workbench.images import open_image


def test_every_form_of_image(tmp_path: Path) -> None:
    (tmp_path / "here.png").write_bytes(picture("blue"))
    tables: list[dict[str, Any]] = [
        {"image": picture()},
        {"image": encoded()},
        {"image": "here.png"},
        {"images": [picture(), picture("blue")]},
        {"images": [{"bytes": None, "path": "here.png"}]},
    ]
    sizes = []
    for place, table in enumerate(tables):
        [pair] = read_pairs(str(write_table(tmp_path / f"{place}.parquet", [table])))
        sizes.append([open_image(ref).size for ref in pair.query.images])
    assert sizes == [[(50, 30)], [(50, 30)], [(50, 30)], [(50, 30), (50, 30)], [(50, 30)]]


def test_plain_targets_and_answers_that_are_numbers_or_several(tmp_path: Path) -> None:
    row = {"question": "how many ?", "target": "three", "negatives": ["two", "four"]}
    [one] = read_pairs(str(write_table(tmp_path / "a.parquet", [row | {"answer": 3}])))
    [other] = read_pairs(str(write_table(tmp_path / "b.parquet", [row | {"answer": ["3", "three"]}])))
    assert (one.answer, other.answer) == ("3", "3 | three")
    assert one.target is not None
    assert one.target.text == "three"
    assert [negative.text for negative in one.negatives] == ["two", "four"]


def test_row_numbers_go_on_over_files_and_messages_name_the_file(tmp_path: Path) -> None:
    write_table(tmp_path / "test-0.parquet", [{"query": "one"}, {"query": "two"}])
    write_table(tmp_path / "test-1.parquet", [{"query": "three"}, {"query": ""}])
    report = Report()
    assert [pair.row for pair in read_pairs(str(tmp_path), on_error="skip", report=report)] == [1, 2, 3]
    assert [(problem.row, problem.reason.split(":")[0]) for problem in report.problems] == [
        (4, "Row 2 of 'test-1.parquet'")
    ]
    reader, source = find_reader(str(tmp_path))
    assert reader.describe(source, split="test").rows == 4


def test_a_text_that_is_not_utf_8_spoils_its_row_only(tmp_path: Path) -> None:
    buffers = pa.array([b"one", b"tw\xff", b"three"], pa.binary()).buffers()
    broken = pa.Array.from_buffers(pa.string(), 3, buffers)
    pq.write_table(pa.table({"query": broken}), tmp_path / "q.parquet")
    report = Report()
    pairs = list(read_pairs(str(tmp_path / "q.parquet"), on_error="skip", report=report))
    assert [pair.query.text for pair in pairs] == ["one", "three"]
    assert report.problems[0].reason.startswith("Row 2 of 'q.parquet': it holds text that is not UTF-8")


@pytest.mark.parametrize("cut", [0, 40, -20])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, cut: int) -> None:
    path = write_table(tmp_path / "q.parquet", [{"query": "one"}])
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    with pytest.raises(BadInput, match=r"'q\.parquet' cannot be read as Parquet"):
        list(read_pairs(f"parquet:{path}"))


def test_the_revision_is_that_of_the_content(tmp_path: Path) -> None:
    path = write_table(tmp_path / "q.parquet", [{"query": "one"}])
    reader, source = find_reader(str(path))
    before = reader.describe(source, split="test").revision
    assert before == reader.describe(source, split="test").revision
    assert before.startswith("sha256:")
    write_table(path, [{"query": "two"}])
    assert reader.describe(source, split="test").revision != before


def test_without_pyarrow_the_install_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_table(tmp_path / "q.parquet", [{"query": "one"}])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"pip install 'thinkscope\[data\]'"):
        list(read_pairs(str(path)))


def test_memory_stays_that_of_a_row_group(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    schema = pa.schema([("query", pa.string()), ("image", pa.binary())])
    noise = [bytes([place]) * 500_000 for place in range(200)]
    rows = pa.table({"query": ["q"] * 200, "image": noise}, schema=schema)
    pq.write_table(rows, path, compression="none", use_dictionary=False, row_group_size=20)
    del rows
    pool, start = pa.default_memory_pool(), pa.total_allocated_bytes()
    peaks = [pool.bytes_allocated() - start for _ in read_table([path])]
    assert len(peaks) == 200
    assert max(peaks) < 40_000_000  # all of them are 100 MB
