"""The data set on disk."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench.data.shapes import (
    SPLITS,
    ShapesConfig,
    draw,
    make_sample,
    make_scene,
    masks,
    read_rows,
    to_row,
    write_shapes,
)
from workbench.data.shapes import dataset as dataset_module
from workbench.data.shapes.__main__ import main
from workbench.errors import BadInput

CONFIG = ShapesConfig()


def test_rows_hold_the_samples(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "made" / "here", CONFIG, "train", 30)
    assert path == tmp_path / "made" / "here" / "train.jsonl"
    rows = list(read_rows(path))
    assert len(rows) == 30
    for index, row in enumerate(rows):
        sample = make_sample(CONFIG, "train", index)
        assert list(row) == [
            *("id", "split", "task", "images", "query", "reasoning", "answer", "target", "target_id"),
            *("negatives", "words", "objects", "scene"),
        ]
        for field in ("id", "split", "task", "query", "reasoning", "answer", "target_id"):
            assert row[field] == getattr(sample, field)
        assert row["target"]["text"] == sample.target_text
        assert row["negatives"] == [{"text": text, "images": []} for text in sample.negatives]
        assert [tuple(word) for word in row["words"]] == list(sample.words)
        assert row["scene"] == {"id": sample.scene.id, "width": sample.scene.width, "height": sample.scene.height}
        for thing, there in zip(sample.scene.objects, row["objects"], strict=True):
            assert set(there) == {"size", "colour", "shape", "place", "box"}
            assert tuple(there["box"]) == thing.box
            assert all(there[trait] == getattr(thing, trait) for trait in ("size", "colour", "shape", "place"))


def test_samples_are_the_same_on_every_machine() -> None:
    digest = sha256()
    for split in SPLITS:
        for index in range(40):
            digest.update(json.dumps(to_row(make_sample(CONFIG, split, index)), sort_keys=True).encode())
    assert digest.hexdigest() == "64d4fc0972f54c835cc9c6828809c3e218ddb866b78c8eb562226ae134e5353f"


def test_images_go_with_the_query_or_with_the_target(tmp_path: Path) -> None:
    path = write_shapes(tmp_path, CONFIG, "test", 21)
    tasks = set()
    for index, row in enumerate(read_rows(path)):
        image = [f"images/{row['scene']['id']}.png"]
        found = row["task"] == "find_image"
        assert (row["images"], row["target"]["images"]) == (([], image) if found else (image, []))
        pixels = np.asarray(Image.open(tmp_path / image[0]))
        assert (pixels == draw(make_scene(CONFIG, "test", index))).all()
        tasks.add(row["task"])
    assert "find_image" in tasks


def test_masks_number_the_objects(tmp_path: Path) -> None:
    write_shapes(tmp_path, CONFIG, "train", 6, masks=True)
    for index in range(3):
        scene = make_scene(CONFIG, "train", index)
        numbers = np.asarray(Image.open(tmp_path / "images" / f"{scene.id}.masks.png"))
        assert numbers.shape == (scene.height, scene.width)
        for position, mask in enumerate(masks(scene)):
            assert ((numbers == position + 1) == mask).all()


def test_writing_again_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    first = write_shapes(tmp_path / "a", CONFIG, "validation", 5)
    second = write_shapes(tmp_path / "b", CONFIG, "validation", 5)
    again = write_shapes(tmp_path / "b", CONFIG, "validation", 5)
    assert first.read_bytes() == second.read_bytes() == again.read_bytes()
    files = sorted(str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert files == [f"images/validation-scene-{index:06d}.png" for index in range(5)] + ["validation.jsonl"]


def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_shapes(tmp_path, CONFIG, "train", 2)
    before = path.read_bytes()

    def fail_at_third(config: ShapesConfig, split: str, index: int) -> object:
        if index == 3:
            raise KeyboardInterrupt
        return make_sample(config, split, index)

    monkeypatch.setattr(dataset_module, "make_sample", fail_at_third)
    with pytest.raises(KeyboardInterrupt):
        write_shapes(tmp_path, CONFIG, "train", 8)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_unreadable_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": 1}\n\n{broken\n')
    rows = read_rows(path)
    assert next(rows) == {"id": 1}
    with pytest.raises(BadInput, match=r"Row 3 of 'rows\.jsonl' is not JSON"):
        next(rows)
    path.write_text("[1, 2]\n")
    with pytest.raises(BadInput, match="is a JSON list"):
        next(read_rows(path))
    with pytest.raises(BadInput, match="is not a file"):
        next(read_rows(tmp_path / "none.jsonl"))


def test_a_negative_number_of_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="n is -1"):
        write_shapes(tmp_path, CONFIG, "train", -1)


def test_the_command_writes_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--n", "3", "--split", "test", "--seed", "11"]) == 0
    assert capsys.readouterr().out == f"wrote 3 samples to {tmp_path / 'test.jsonl'}\n"
    lines = (tmp_path / "test.jsonl").read_text().splitlines()
    expected = [make_sample(ShapesConfig(seed=11), "test", index).reasoning for index in range(3)]
    assert [json.loads(line)["reasoning"] for line in lines] == expected


def test_the_command_explains_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--out", str(tmp_path), "--n", "3", "--seed", "-4"])
    assert exit_.value.code == 2
    assert "seed is -4" in capsys.readouterr().err
