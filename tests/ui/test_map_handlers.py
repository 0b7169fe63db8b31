"""What the page Map asks of the server, without a browser: answers, nonsense, and tabs that do not mix."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from latent_maps import HOSTILE, make_latent_map

from workbench.data.reader import read_pairs
from workbench.errors import BadInput, UnknownName, WorkbenchError
from workbench.images import refer
from workbench.latent_map import LatentMap
from workbench.render.map_payload import MAX_NEAR
from workbench.ui.desk import SHAPES, Desk
from workbench.ui.map_handlers import (
    MAX_ASKED,
    fetch_engine,
    fetch_map,
    fetch_near,
    fetch_samples,
    find_inside,
    find_text,
    open_sample,
    save_map,
)
from workbench.ui.map_shelf import MapShelf
from workbench.ui.map_work import MapAsked, look_map, start_map

CHECKPOINT = "planted-checkpoint"


@pytest.fixture
def latent_map() -> LatentMap:
    return make_latent_map()


@pytest.fixture
def key(desk: Desk, latent_map: LatentMap) -> str:
    key = desk.maps.open("tab", (CHECKPOINT,))
    desk.maps.put(key, latent_map)
    return key


def points(answer: dict[str, Any]) -> list[int]:
    return np.frombuffer(base64.b64decode(answer["points"]), dtype="<i4").tolist()


def finish(desk: Desk, text: str) -> tuple[str, dict[str, Any]]:
    """Look after a job until it ends; returns the map's key and the last answer."""
    found = json.loads(text)
    key, end = found["map"], time.monotonic() + 60
    while "answer" not in found and "error" not in found:
        assert time.monotonic() < end
        time.sleep(0.02)
        found = look_map(desk, {"job": found["job"], "map": key})
    return key, found


def test_a_shape_is_answered_with_its_points_and_their_samples(desk: Desk, key: str, latent_map: LatentMap) -> None:
    corners = [[-3.0, -3.0], [3.5, -3.0], [3.5, 3.0], [-3.0, 3.0]]
    found = find_inside(desk, {"map": key, "projection": "pca", "polygon": corners})
    inside = np.flatnonzero((np.abs(latent_map.projections["pca"] - [0.25, 0]) < [3.25, 3]).all(axis=1))
    assert points(found) == inside.tolist()
    assert found["listed"] == list(dict.fromkeys(latent_map.sample[inside].tolist()))
    assert [one["id"] for one in found["samples"]] == [latent_map.samples[i].id for i in found["listed"]]


def test_a_text_and_neighbours_are_answered(desk: Desk, key: str, latent_map: LatentMap) -> None:
    found = find_text(desk, {"map": key, "text": " onerror "})
    assert set(latent_map.sample[points(found)].tolist()) == {1}
    assert found["samples"][0]["thoughts"] == [HOSTILE]
    near = fetch_near(desk, {"map": key, "point": 17})
    assert points(near) == latent_map.neighbours[17, :MAX_NEAR].tolist()
    assert near["distances"] == pytest.approx(latent_map.distances[17, :MAX_NEAR].tolist())


def test_the_map_goes_over_without_its_samples(desk: Desk, key: str) -> None:
    found = fetch_map(desk, {"map": key})
    assert found["version"] == 1
    assert "thumbnail" not in json.dumps(found)
    assert "neighbours" not in found["arrays"]["arrays"]
    assert "createScatterplot" in fetch_engine()["script"]


@pytest.mark.parametrize(
    ("ask", "asked"),
    [
        (find_inside, {"projection": "pca", "polygon": [[0, 0], [1, 1]]}),
        (find_inside, {"projection": "pca", "polygon": [[0, 0], [1, 1], [None, 2]]}),
        (find_inside, {"projection": "pca", "polygon": [[0, 0], [1, 1], [float("inf"), 2]]}),
        (find_inside, {"projection": "pca", "polygon": [[0, 0], [1, 1], "ab"]}),
        (find_inside, {"projection": "pca", "polygon": [[0, 0]] * 2_000}),
        (find_inside, {"projection": "tsne", "polygon": [[0, 0], [1, 1], [0, 1]]}),
        (find_inside, {"projection": ["pca"], "polygon": [[0, 0], [1, 1], [0, 1]]}),
        (find_text, {"text": "   "}),
        (find_text, {"text": "x" * 501}),
        (find_text, {"text": 5}),
        (fetch_near, {"point": 120}),
        (fetch_near, {"point": -1}),
        (fetch_near, {"point": True}),
        (fetch_samples, {"samples": "0"}),
        (fetch_samples, {"samples": [0.5]}),
        (fetch_samples, {"samples": [0] * (MAX_ASKED + 1)}),
        (save_map, {"kind": "exe"}),
    ],
)
def test_nonsense_is_refused_in_a_sentence(desk: Desk, key: str, ask: Any, asked: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"\.$"):
        ask(desk, {"map": key, **asked})


@pytest.mark.parametrize("key", ["", "0" * 16, None, ["x"], {}])
def test_a_key_that_was_never_given_opens_nothing(desk: Desk, key: object) -> None:
    for ask in (fetch_map, fetch_samples, find_inside, find_text, fetch_near, save_map):
        with pytest.raises(BadInput, match="no longer in memory"):
            ask(desk, {"map": key})


def test_a_tab_that_closes_takes_its_maps_along_and_no_others() -> None:
    shelf = MapShelf()
    mine, yours = shelf.open("mine", ("a",)), shelf.open("yours", ("b",))
    with pytest.raises(BadInput, match="not drawn yet"):
        shelf.get(mine)
    shelf.put(yours, make_latent_map(n_samples=3))
    shelf.release("mine")
    shelf.release(None)
    assert shelf.version(yours) == 1
    with pytest.raises(BadInput):
        shelf.version(mine)
    shelf.put(mine, make_latent_map(n_samples=3))
    with pytest.raises(BadInput):
        shelf.get(mine)


def test_the_map_used_longest_ago_goes_first() -> None:
    shelf = MapShelf(max_maps=2)
    first, second = shelf.open(None, ()), shelf.open(None, ())
    shelf.version(first)
    shelf.open(None, ())
    assert shelf.version(first) == 0
    with pytest.raises(BadInput):
        shelf.version(second)


@pytest.mark.parametrize("of", ["thoughts", "pooled-thoughts", "embedding"])
def test_a_map_is_made_and_a_sample_of_it_opened(desk: Desk, of: str) -> None:
    asked = MapAsked(checkpoint=CHECKPOINT, data=SHAPES, n=12, of=of, projection="pca", neighbours=3)
    key, found = finish(desk, start_map(desk, asked, "tab"))
    assert "error" not in found
    latent_map = desk.maps.get(key)
    assert (len(latent_map.samples), latent_map.of, latent_map.shown) == (12, of, "pca")
    assert desk.maps.version(key) >= 2
    images, query, checkpoint = open_sample(desk, {"map": key, "sample": 4, "checkpoint": 0}, "tab")
    assert (query, checkpoint) == (latent_map.samples[4].text, CHECKPOINT)
    for image in images:
        assert desk.uploads.contains(Path(image))
    fifth = list(read_pairs("shapes", limit=5))[4]
    assert [refer(Path(image)).sha256 for image in images] == [ref.sha256 for ref in fifth.query.images]
    desk.uploads.release("tab")
    assert not any(Path(image).exists() for image in images)


@pytest.mark.parametrize(("given", "layer"), [("", 2), ("  ", 2), (None, 2), ("0", 0), (" 1 ", 1), ("-2", 1), (1, 1)])
def test_an_empty_layer_is_the_last(desk: Desk, given: object, layer: int) -> None:
    asked = MapAsked(checkpoint=CHECKPOINT, data=SHAPES, n=4, of="thoughts", projection="pca", layer=given)
    key, _ = finish(desk, start_map(desk, asked, "tab"))
    assert desk.maps.get(key).layer == layer


def test_a_map_without_a_place_in_data_cannot_be_opened(desk: Desk, key: str) -> None:
    import dataclasses

    latent_map = desk.maps.get(key)
    desk.maps.put(key, dataclasses.replace(latent_map, source={}))
    with pytest.raises(BadInput, match="does not say where sample 'test-000002' comes from"):
        open_sample(desk, {"map": key, "sample": 2, "checkpoint": 0}, None)
    desk.maps.put(key, dataclasses.replace(latent_map, source={"data": "shapes:x", "split": "test"}))
    with pytest.raises(WorkbenchError):
        open_sample(desk, {"map": key, "sample": 2, "checkpoint": 0}, None)


def test_a_sample_of_data_that_have_changed_is_not_taken_for_the_one_that_was_drawn(desk: Desk, key: str) -> None:
    import dataclasses

    latent_map = desk.maps.get(key)
    older = {**latent_map.source, "revision": "sha256:before"}
    desk.maps.put(key, dataclasses.replace(latent_map, source=older))
    with pytest.raises(BadInput, match="changed since the map was drawn; draw the map again"):
        open_sample(desk, {"map": key, "sample": 2, "checkpoint": 0}, None)


def test_a_cancelled_map_ends(desk: Desk) -> None:
    asked = MapAsked(checkpoint=CHECKPOINT, data=SHAPES, n=20_000, of="embedding", projection="pca")
    found = json.loads(start_map(desk, asked, "tab"))
    desk.jobs.cancel(found["job"])
    with pytest.raises(BadInput, match="no longer being made"):
        look_map(desk, {"job": found["job"], "map": found["map"]})
    # The models are free again.
    with desk.session.occupied():
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 1},
        {"n": 1e9},
        {"n": float("nan")},
        {"n": "many"},
        {"n": None},
        {"n": 2.5},
        {"of": "dreams"},
        {"data": None},
        {"data": "/etc/passwd"},
        {"split": ""},
        {"split": ["test"]},
        {"layer": "top"},
        {"layer": "1.5"},
        {"layer": "9" * 30},
        {"layer": ["0"]},
        {"neighbours": 1},
        {"projection": "tsne"},
        {"checkpoint": None},
        {"checkpoint": "../other"},
        {"second": CHECKPOINT},
        {"second": {"a": 1}},
    ],
)
def test_what_cannot_be_drawn_is_said_before_a_job_begins(desk: Desk, wrong: dict[str, Any]) -> None:
    given = {"checkpoint": CHECKPOINT, "data": SHAPES, "n": 12, "of": "embedding", "projection": "pca"}
    with pytest.raises((BadInput, UnknownName)):
        start_map(desk, MapAsked(**(given | wrong)), "tab")
    assert desk.jobs._jobs == {}


def test_thoughts_of_a_checkpoint_without_any_are_refused_before_the_other_is_read(
    desk: Desk, tiny_kinds: dict[str, Path], tmp_path: Path
) -> None:
    desk = Desk(desk.session, [tmp_path / CHECKPOINT, tiny_kinds["no-think"]], upload_folder=tmp_path)
    # The bundled one of this name, where there is one, comes first.
    silent = next(name for name, path in desk.checkpoints.items() if path.resolve() == tiny_kinds["no-think"].resolve())
    given = {"checkpoint": CHECKPOINT, "second": silent, "data": SHAPES, "n": 12, "projection": "pca"}
    for of in ("thoughts", "pooled-thoughts"):
        with pytest.raises(BadInput, match=r"has no think tokens.*'Embeddings' on the page"):
            start_map(desk, MapAsked(**given, of=of), "tab")
    assert desk.jobs._jobs == {}
    assert desk.session.planted.prepared == []
    _, found = finish(desk, start_map(desk, MapAsked(**given, of="embedding"), "tab"))
    assert "error" not in found


def test_a_split_that_is_not_there_is_said_by_the_job(desk: Desk) -> None:
    asked = MapAsked(checkpoint=CHECKPOINT, data=SHAPES, n=12, split="nowhere", of="embedding", projection="pca")
    _, found = finish(desk, start_map(desk, asked, "tab"))
    assert "no split named 'nowhere'" in found["error"]


def test_a_map_is_saved_as_files(desk: Desk, key: str, tmp_path: Path) -> None:
    assert save_map(desk, {"map": key, "kind": "html"})["text"].startswith("<!doctype html>")
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    saved = save_map(desk, {"map": key, "kind": "parquet"})
    (tmp_path / "map.parquet").write_bytes(base64.b64decode(saved["base64"]))
    assert parquet.read_table(tmp_path / "map.parquet").num_rows == 120


def test_offered_data_is_looked_at_when_the_app_starts(tmp_path: Path) -> None:
    from workbench.runner import Session

    with pytest.raises(BadInput, match="neither a file or folder nor a reader"):
        Desk(Session(), data=[str(tmp_path / "nothing")], upload_folder=tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"text": "what?"}\n')
    offered = Desk(Session(), data=[str(tmp_path / "rows.jsonl")], upload_folder=tmp_path)
    assert offered.data_of(str(tmp_path / "rows.jsonl")) == str(tmp_path / "rows.jsonl")
    assert list(offered.datasets) == [SHAPES, str(tmp_path / "rows.jsonl")]
