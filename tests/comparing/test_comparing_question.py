"""What is asked of every checkpoint: rows with their right documents, and candidates enough."""

import json
from pathlib import Path

import pytest
from comparisons import QUERIES, write_data

from workbench.comparing.question import MAX_N, MIN_CANDIDATES, check_unchanged, pose
from workbench.errors import BadInput


def test_shapes_have_the_candidates_of_an_evaluation() -> None:
    question = pose("shapes", n=5)
    assert [row.id for row in question.rows] == [f"test-{number:06d}" for number in range(5)]
    assert len(question.names) == len(question.documents) == MIN_CANDIDATES
    for row in question.rows:
        assert row.pair is not None
        assert row.target is not None
        assert question.documents[row.target] == row.pair.target
    assert "195 of rows after them" in question.notes[0]


def test_equal_content_has_an_equal_key_whatever_it_is_called(tmp_path: Path) -> None:
    one = pose(str(write_data(tmp_path / "one")))
    moved = pose(str(write_data(tmp_path / "two")))
    assert one.key == moved.key
    assert one.key != pose(one.data, n=4).key
    picture = tmp_path / "two" / "0.png"
    picture.write_bytes((tmp_path / "two" / "1.png").read_bytes())
    assert pose(moved.data).key != one.key


def test_all_rows_are_read_where_there_are_fewer_than_asked(tmp_path: Path) -> None:
    assert len(pose(str(write_data(tmp_path))).rows) == len(QUERIES)


def test_bad_rows_stay_with_their_reason(tmp_path: Path) -> None:
    path = write_data(tmp_path)
    path.write_text(path.read_text() + json.dumps({"id": "q9", "query": "red", "images": ["gone.png"]}) + "\n")
    question = pose(str(path))
    assert question.rows[-1].pair is None
    assert "gone.png" in question.rows[-1].error
    assert "1 of 7 rows could not be used" in question.notes[0]


@pytest.mark.parametrize("n", [0, -3, MAX_N + 1])
def test_a_number_out_of_range_is_told(n: int) -> None:
    with pytest.raises(BadInput, match="must be 1 to 5,000"):
        pose("shapes", n=n)


def test_data_without_a_usable_row_are_told(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"id": "a", "query": "red", "images": ["gone.png"]}\n')
    with pytest.raises(BadInput, match=r"no row in its split 'test' that can be compared.*gone\.png"):
        pose(str(path))
    path.write_text("")
    with pytest.raises(BadInput, match="no row in its split"):
        pose(str(path))


def test_data_that_changed_meanwhile_are_not_read_on(tmp_path: Path) -> None:
    question = pose(str(write_data(tmp_path)))
    check_unchanged(question)
    write_data(tmp_path, QUERIES[:4])
    with pytest.raises(BadInput, match="changed while it was being read"):
        check_unchanged(question)
