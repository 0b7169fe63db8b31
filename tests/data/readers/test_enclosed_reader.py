"""A stranger's table sees the folder that it came in, and nothing else."""

import json
from pathlib import Path

import pytest
from published import write_picture

from workbench.data.reader import find_reader, read_pairs
from workbench.data.readers import enclosed
from workbench.data.readers.enclosed import choose_table
from workbench.data.sifting import Report
from workbench.errors import BadInput


def reasons(folder: Path, *images: str) -> list[str]:
    rows = [json.dumps({"query": "q", "image": image}) for image in images]
    (folder / "queries.jsonl").write_text("\n".join(rows) + "\n")
    report = Report()
    list(read_pairs(f"enclosed:{folder}", on_error="skip", report=report))
    assert len(report.problems) == len(images)
    return [problem.reason for problem in report.problems]


def test_no_image_outside_is_opened_or_told_of(tmp_path: Path) -> None:
    inside, outside = tmp_path / "data", tmp_path / "private"
    inside.mkdir()
    write_picture(outside / "red.png")
    (inside / "link.png").symlink_to(outside / "red.png")
    (inside / "folder").symlink_to(outside)
    ways = ("../private/red.png", str(outside / "red.png"), "link.png", "folder/red.png", "../private/none.png")
    told = reasons(inside, *ways, "/dev/zero", "~/red.png\0")
    assert all("leads out of the folder" in one for one in told[:6])
    assert "is no path" in told[6]


def test_a_missing_image_is_named_as_the_table_names_it(tmp_path: Path) -> None:
    [told] = reasons(tmp_path, "gone.png")
    assert told.endswith("There is no file 'gone.png' in the data; check the path of the image.")
    assert str(tmp_path) not in told


def test_a_stranger_cannot_have_memory_filled(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"query": "q", "image": {"bytes": 1000000000000000}}\n')
    report = Report()
    assert list(read_pairs(f"enclosed:{tmp_path}", on_error="skip", report=report)) == []
    assert "expected a path or encoded bytes" in report.problems[0].reason


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["a/b.csv", "a/1.png"], "a/b.csv"),
        (["Queries.CSV", "other.csv"], "Queries.CSV"),
        (["metadata.csv", "photos/queries.jsonl"], "photos/queries.jsonl"),
        (["test.tsv", "queries.csv"], "test.tsv"),
    ],
)
def test_the_table_is_found(names: list[str], chosen: str) -> None:
    assert choose_table(names) == chosen


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "no CSV, TSV or JSONL"),
        (["1.png", "notes.txt"], "columns query and image"),
        (["a.csv", "b.csv"], "There are 2 tables"),
        (["x/queries.csv", "y/queries.csv", "a.csv"], "There are 2 tables"),
    ],
)
def test_without_a_table_or_with_several_it_says_what_to_do(names: list[str], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        choose_table(names)


def test_a_source_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    reader, source = find_reader(f"enclosed:{tmp_path / 'none'}")
    with pytest.raises(BadInput, match="is no folder"):
        next(reader.rows(source, split="test"))


def test_a_table_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enclosed, "MAX_TABLE", 10)
    (tmp_path / "queries.csv").write_text("query\nwhat is it ?\n")
    with pytest.raises(BadInput, match="so cut it in two"):
        list(read_pairs(f"enclosed:{tmp_path}"))
