"""Layouts and folders of extractions that make no sense, or are damaged: one sentence each."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apart import WAYS

from workbench.errors import BadCheckpoint
from workbench.models.checkpoint import load_checkpoint
from workbench.models.dual_adapter import FILE
from workbench.models.layout import Layout, tte_flash


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"extraction": "early_exit"}, "exit_layer is 0 with the extraction early_exit"),
        ({"exit_layer": 2}, "exit_layer is 2 with the extraction shared"),
        ({"extraction": "two_pass", "think_tokens": []}, "two_pass, which part think tokens"),
        ({"dependency": "stop_gradient", "contexts": []}, "stop_gradient, which part think tokens"),
        ({"extraction": "dual_adapter", "decoder": "latent"}, "dual_adapter, which part think tokens"),
        ({"extraction": "third_pass"}, "built are: shared, dual_adapter, early_exit, two_pass"),
    ],
)
def test_a_layout_that_makes_no_sense_is_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadCheckpoint, match=sentence):
        Layout.from_json({**tte_flash(2).to_json(), **change})


def test_layouts_come_back_from_json() -> None:
    for layout in WAYS.values():
        assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout
    assert "exit_layer" not in WAYS["shared"].to_json(), "older checkpoints keep their layout, and so their hash"


def unnamed(folder: Path) -> None:
    manifest = json.loads((folder / "thinkscope.json").read_text())
    del manifest["adapters"]
    (folder / "thinkscope.json").write_text(json.dumps(manifest))


def other_rank(folder: Path) -> None:
    manifest = json.loads((folder / "thinkscope.json").read_text())
    (folder / "thinkscope.json").write_text(json.dumps(manifest | {"adapters": {"rank": 3}}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / FILE).unlink(), "has no adapters.safetensors"),
        (lambda folder: (folder / FILE).write_bytes(b"torn"), "is damaged"),
        (unnamed, "no 'adapters' with a rank"),
        (other_rank, "does not fit its model: 42 of 84|does not fit its model: 84 of 84"),
    ],
)
def test_spoilt_adapters_are_one_sentence(
    spoil: Callable[[Path], None], sentence: str, apart_folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(apart_folders["dual_adapter"], tmp_path / "copy"))
    spoil(folder)
    with pytest.raises(BadCheckpoint, match=sentence) as refused:
        load_checkpoint(folder, device="cpu", dtype="float32")
    assert "\n" not in str(refused.value)


def test_an_exit_above_the_last_layer_is_one_sentence(apart_folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(apart_folders["early_exit"], tmp_path / "copy"))
    text = (folder / "thinkscope.json").read_text().replace('"exit_layer": 2', '"exit_layer": 3')
    (folder / "thinkscope.json").write_text(text)
    with pytest.raises(BadCheckpoint, match="behind layer 3, but has 3 layers"):
        load_checkpoint(folder, device="cpu", dtype="float32")
