import json
from pathlib import Path

import pytest

from workbench import assets
from workbench.assets import bundled_checkpoints, examples, read_card, resolve_checkpoint
from workbench.errors import BadCheckpoint, BadInput


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own with two checkpoints, a stray folder and one example."""
    for name in ("tte-flash", "tte-flash-early"):
        (tmp_path / "assets" / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "assets" / "checkpoints" / name / "config.json").write_text("{}")
    (tmp_path / "assets" / "checkpoints" / "notes").mkdir()
    (tmp_path / "assets" / "examples").mkdir()
    rows = [
        {"image": "a.png", "query": "where?", "title": "A star", "task": "where"},
        {"image": "b.png", "query": "what?"},
    ]
    (tmp_path / "assets" / "examples" / "examples.json").write_text(json.dumps(rows))
    (tmp_path / "workbench").mkdir()
    monkeypatch.setattr(assets, "__file__", str(tmp_path / "workbench" / "assets.py"))
    return tmp_path


def test_bundled_checkpoints_are_the_folders_with_a_config(folder: Path) -> None:
    found = bundled_checkpoints()
    assert list(found) == ["tte-flash", "tte-flash-early"]
    assert resolve_checkpoint("tte-flash") == folder / "assets" / "checkpoints" / "tte-flash"


def test_a_wheel_carries_its_assets_inside(folder: Path) -> None:
    inside = folder / "workbench" / "_assets" / "checkpoints" / "from-wheel"
    inside.mkdir(parents=True)
    (inside / "config.json").write_text("{}")
    assert list(bundled_checkpoints()) == ["from-wheel"]


def test_an_installation_without_assets_still_takes_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "__file__", str(tmp_path / "lib" / "workbench" / "assets.py"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert bundled_checkpoints() == {}
    assert examples() == ()
    assert resolve_checkpoint(str(tmp_path / "mine")) == tmp_path / "mine"
    with pytest.raises(BadInput, match="install thinkscope again"):
        assets.assets_dir()


def test_examples_are_read_in_order(folder: Path) -> None:
    first, second = examples()
    assert (first.image, first.query, first.title, first.task) == (
        folder / "assets" / "examples" / "a.png",
        "where?",
        "A star",
        "where",
    )
    assert (second.title, second.task) == ("what?", "")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("tte-flsh", "There is no checkpoint 'tte-flsh'.*Did you mean 'tte-flash'"),
        ("", "There is no checkpoint ''"),
        ("{}/nowhere", "neither a bundled name nor a folder"),
        ("{}/file.txt", "is a file; a checkpoint is the folder"),
        ("{}/empty", "is empty"),
        ("{}/stray", "holds no config.json"),
        ("x" * 5000, "cannot be opened"),
        ("a\x00b", "There is no checkpoint|cannot be opened"),
    ],
)
def test_what_is_no_checkpoint_is_told_in_one_sentence(folder: Path, given: str, sentence: str) -> None:
    (folder / "file.txt").write_text("x")
    (folder / "empty").mkdir()
    (folder / "stray").mkdir()
    (folder / "stray" / "x.txt").write_text("x")
    with pytest.raises(BadCheckpoint, match=sentence) as caught:
        resolve_checkpoint(given.format(folder))
    assert len(str(caught.value)) < 400


def test_a_card_holds_what_the_files_say(tmp_path: Path) -> None:
    about = {"title": "Tiny", "description": "d", "knows": "Shapes", "family": "qwen2_vl", "layout": {"think": 8}}
    row = {"value": 0.9, "low": 0.85, "high": 0.94, "n": 1000}
    (tmp_path / "thinkscope.json").write_text(json.dumps(about))
    (tmp_path / "evaluation.json").write_text(json.dumps({"hit_at_1": row, "checkpoint": "tiny", "command": "..."}))
    card = read_card(tmp_path)
    assert (card.name, card.title, card.knows, card.layout) == (tmp_path.name, "Tiny", "Shapes", {"think": 8})
    assert list(card.metrics) == ["hit_at_1"]
    assert card.metrics["hit_at_1"].n == 1000


def test_a_card_of_a_bare_folder_is_its_name(tmp_path: Path) -> None:
    card = read_card(tmp_path)
    assert (card.title, card.description, card.metrics) == (tmp_path.name, "", {})


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_a_broken_card_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "thinkscope.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadCheckpoint, match=r"thinkscope\.json"):
        read_card(tmp_path)
