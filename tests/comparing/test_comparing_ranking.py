"""Of several right documents the best placed counts, and none counts against another."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from comparisons import WordModel, compare, write_data
from published import encoded, write_mrmr

from workbench.auditing.candidates import Candidates
from workbench.comparing import question as asking
from workbench.comparing.opening import open_sample
from workbench.comparing.question import AskedRow, Question, pose
from workbench.comparing.ranking import best_right
from workbench.comparing.scores import _ranks


def test_the_best_right_one_takes_the_place_of_the_first() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.3], [0.8, 0.2, 0.9, 0.1]])
    assert best_right(scores, [0]) is scores
    found = best_right(scores, [0, 2])
    assert found.tolist() == [[0.5, 0.9, -np.inf, 0.3], [0.9, 0.2, -np.inf, 0.1]]
    assert scores[0, 2] == 0.5
    assert best_right(scores[0], [3, 1]).tolist() == [0.1, -np.inf, 0.5, 0.9]


@pytest.mark.parametrize(
    ("right", "rank"),
    [
        ([3], 4),
        ([3, 0], 1),  # the other right one is first of all
        ([3, 1], 2),
        ([2, 1], 2),  # ranked third and second: the second counts, and the third is not in its way
        ([], 0),
        ([4], 0),  # could not be embedded
        ([4, 2], 3),  # of both only one could
    ],
)
def test_a_rank_is_that_of_the_best_right_one(right: list[int], rank: int) -> None:
    cosines = np.array([[0.9, 0.8, 0.7, 0.6, np.nan]], dtype=np.float32)
    assert _ranks(cosines, [right]).tolist() == [rank]
    row = AskedRow(number=1, id="a", pair=None, right=tuple(right))
    question = Question(data="", split="", title="", revision="", rows=(row,), names=(), documents=())
    documents = np.vstack([np.eye(4), np.full((1, 4), np.nan)]).astype(np.float32)
    found = Candidates(question, documents).ranks(0, cosines[:, :4])
    assert (0 if found is None else found.tolist()[0]) == rank


def mrmr(folder: Path, judged: list[tuple[str, str, int]], *, empty: Collection[str] = ()) -> Question:
    """A search of six documents, some of them empty, whose queries name their right ones by id alone."""
    held = {f"d{number}": None if f"d{number}" in empty else f"text {number}" for number in range(6)}
    none = {"image": None, "image 1": None, "image 2": None}
    source = write_mrmr(
        folder,
        "knowledge",
        queries=[
            {"id": name, "modality": "image", "text": f"what is {name}?", "image": encoded("red")}
            for name in dict.fromkeys(query for query, _, _ in judged)
        ],
        corpus=[
            {"id": name, "modality": "text", "text": text, **none, "vision": encoded("white")}
            for name, text in held.items()
        ],
        qrels=[{"query-id": query, "corpus-id": name, "score": grade} for query, name, grade in judged],
    )
    return pose(source)


def test_right_documents_that_are_named_by_id_are_fetched(tmp_path: Path) -> None:
    question = mrmr(tmp_path, [("a", "d4", 1), ("a", "d2", 2), ("b", "d5", 1)])
    right = [[question.names[at] for at in row.right] for row in question.rows]
    assert right == [["d2", "d4"], ["d5"]]
    assert [question.documents[at].text for at in question.rows[0].right] == ["text 2", "text 4"]
    assert set(question.names) == {f"d{number}" for number in range(6)}
    candidates, several = question.notes
    assert candidates.startswith(
        "Candidates are the 3 distinct right documents of these rows, and 3 others of the data"
    )
    assert several.startswith("1 rows have several right documents")


def test_right_documents_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    some = mrmr(tmp_path / "some", [("a", "d1", 1), ("b", "d3", 1)], empty=["d3"])
    assert [len(row.right) for row in some.rows] == [1, 0]
    lost, candidates = some.notes
    assert lost.startswith("1 right documents that the data name, such as 'd3', could not be read.")
    assert "They are no candidates. The first reason: Row 4 of" in lost
    assert candidates.startswith("Candidates are the 1 distinct right documents of these rows, and 4 others")
    none = mrmr(tmp_path / "none", [("a", "d3", 1), ("b", "d3", 1)], empty=["d3"])
    assert none.documents == ()
    assert [note[:18] for note in none.notes] == ["1 right documents "]


def test_every_right_document_is_marked_in_a_sample(tmp_path: Path) -> None:
    question = mrmr(tmp_path, [("a", "d4", 1), ("a", "d2", 2), ("b", "d5", 1)])
    compared = compare(tmp_path, WordModel("one"), WordModel("two"), question=question)
    standings = open_sample(compared, 0).standings
    assert sorted(one.text for one in standings if one.is_target) == ["text 2", "text 4"]


def test_which_documents_are_right_is_part_of_the_question(tmp_path: Path) -> None:
    one = mrmr(tmp_path / "one", [("a", "d1", 2), ("a", "d2", 1), ("b", "d3", 1)])
    same = mrmr(tmp_path / "same", [("a", "d1", 2), ("a", "d2", 1), ("b", "d3", 1)])
    fewer = mrmr(tmp_path / "fewer", [("a", "d1", 2), ("b", "d3", 1), ("b", "d2", 1)])
    assert one.key == same.key != fewer.key


def test_a_search_for_more_candidates_that_ended_early_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LOOK_AHEAD", 3)
    data = str(write_data(tmp_path, ["red", "blue"] * 5))
    assert "and 0 of rows after them (of the 3 that were looked at)" in pose(data, n=4).notes[0]
    assert "looked at" not in pose(data, n=8).notes[0]
