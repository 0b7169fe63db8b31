"""A folder of images with a table made by hand."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import write_jsonl, write_picture

from workbench.data.reader import read_pairs
from workbench.data.sifting import Report
from workbench.errors import BadInput


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_of_any_separator(tmp_path: Path, delimiter: str) -> None:
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.png", "blue", (20, 40))
    with (tmp_path / "queries.csv").open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file, delimiter=delimiter)
        table.writerow(["id", "query", "images", "target", "target_image", "negatives", "task"])
        table.writerow(["x", "two, of; them\nhere", "a.png | b.png", "", "b.png", "red|green", "pair"])
    [pair] = read_pairs(str(tmp_path))
    assert (pair.id, pair.query.text) == ("x", "two, of; them\nhere")
    assert [(ref.width, ref.height) for ref in pair.query.images] == [(50, 30), (20, 40)]
    assert pair.target is not None
    assert [ref.name for ref in pair.target.images] == ["b.png"]
    assert [negative.text for negative in pair.negatives] == ["red", "green"]
    assert pair.query.metadata == {"task": "pair"}


def test_rows_are_told_with_the_line_of_the_file(tmp_path: Path) -> None:
    content = b'query,answer\n"two\nlines",yes\nonly one cell\nfine,no\nb\xffd,no\n"open,no\nand to the end,x\n'
    (tmp_path / "q.csv").write_bytes(content)
    report = Report()
    pairs = list(read_pairs(str(tmp_path / "q.csv"), on_error="skip", report=report))
    assert [pair.query.text for pair in pairs] == ["two\nlines", "fine"]
    reasons = [problem.reason for problem in report.problems]
    assert reasons[0].startswith("Row 2 of 'q.csv' (line 4) has 1 cells, but the header has 2")
    assert reasons[1].startswith("Row 4 of 'q.csv' (line 6): The query is not valid Unicode")
    assert reasons[2].startswith("Row 5 of 'q.csv' (line 7) is not CSV")
    assert len(reasons) == 3


cells = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(
    lambda text: text.strip() == text
)


@settings(deadline=None)
@given(texts=st.lists(cells, min_size=1, max_size=6))
def test_what_is_written_is_read(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("csv") / "q.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["query", "answer"], *([text, text] for text in texts)])
    pairs = list(read_pairs(str(path)))
    assert [pair.query.text for pair in pairs] == texts
    assert [pair.answer for pair in pairs] == texts


def test_a_jsonl_beside_the_images(tmp_path: Path) -> None:
    write_picture(tmp_path / "one.png")
    write_jsonl(tmp_path / "metadata.jsonl", [{"file_name": "one.png", "text": "what is it ?"}])
    [pair] = read_pairs(str(tmp_path))
    assert (pair.query.text, pair.query.images[0].name) == ("what is it ?", "one.png")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"q.csv": "name,size\n"}, "has the columns name, size; expected one of"),
        ({"q.csv": ""}, "has the columns ; expected one of"),
        ({"q.csv": "query,query\n"}, "two columns named 'query'"),
        ({"queries.csv": "query\n", "queries.jsonl": ""}, "which of them holds the queries"),
        ({"pictures.txt": ""}, "no table of queries"),
    ],
)
def test_tables_that_cannot_be_read_are_told(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    source = tmp_path / "q.csv" if "q.csv" in files else tmp_path
    with pytest.raises(BadInput, match=sentence):
        list(read_pairs(f"folder:{source}"))
