"""What an export wrote, as others read it: datasets, pandas, DuckDB, jq, safetensors. Real records of a small random model."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from quick import records, tree, write_rows

from workbench.export.engines.single import SingleEngine
from workbench.export.planning import make_plan
from workbench.export.record import schema
from workbench.export.run import run_export

ROWS = 7
FAILED = (1, 4, 6)
"""The first among them: loaders guess types from what they read first."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """An export of seven rows, of which three fail: as one file, and as a folder of parts."""
    place = tmp_path_factory.mktemp("exported")
    Image.effect_noise((64, 48), 80).convert("RGB").save(place / "noise.png")
    data = write_rows(
        place / "rows.jsonl",
        ROWS,
        row_1="{broken",
        row_2={
            "id": "pictured",
            "query": "describe \u2028 this",
            "image": "noise.png",
            "answer": "noise",
            "score": 0.5,
        },
        row_4={"id": "gone", "query": "and this?", "image": "gone.png"},
        row_6={"id": "pictured", "query": "again?"},
    )
    settings = {"extras": ("latents", "embedding", "lens", "knockout"), "parquet": True, "device": "cpu"}
    for out in (place / "thoughts.jsonl", place / "parts"):
        plan = make_plan(str(data), str(tiny_checkpoint), out, part_rows=4, max_tokens=5, batch=4, **settings)  # pyright: ignore[reportArgumentType]
        found = run_export(plan, SingleEngine(), out)
        assert (found.status, found.rows, found.failed) == ("complete", ROWS, len(FAILED))
    return place


@pytest.fixture
def expected(folder: Path) -> list[dict[str, Any]]:
    return records(folder / "thoughts.jsonl")


def test_every_record_is_of_the_published_shape(expected: list[dict[str, Any]]) -> None:
    for record in expected:
        jsonschema.validate(record, schema("thought"))
    assert [record["row"] for record in expected] == list(range(1, ROWS + 1))
    assert tuple(record["row"] for record in expected if record["error"]) == FAILED
    assert all((record["thought"] is None) == (record["error"] is not None) for record in expected)


def test_the_manifests_are_of_the_published_shape(folder: Path) -> None:
    for path in (folder / "thoughts.manifest.json", folder / "parts" / "manifest.json"):
        held = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.validate(held, schema("manifest"))
        beside = [name for name in held["files"].values() if not (path.parent / name).exists()]
        assert (held["status"], beside) == ("complete", [])


def test_datasets_reads_it(folder: Path, expected: list[dict[str, Any]], tmp_path: Path) -> None:
    import datasets

    for files in (str(folder / "thoughts.jsonl"), str(folder / "parts" / "*.jsonl")):
        held = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path))
        assert held["id"] == [record["id"] for record in expected]
        assert held["error"] == [record["error"] for record in expected]
        texts = [thought and thought["text"] for thought in held["thought"]]
        assert texts == [record["thought"] and record["thought"]["text"] for record in expected]
    table = datasets.load_dataset(
        "parquet", data_files=str(folder / "thoughts.parquet"), split="train", cache_dir=str(tmp_path)
    )
    assert table["id"] == held["id"]


def test_pandas_reads_it(folder: Path, expected: list[dict[str, Any]]) -> None:
    import pandas

    lines = pandas.read_json(folder / "thoughts.jsonl", lines=True)
    table = pandas.read_parquet(folder / "thoughts.parquet")
    assert list(lines["id"]) == list(table["id"]) == [record["id"] for record in expected]
    assert tuple(table["row"][table["error"].notna()]) == FAILED
    thoughts = [record["thought"]["text"] for record in expected if record["thought"]]
    assert list(table["thought"].dropna()) == thoughts


def test_duckdb_reads_it(folder: Path, expected: list[dict[str, Any]]) -> None:
    duckdb = pytest.importorskip("duckdb")
    lines = f"read_json('{folder}/thoughts.jsonl', format = 'newline_delimited')"
    parts = f"read_json('{folder}/parts/*.jsonl', format = 'newline_delimited')"
    for source in (lines, parts, f"'{folder}/thoughts.parquet'"):
        [(n, failed)] = duckdb.sql(f"select count(*), count(error) from {source}").fetchall()
        assert (n, failed) == (ROWS, len(FAILED))
    query = f"select id, thought.text, len(thought.tokens) from {lines} where error is null order by row"
    found = [(r["id"], r["thought"]["text"], len(r["thought"]["tokens"])) for r in expected if not r["error"]]
    assert duckdb.sql(query).fetchall() == found


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is missing: apt-get install -y jq")
def test_jq_reads_it(folder: Path, expected: list[dict[str, Any]]) -> None:
    command = ["jq", "-c", "select(.error == null) | [.id, .thought.text]", str(folder / "thoughts.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [[record["id"], record["thought"]["text"]] for record in expected if not record["error"]]
    assert [json.loads(line) for line in done.stdout.split("\n")[:-1]] == found


def test_arrays_are_where_the_records_say(folder: Path, expected: list[dict[str, Any]], tiny_model: Any) -> None:
    from safetensors.numpy import load_file

    for root, held in ((folder, expected), (folder / "parts", records(folder / "parts" / "part-00000.jsonl"))):
        for record in held:
            if record["error"]:
                assert record["arrays"] is None
                continue
            arrays = load_file(root / record["arrays"]["file"])
            embedding = arrays[record["arrays"]["keys"]["embedding"]]
            assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
            assert arrays[record["arrays"]["keys"]["latents"]].shape[1] == tiny_model.info.n_think
            assert record["arrays"]["keys"]["attention"] is None


def test_one_file_and_parts_hold_the_same(folder: Path) -> None:
    parts = tree(folder / "parts")
    joined = b"".join(parts[f"part-0000{number}.jsonl"] for number in (0, 1))
    assert (folder / "thoughts.jsonl").read_bytes() == joined.replace(b'"file":"arrays/', b'"file":"thoughts.arrays/')
    names = [name for name in parts if name.startswith("arrays/")]
    assert len(names) == 2
    assert all((folder / "thoughts.arrays" / Path(name).name).read_bytes() == parts[name] for name in names)
