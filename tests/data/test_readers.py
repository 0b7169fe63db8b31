import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from workbench.data.reader import READERS, read_pairs
from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.errors import BadInput, UnknownName
from workbench.images import open_image


def test_shapes_on_disk_and_shapes_as_drawn_are_the_same_data(tmp_path: Path) -> None:
    write_shapes(tmp_path, ShapesConfig(), "test", 8)
    from_disk, drawn = list(read_pairs(str(tmp_path), split="test")), list(read_pairs("shapes", split="test", limit=8))
    assert len(from_disk) == len(drawn) == 8
    for one, other in zip(from_disk, drawn, strict=True):
        assert (one.query.text, one.reasoning, one.answer) == (other.query.text, other.reasoning, other.answer)
        assert one.target_id == other.target_id
        assert [negative.text for negative in one.negatives] == [negative.text for negative in other.negatives]
        assert one.target is not None
        assert other.target is not None
        assert one.target.text == other.target.text
        pairs = zip((*one.query.images, *one.target.images), (*other.query.images, *other.target.images), strict=True)
        for left, right in pairs:
            assert (np.array(open_image(left)) == np.array(open_image(right))).all()
    assert any(pair.target is not None and pair.target.images for pair in drawn)


def test_a_limit_stops_and_a_seed_is_another_world() -> None:
    assert len(list(read_pairs("shapes", limit=3))) == 3
    assert [pair.reasoning for pair in read_pairs("shapes:8", limit=3)] != [
        pair.reasoning for pair in read_pairs("shapes:7", limit=3)
    ]
    assert [pair.reasoning for pair in islice(read_pairs("shapes:7"), 3)] == [
        pair.reasoning for pair in read_pairs("shapes", limit=3)
    ]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("{", "Row 2 of 'd.jsonl' is not JSON"),
        ("[]", "Row 2 of 'd.jsonl' is a JSON list"),
        ('{"query": ""}', "Row 2 of 'd.jsonl': There is neither"),
        ('{"query": "q", "images": "a.png"}', "Row 2 of 'd.jsonl': 'images' is a text; expected a list"),
        ('{"query": "q", "images": ["gone.png"]}', "Row 2 of 'd.jsonl': There is no file"),
        ('{"query": 3}', "Row 2 of 'd.jsonl': 'query' is a number"),
        ('{"query": "q", "target": "t"}', "Row 2 of 'd.jsonl': a document is a text"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, sentence: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"query": "fine"}) + "\n" + row + "\n")
    rows = read_pairs(str(path))
    assert next(rows).query.text == "fine"
    with pytest.raises(BadInput, match=sentence):
        next(rows)


@pytest.mark.parametrize(
    ("data", "error"),
    [("nowhere.jsonl", BadInput), ("shape:7", UnknownName), ("shapes:seven", BadInput)],
)
def test_data_that_does_not_exist_is_told(data: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        next(read_pairs(data))


def test_an_unknown_split_suggests() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'test'"):
        next(read_pairs("shapes", split="tests"))


@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_says_what_it_reads(name: str) -> None:
    reader = READERS.get(name)
    assert reader.name == name
    assert reader.about.endswith(".")
