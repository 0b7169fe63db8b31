"""A map as one file, and as what a browser is sent."""

import base64
import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest
from latent_maps import HOSTILE, make_latent_map

from workbench.assets import assets_dir, read_vendored
from workbench.errors import BadInput
from workbench.latent_map import NO_VALUE, Column, LatentMap
from workbench.render.map_html import map_html
from workbench.render.map_payload import MAX_NEAR, describe_map, map_arrays, pack, sample_rows

KINDS = {"u1": np.uint8, "u2": np.uint16, "i2": np.int16, "i4": np.int32, "f4": np.float32}


def unpack(packed: dict[str, Any]) -> dict[str, np.ndarray]:
    block = base64.b64decode(packed["data"])
    return {
        name: np.frombuffer(block, dtype=KINDS[kind], count=count, offset=offset)
        for name, (kind, offset, count) in packed["arrays"].items()
    }


def part(text: str, name: str) -> Any:
    [found] = re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', text)
    return json.loads(found)


def test_numbers_come_back_as_they_went() -> None:
    latent_map = make_latent_map(checkpoints=2)
    found = unpack(pack(map_arrays(latent_map, neighbours=True)))
    assert np.array_equal(found["pca"].reshape(-1, 2), latent_map.projections["pca"])
    assert np.array_equal(found["sample"], latent_map.sample)
    assert np.array_equal(found["k"], latent_map.k)
    assert np.array_equal(found["column answer"], latent_map.column("answer").values)
    assert np.array_equal(found["column confidence"], latent_map.column("confidence").values, equal_nan=True)
    assert np.array_equal(found["neighbours"].reshape(len(latent_map), -1), latent_map.neighbours[:, :MAX_NEAR])
    assert latent_map.pairing is not None
    assert np.array_equal(found["pairs"].reshape(-1, 2), latent_map.pairing.pairs)
    assert all(offset % 4 == 0 for _, offset, _ in pack(map_arrays(latent_map, neighbours=True))["arrays"].values())


@pytest.mark.parametrize(("n", "kind", "none"), [(3, "u1", 255), (300, "u2", 65_535)])
def test_codes_take_as_little_room_as_they_need(n: int, kind: str, none: int) -> None:
    latent_map = make_latent_map(n_samples=4, k=2)
    codes = np.array([0, n - 1, NO_VALUE, 0, 1, 1, 0, 0], dtype=np.int32)
    column = Column(name="many", kind="categorical", values=codes, categories=tuple(f"c{i}" for i in range(n)))
    changed = dataclasses.replace(latent_map, columns=(column,))
    packed = pack(map_arrays(changed, neighbours=False))
    assert packed["arrays"]["column many"][0] == kind
    assert describe_map(changed)["columns"][0]["none"] == none
    assert unpack(packed)["column many"].tolist() == [0, n - 1, none, 0, 1, 1, 0, 0]


def test_the_file_fetches_nothing_and_holds_everything() -> None:
    latent_map = make_latent_map()
    text = map_html(latent_map)
    markup = text.split('<script type="application/json"')[0]
    assert not re.search(r"\b(src|href)=", markup)
    assert "default-src 'none'" in markup
    assert "connect-src" not in markup
    assert "createScatterplot" in text
    held = part(text, "map-samples")
    assert [one["id"] for one in held["samples"]] == [sample.id for sample in latent_map.samples]
    assert all(one["thumbnail"].startswith("data:image/jpeg;base64,") for one in held["samples"])
    assert held["texts"]["remark"][5] == "remark 5"
    head = part(text, "map-head")
    assert (head["points_found"], head["n_samples"], head["shown"]) == (240, 30, "pca")
    assert head["notes"] == ["A sample of half the points is shown."]
    assert unpack(part(text, "map-arrays"))["sample"].tolist() == latent_map.sample.tolist()


def test_what_a_model_wrote_is_never_markup() -> None:
    latent_map = dataclasses.replace(make_latent_map(), title=HOSTILE, notes=(HOSTILE,))
    text = map_html(latent_map)
    assert HOSTILE not in text
    assert "<img" not in text.split("<script>")[0]
    assert part(text, "map-samples")["samples"][1]["thoughts"] == [HOSTILE]


def test_letters_that_no_file_can_hold_are_spelt_out() -> None:
    latent_map = make_latent_map(n_samples=3)
    broken = dataclasses.replace(latent_map.samples[0], text="half \ud800 a pair \u202e turned", id="\udfff")
    samples = sample_rows([broken])
    json.dumps(samples, ensure_ascii=False).encode("utf-8")
    assert "\u202e" not in samples[0]["text"]
    changed = dataclasses.replace(latent_map, samples=(broken, *latent_map.samples[1:]))
    map_html(changed).encode("utf-8")


def test_pictures_beyond_the_budget_are_left_out_and_said_so() -> None:
    latent_map = make_latent_map()
    one = len(latent_map.samples[0].thumbnail)
    text = map_html(latent_map, thumbnail_budget=10 * one)
    held = [bool(sample["thumbnail"]) for sample in part(text, "map-samples")["samples"]]
    assert 5 <= sum(held) < 30
    assert f"holds the pictures of {sum(held)} of 30 samples" in part(text, "map-head")["notes"][-1]


def test_two_checkpoints_of_one_folder_name_have_two_names() -> None:
    latent_map = make_latent_map(checkpoints=2)
    same = tuple(dataclasses.replace(one, checkpoint=f"/{i}/run") for i, one in enumerate(latent_map.checkpoints))
    names = [one["name"] for one in describe_map(dataclasses.replace(latent_map, checkpoints=same))["checkpoints"]]
    assert names == ["/0/run", "/1/run"]
    twins = (latent_map.checkpoints[0],) * 2
    names = [one["name"] for one in describe_map(dataclasses.replace(latent_map, checkpoints=twins))["checkpoints"]]
    assert len(set(names)) == 2


def test_a_number_that_is_none_is_not_written_as_one() -> None:
    latent_map: LatentMap = make_latent_map()
    figures = tuple(dataclasses.replace(one, value=float("nan")) for one in latent_map.figures)
    head = describe_map(dataclasses.replace(latent_map, figures=figures))
    assert json.dumps(head, allow_nan=False)
    assert head["figures"][0]["value"] is None


def test_the_vendored_script_is_the_one_that_its_readme_names() -> None:
    import hashlib

    script = read_vendored("regl-scatterplot", "regl-scatterplot.js")
    readme = (assets_dir() / "vendor" / "regl-scatterplot" / "README.md").read_text()
    assert hashlib.sha256(script.encode()).hexdigest() in readme
    assert "</script" not in script
    licences = (assets_dir() / "vendor" / "regl-scatterplot" / "LICENSES.txt").read_text()
    for package in ("regl-scatterplot", "regl", "pub-sub-es", "kdbush", "gl-matrix", "earcut", "dom-2d-camera"):
        assert f"==== {package} " in licences
    with pytest.raises(BadInput, match=r"lacks 'nobody/nothing\.js'"):
        read_vendored("nobody", "nothing.js")
