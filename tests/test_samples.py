import json
from pathlib import Path

import pytest
from PIL import Image

from workbench.errors import BadInput
from workbench.samples import make_sample, read_candidates, text_candidates


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 4), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_the_id_is_a_hash_of_the_content(picture: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(picture.read_bytes())
    sample = make_sample([picture], "what?")
    assert make_sample([copy], " what? ").id == sample.id
    different = [
        make_sample([picture], "where?"),
        make_sample([], "what?"),
        make_sample([picture, picture], "what?"),
        make_sample([picture], "what?", role="document"),
    ]
    assert len({sample.id, *(other.id for other in different)}) == 5


def test_line_ends_and_surrounding_space_are_made_plain() -> None:
    assert make_sample([], "  one\r\ntwo\rthree\t \n").text == "one\ntwo\nthree"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "neither an image nor a query"),
        (" \n\t ", "neither an image nor a query"),
        ("x" * 100_000, "100,000 characters; at most 20,000"),
        ("a\x00b", r"U\+0000 at character 2"),
        ("a\x1b[31m", r"U\+001B"),
        ("a\udce9", "not valid Unicode"),
    ],
)
def test_a_query_that_cannot_be_used_is_told(query: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        make_sample([], query)


def test_an_image_needs_no_query(picture: Path) -> None:
    assert make_sample([picture], "").text == ""


def test_letters_of_all_scripts_are_kept() -> None:
    assert make_sample([], "где звезда? 星はどこ 👩‍👩‍👧").text == "где звезда? 星はどこ 👩‍👩‍👧"


def test_candidates_from_text_are_numbered_by_line(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_bytes("\ufeffone\r\n\r\n two \r\n".encode())
    assert [(c.id, c.text) for c in read_candidates(path)] == [("1", "one"), ("3", "two")]
    assert [(c.id, c.text) for c in text_candidates(["one", "", "two"])] == [("1", "one"), ("3", "two")]


def test_candidates_from_jsonl_may_be_images_beside_the_file(picture: Path) -> None:
    path = picture.parent / "c.jsonl"
    rows = [{"id": "a", "text": "one"}, {"image": "red.png"}, {"id": 7, "text": "both", "image": "red.png"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read_candidates(path)
    assert [(c.id, c.text, c.image and c.image.name) for c in found] == [
        ("a", "one", None),
        ("2", "", "red.png"),
        ("7", "both", "red.png"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("c.csv", b"x", r"\.txt or \.jsonl"),
        ("c.txt", b"", "holds no candidates"),
        ("c.txt", b"one\ntw\x07o", r"Line 2 of 'c\.txt' holds the control character"),
        ("c.txt", b"\xff\xfe", "not UTF-8"),
        ("c.jsonl", b'{"text": "a"}\n{"text": ', r"Row 2 of 'c\.jsonl' is not JSON"),
        ("c.jsonl", b"[1]", "is a JSON list"),
        ("c.jsonl", b'{"txt": "a"}', "unknown key 'txt'"),
        ("c.jsonl", b'{"text": 3}', "must be strings"),
        ("c.jsonl", b'{"id": "a"}', "neither 'text' nor 'image'"),
        ("c.jsonl", b'{"image": "gone.png"}', "Row 1 of 'c.jsonl': There is no file"),
        ("c.jsonl", b'{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}', "id 'a' twice"),
    ],
)
def test_a_list_that_cannot_be_used_is_told_with_its_line(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        read_candidates(tmp_path / name)


def test_a_missing_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no file"):
        read_candidates(tmp_path / "c.txt")


def test_too_many_candidates_are_refused() -> None:
    with pytest.raises(BadInput, match="10,001 candidates; at most 10,000"):
        text_candidates(["x"] * 10_001)
