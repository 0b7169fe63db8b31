"""Training rows: what is read, and every way in which a row can be wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import BadInput
from workbench.recipes.rows import TextPlace, read_training_rows, row_length, row_text

GOOD: dict[str, Any] = {"query": "a", "reasoning": "b", "target": {"text": "c"}}
SEEN: dict[str, Any] = {
    **GOOD,
    "images": ["a.png"],
    "scene": {"width": 96, "height": 60},
    "objects": [{"size": "small", "colour": "red", "shape": "star", "box": [0, 0, 20, 30.5]}],
}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_rows_are_read_up_to_a_limit_and_blank_lines_are_none(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "", SEEN, "not json")
    assert read_training_rows(path, limit=2) == [GOOD, SEEN]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("not json", "is not JSON"),
        ([1], "is a JSON list; expected an object with images, query, reasoning and target"),
        ({"query": "a"}, "lacks reasoning, target"),
        ({**GOOD, "query": None}, "'query' is a JSON NoneType"),
        ({**GOOD, "reasoning": 3}, "'reasoning' is a JSON int"),
        ({**GOOD, "target_id": 3}, "'target_id' must be a string"),
        ({**GOOD, "images": "a.png"}, "'images' must be a list of paths"),
        ({**GOOD, "target": {}}, "has a target with neither text nor images"),
        ({**GOOD, "target": "c"}, "has a target that is no object"),
        ({**GOOD, "target": {"text": 3}}, "has a target whose 'text' is no string"),
        ({**GOOD, "target": {"images": ["a.png"], "caption": 3}}, "has a target whose 'caption' is no string"),
        ({**GOOD, "negatives": "d"}, "'negatives' must be a list"),
        ({**GOOD, "negatives": ["d"]}, "has a negative that is no object"),
        ({**GOOD, "negatives": [{"text": ""}]}, "has a negative with neither text nor images"),
        ({**GOOD, "query": ""}, "has neither query nor images"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(BadInput, match=f"^Row 3 of 'train.jsonl'.*{message}"):
        read_training_rows(write(tmp_path, GOOD, "", row))


WORDLESS: dict[str, Any] = {"query": "a", "target": {"images": ["c.png"], "caption": "a ring"}}


def test_reasoning_is_asked_for_only_where_it_is_learned(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, WORDLESS, {**WORDLESS, "reasoning": None}, {**WORDLESS, "reasoning": "b"})
    places: tuple[TextPlace, ...] = ("target_apart", "target_text_apart", "none")
    for place in places:
        rows = read_training_rows(path, text=place)
        assert [row_length(row) for row in rows] == [2, 1, 1, 2]
    with pytest.raises(BadInput, match=r"^Row 2 of 'train.jsonl' lacks reasoning; needed: images, query, reasoning"):
        read_training_rows(path, text="reasoning_before")
    with pytest.raises(BadInput, match=r"^Row 1 .* lacks target; needed: images, query, target\.$"):
        read_training_rows(write(tmp_path, {"query": "a"}), text="none")
    with pytest.raises(BadInput, match="'reasoning' is a JSON int"):
        read_training_rows(write(tmp_path, {**WORDLESS, "reasoning": 3}), text="none")


def test_what_a_recipe_writes_of_a_row() -> None:
    row = {**WORDLESS, "reasoning": "b"}
    places: dict[TextPlace, str] = {
        "reasoning_after": "b",
        "reasoning_before": "b",
        "target_apart": "a ring",
        "target_text_apart": "",
        "none": "",
    }
    assert {place: row_text(row, place) for place in places} == places
    assert row_text(GOOD, "target_text_apart") == "c"


def change(**more: Any) -> dict[str, Any]:
    return {**SEEN, **more}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({key: value for key, value in SEEN.items() if key != "scene"}, "has no usable 'scene'"),
        (change(scene={"width": 96}), "has no usable 'scene'"),
        (change(scene={"width": 0, "height": 60}), "has no usable 'scene'"),
        ({key: value for key, value in SEEN.items() if key != "objects"}, "has no 'objects'"),
        (change(objects=["star"]), "an object that is not complete"),
        (change(objects=[{**SEEN["objects"][0], "colour": None}]), "an object that is not complete"),
        (change(objects=[{**SEEN["objects"][0], "box": [1, 2, 3]}]), "an object that is not complete"),
        (change(objects=[{**SEEN["objects"][0], "box": [0, 90, 20, 110]}]), "centre lies outside the image"),
    ],
)
def test_perception_names_the_row_that_it_cannot_use(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = write(tmp_path, SEEN, row)
    assert len(read_training_rows(path)) == 2
    with pytest.raises(BadInput, match=f"^Row 2 of 'train.jsonl'.*{message}"):
        read_training_rows(path, perceived=True)


def test_perception_asks_nothing_of_rows_without_images(tmp_path: Path) -> None:
    assert len(read_training_rows(write(tmp_path, GOOD, SEEN), perceived=True)) == 2


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no training data"):
        read_training_rows(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match="holds no rows"):
        read_training_rows(write(tmp_path))
