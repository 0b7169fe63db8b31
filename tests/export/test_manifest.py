"""A manifest leads back to the data, and tells no more of where they lie than it must."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from quick import write_rows

from workbench.data.reader import find_reader
from workbench.export.manifest import data_source, manifest_json, manifest_text
from workbench.export.place import Place
from workbench.export.plan import Plan
from workbench.export.planning import make_plan
from workbench.export.record import schema


def told(plan: Plan) -> dict[str, Any]:
    held = json.loads("".join(manifest_text(manifest_json(plan, [], None, {}), [])))
    jsonschema.validate(held, schema("manifest"))
    return held


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    place = Place.of(tmp_path / "out" / "thoughts.jsonl")
    return Plan(
        data="shapes",
        checkpoint=tmp_path / "model",
        checkpoint_sha256="0" * 64,
        folder=place.folder,
        arrays=place.arrays_name,
        dtype="float32",
    )


@pytest.mark.parametrize("name", ["shapes", "shapes:9", "hf:someone/things"])
def test_a_name_stays_as_it_was_given(plan: Plan, tmp_path: Path, name: str) -> None:
    held = told(replace(plan, data=name))
    assert held["data"]["source"] == name
    assert data_source(held, tmp_path) == name


@pytest.mark.parametrize(
    ("before", "where", "seen"),
    [
        ("", "out/rows.jsonl", "./rows.jsonl"),
        ("", "data/rows.jsonl", "../data/rows.jsonl"),
        ("jsonl:", "data/rows.jsonl", "jsonl:../data/rows.jsonl"),
    ],
)
def test_a_path_moves_with_the_manifest(plan: Plan, tmp_path: Path, before: str, where: str, seen: str) -> None:
    (tmp_path / "out").mkdir()
    path = tmp_path / where
    path.parent.mkdir(exist_ok=True)
    write_rows(path, 2)
    held = told(replace(plan, data=f"{before}{path}"))
    assert held["data"]["source"] == seen
    assert str(tmp_path) not in json.dumps(held)
    assert data_source(held, tmp_path / "out") == f"{before}{path}"
    shutil.copytree(tmp_path, tmp_path / "elsewhere")
    moved = data_source(held, tmp_path / "elsewhere" / "out")
    assert moved == f"{before}{tmp_path / 'elsewhere' / where}"
    reader, source = find_reader(moved)
    assert len(list(reader.rows(source, split="test"))) == 2
    path.unlink()
    assert data_source(held, tmp_path / "out") is None


def test_a_folder_of_parts_is_its_own_place(plan: Plan, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 1)
    place = Place.of(tmp_path / "thoughts")
    held = told(replace(plan, data=str(rows), folder=place.folder, arrays=place.arrays_name))
    assert held["data"]["source"] == "../rows.jsonl"
    assert data_source(held, place.manifest.parent) == str(rows)


@pytest.mark.parametrize(
    ("kind", "tells", "text"),
    [
        ("lame", "target", "decoded target"),
        ("explicit-cot", "reasoning", "written reasoning"),
        ("no-think", "nothing", "decoded thought"),
        ("", "reasoning", "decoded thought"),
    ],
)
def test_a_manifest_says_what_the_thoughts_tell(
    tiny_kinds: dict[str, Path], tiny_checkpoint: Path, tmp_path: Path, kind: str, tells: str, text: str
) -> None:
    folder = tiny_kinds.get(kind, tiny_checkpoint)
    made = make_plan("shapes", str(folder), tmp_path / "thoughts.jsonl", n=1, device="cpu")
    held = told(made)
    assert (held["tells"], made.text) == (tells, text)
    # What it tells follows from the checkpoint, whose hash decides already.
    assert not {"tells", "text"} & held["plan"].keys()


def test_what_the_files_do_not_say_is_null(plan: Plan) -> None:
    held = told(plan)
    assert held["tells"] is None
    held["tells"] = "dreams"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(held, schema("manifest"))


def test_an_older_manifest_does_not_say(plan: Plan, tmp_path: Path) -> None:
    held = told(plan)
    del held["data"]["source"], held["tells"]
    jsonschema.validate(held, schema("manifest"))
    assert data_source(held, tmp_path) is None
