"""Everything odd that a person can give the page ends in the right result or in one sentence."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from workbench.errors import BadCheckpoint, BadInput
from workbench.runner import Session
from workbench.ui import handlers
from workbench.ui.desk import Desk

NOISE = np.random.default_rng(0).integers(0, 255, (30, 50, 3), dtype=np.uint8)


def save_rotated(path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(NOISE).save(path, exif=turned)


def save_animated(path: Path) -> None:
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def save_palette(path: Path) -> None:
    Image.fromarray(NOISE).quantize(16).save(path, transparency=0)


def save_deep(path: Path) -> None:
    Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257).save(path)


ODD: dict[str, tuple[Callable[[Path], None], tuple[int, int], str]] = {
    "rotated.jpg": (save_rotated, (30, 50), "turned"),
    "animated.gif": (save_animated, (50, 30), "only the first"),
    "palette.png": (save_palette, (50, 30), "shown on white"),
    "deep.png": (save_deep, (50, 30), "scaled to 8"),
    "cmyk.jpg": (lambda path: Image.fromarray(NOISE).convert("CMYK").save(path), (50, 30), "CMYK"),
    "grey.bmp": (lambda path: Image.fromarray(NOISE).convert("L").save(path), (50, 30), ""),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_image_is_shown_as_the_model_saw_it_and_the_page_says_so(desk: Desk, tmp_path: Path, name: str) -> None:
    save, size, note = ODD[name]
    path = tmp_path / "uploads" / name
    save(path)
    asked = handlers.Asked(image={"path": str(path)}, query="red", checkpoint="planted-checkpoint")
    view = json.loads(handlers.read_thought(desk, asked, [], [], lambda done, message: None))
    [image] = view["images"]
    assert (image["width"], image["height"]) == size
    assert (image["cols"], image["rows"]) == (size[0] // 10, size[1] // 10)
    assert note == "" or any(note in sentence for sentence in view["warnings"])


@pytest.mark.parametrize(
    ("save", "sentence"),
    [
        (lambda path: Image.new("RGB", (20_000, 10)).save(path), "20000 × 10 pixels"),
        (lambda path: Image.new("1", (8_000, 8_000)).save(path), "at most 40 million pixels"),
        (lambda path: path.write_bytes(b""), "0 bytes"),
        (lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"), "an SVG drawing"),
    ],
    ids=["thread", "bomb", "empty", "svg"],
)
def test_an_image_that_cannot_be_used_is_refused(
    desk: Desk, tmp_path: Path, save: Callable[[Path], Any], sentence: str
) -> None:
    path = tmp_path / "uploads" / "given.png"
    save(path)
    with pytest.raises(BadInput, match=re.escape(sentence)):
        handlers.accept(desk, [{"path": str(path)}], "tab")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def make_foreign(path: Path) -> None:
    path.write_text('{"model_type": "bert", "architectures": ["BertModel"]}')


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("model.safetensors", Path.unlink),
        ("model.safetensors", cut),
        ("tokenizer.json", Path.unlink),
        ("preprocessor_config.json", Path.unlink),
        ("config.json", make_foreign),
        ("thinkscope.json", Path.unlink),
    ],
)
def test_a_broken_checkpoint_is_named_in_one_sentence(
    tiny_checkpoint: Path, tmp_path: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, folder)
    spoil(folder / name)
    desk = Desk(Session(device="cpu"), [folder], upload_folder=tmp_path)
    asked = handlers.Asked(image=None, query="What is it?", checkpoint="broken")
    with pytest.raises(BadCheckpoint) as caught:
        handlers.read_thought(desk, asked, [], [], lambda done, message: None)
    assert "\n" not in str(caught.value)
    assert "broken" in str(caught.value) or name in str(caught.value)
