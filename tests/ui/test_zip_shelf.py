"""Zips that a tab uploaded on the page Export are data sets of its page Map: offered, drawn, opened, kept from others, gone."""

import base64
import json
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from workbench.errors import BadInput, Cancelled
from workbench.render.map_html import map_html
from workbench.stages import quiet
from workbench.ui.desk import SHAPES, Desk
from workbench.ui.export_asked import check_upload
from workbench.ui.map_handlers import fetch_map, fetch_samples, open_sample, save_map
from workbench.ui.map_work import MapAsked, look_map, start_map
from workbench.ui.zip_shelf import ZipShelf

CHECKPOINT = "planted-checkpoint"


def pack(path: Path, n: int = 12) -> Path:
    """n questions about images of different colours; the image of the third is missing."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(n):
            if number != 2:
                drawn = BytesIO()
                Image.new("RGB", (50, 30), (20 * number, 90, 40)).save(drawn, "PNG")
                archive.writestr(f"img/{number}.png", drawn.getvalue())
        rows = [f"q{number},Is number {number} red?,img/{number}.png" for number in range(n)]
        archive.writestr("queries.csv", "\n".join(["id,query,image", *rows]) + "\n")
    return path


@pytest.fixture
def key(desk: Desk, tmp_path: Path) -> str:
    """Of photos.zip, uploaded by the tab "mine"."""
    path = pack(tmp_path / "uploads" / "photos.zip")
    said = check_upload(desk, {"path": str(path), "orig_name": "photos.zip"}, "mine")
    assert "The page Map offers it" in said
    [(title, found)] = desk.zips.offers("mine")
    assert title == "photos.zip"
    return found


def drawn(desk: Desk, data: str, tab: str | None = "mine", **changed: Any) -> tuple[str, dict[str, Any]]:
    """Draw a map and look after it until it ends: its key, and the last answer."""
    given = {"checkpoint": CHECKPOINT, "data": data, "n": 300, "of": "embedding", "projection": "pca", "neighbours": 3}
    found = json.loads(start_map(desk, MapAsked(**(given | changed)), tab))
    key, end = found["map"], time.monotonic() + 60
    while "answer" not in found and "error" not in found:
        assert time.monotonic() < end
        time.sleep(0.02)
        found = look_map(desk, {"job": found["job"], "map": key})
    return key, found


def test_a_map_of_a_zip_is_drawn_and_its_samples_open(desk: Desk, key: str) -> None:
    # What stands in the box for the split belongs to another data set.
    made, found = drawn(desk, key, split="train")
    assert "error" not in found
    latent_map = desk.maps.get(made)
    assert [one.id for one in latent_map.samples] == [f"q{number}" for number in range(12) if number != 2]
    assert latent_map.samples[4].thumbnail
    assert any("1 samples gave no point" in note and "img/2.png" in note for note in latent_map.notes)
    [image], query, checkpoint = open_sample(desk, {"map": made, "sample": 4, "checkpoint": 0}, "mine")
    assert (query, checkpoint) == ("Is number 5 red?", CHECKPOINT)
    assert Image.open(image).getpixel((0, 0)) == (100, 90, 40)


def test_nothing_that_leaves_the_server_names_the_folder(desk: Desk, key: str, tmp_path: Path) -> None:
    made, _ = drawn(desk, key)
    held = desk.zips.find(key, "mine")
    assert held is not None
    secret = held.folder.parent.name
    assert len(secret) == 32
    latent_map = desk.maps.get(made)
    assert latent_map.source["data"] == "photos.zip"
    assert [one.image for one in latent_map.samples[:2]] == ["img/0.png", "img/1.png"]
    told = [fetch_map(desk, {"map": made}), fetch_samples(desk, {"map": made, "samples": [0, 1]})]
    told.append(save_map(desk, {"map": made, "kind": "html"}))
    for text in (*map(json.dumps, told), map_html(latent_map)):
        assert secret not in text
        assert str(tmp_path) not in text
    pytest.importorskip("pyarrow")
    content = base64.b64decode(save_map(desk, {"map": made, "kind": "parquet"})["base64"])
    assert secret.encode() not in content


def test_a_tab_is_offered_its_own_zips_alone(desk: Desk, key: str) -> None:
    assert desk.offers("mine") == [(SHAPES, SHAPES), ("photos.zip", key)]
    assert desk.offers("other") == desk.offers(None) == [(SHAPES, SHAPES)]
    for tab in ("other", None):
        with pytest.raises(BadInput, match="no longer here"):
            drawn(desk, key, tab=tab)
    with pytest.raises(BadInput, match="no longer here"):
        drawn(desk, "zip:" + "0" * 32)


def test_a_closed_tab_takes_its_zips_and_folders_along(desk: Desk, key: str) -> None:
    drawn(desk, key)
    held = desk.zips.find(key, "mine")
    assert held is not None
    assert held.folder.is_dir()
    desk.zips.leave("other")
    desk.zips.leave(None)
    assert held.folder.is_dir()
    desk.zips.leave("mine")
    assert not held.folder.parent.exists()
    with pytest.raises(BadInput, match="no longer here"):
        desk.zips.find(key, "mine")


def test_a_tab_that_closes_while_its_zip_is_unpacked_leaves_nothing(desk: Desk, key: str) -> None:
    held = desk.zips.find(key, "mine")
    assert held is not None

    def close_tab(done: float, message: str) -> None:
        desk.zips.leave("mine")

    with pytest.raises(Cancelled):
        desk.zips.unpack(held, tell=close_tab, cancelled=lambda: False)
    assert not held.folder.parent.exists()


def test_the_same_name_again_replaces_and_the_oldest_gives_way(tmp_path: Path) -> None:
    shelf, path = ZipShelf(tmp_path, max_kept=2), pack(tmp_path / "photos.zip", 3)
    first = shelf.add("mine", path, "photos.zip")
    old = shelf.find(first, "mine")
    assert old is not None
    shelf.unpack(old, tell=quiet, cancelled=lambda: False)
    assert (old.folder / "queries.csv").is_file()
    again = shelf.add("mine", path, "photos.zip")
    assert shelf.offers("mine") == [("photos.zip", again)]
    assert not old.folder.parent.exists()
    other = shelf.add("mine", path, "other.zip")
    shelf.find(again, "mine")
    shelf.add("yours", path, "photos.zip")
    assert shelf.offers("mine") == [("photos.zip", again)]
    with pytest.raises(BadInput):
        shelf.find(other, "mine")
    shelf.close()
    assert list((tmp_path / "zips").glob("*")) == []


@pytest.mark.parametrize("name", [SHAPES, None, "", [], {}, 5, "/etc/passwd"])
def test_what_is_no_key_is_no_zip(desk: Desk, name: object) -> None:
    assert desk.zips.find(name, "mine") is None
