"""A run of an export that was stopped, however it was: it is gone on with, and nothing is lost, doubled or mixed."""

import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from quick import ORIGIN, QuickModel, export, manifest, records, stopped_after, tree, write_rows

from workbench.errors import BadInput
from workbench.export import durable, part
from workbench.export.place import Place
from workbench.export.plan import DECIDING
from workbench.export.record import schema
from workbench.export.run import ExportStopped

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("name", ["thoughts.jsonl", "thoughts"])
def test_a_cancelled_run_is_gone_on_with(rows: Path, tmp_path: Path, name: str) -> None:
    export(rows, tmp_path / "whole" / name)
    out = tmp_path / "cut" / name
    found = export(rows, out, run={"cancelled": stopped_after(2)})
    assert (found.status, found.rows, found.made) == ("cancelled", 8, 8)
    held = json.loads(found.manifest.read_text())
    jsonschema.validate(held, schema("manifest"))
    assert (held["status"], held["counts"], held["parts"]) == ("partial", None, [])
    with pytest.raises(BadInput, match="is begun already, but not finished; go on with --resume"):
        export(rows, out)
    assert export(rows, out, run={"resume": True}).made == 2
    assert tree(tmp_path / "cut") == tree(tmp_path / "whole")


CHANGED = {
    "checkpoint_sha256": ("3" * 64, "The checkpoint is not the one that .* 333333333333, was 222222222222"),
    "data_revision": ("sha256:other", "The data set is not the one that"),
    "split": ("train", "--split test, but train is asked for"),
    "n": (7, r"--n \(not set\), but 7"),
    "extras": (("lens", "latents"), r"--with \(nothing\), but lens,latents"),
    "parquet": (True, "--parquet False, but True"),
    "on_error": ("stop", "--on-error skip, but stop"),
    "context": ("latents_only", "--context .* latents_only"),
    "max_tokens": (12, "--max-tokens 256, but 12"),
    "top": (3, "--top 5, but 3"),
    "part_rows": (5, "--part-rows 4, but 5"),
    "batch": (2, "--batch 256, but 2"),
    "seed": (1, "--seed 0, but 1"),
    "dtype": ("bfloat16", "--dtype float32, but bfloat16"),
    "threads": (2, "--threads 1, but 2"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_another_plan_is_not_mixed_in(rows: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "thoughts.jsonl"
    export(rows, out, run={"cancelled": stopped_after(1)})
    before = tree(tmp_path)
    value, sentence = CHANGED[name]
    with pytest.raises(BadInput, match=sentence):
        export(rows, out, run={"resume": True}, **{name: value})
    assert tree(tmp_path) == before


def test_every_deciding_field_was_tried() -> None:
    # `arrays` follows from the name of the output.
    assert set(CHANGED) | {"arrays"} == set(DECIDING)


def test_another_form_of_records_is_not_mixed_in(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(rows, tmp_path / "thoughts", run={"cancelled": stopped_after(1)})
    monkeypatch.setattr("workbench.export.record.VERSION", 99)
    with pytest.raises(BadInput, match="begun by another version of thinkscope"):
        export(rows, tmp_path / "thoughts", run={"resume": True})


def fill(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the disk be full from the nth file on."""
    number = itertools.count()
    real = os.fsync

    def fsync(handle: int) -> None:
        if next(number) >= after:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(durable.os, "fsync", fsync)


@pytest.mark.parametrize("name", ["thoughts.jsonl", "thoughts"])
def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 2)
    export(rows, tmp_path / "whole" / name, part_rows=1)
    for after in itertools.count():
        place = tmp_path / str(after)
        with monkeypatch.context() as patch:
            fill(patch, after)
            try:
                export(rows, place / name, part_rows=1)
            except ExportStopped as error:
                assert "The disk is full" in str(error)
                assert "--resume" in str(error)
                assert "\n" not in str(error)
            else:
                break
        assert not list(place.rglob(".making-*"))
        export(rows, place / name, run={"resume": True}, part_rows=1)
        assert tree(place) == tree(tmp_path / "whole")
    assert after > 10


@pytest.mark.parametrize("name", ["thoughts.jsonl", "thoughts"])
def test_a_part_that_lost_a_file_is_made_again(rows: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    folder = Place.of(out).folder
    export(rows, out, run={"cancelled": stopped_after(2)})
    (folder / "part-00001.jsonl").unlink()
    (folder / "part-00000.jsonl").write_bytes(b"{}\n")
    assert export(rows, out, run={"resume": True}).made == 10
    export(rows, tmp_path / "whole" / name)
    assert [record["id"] for path in tmp_path.glob(f"{name}/*.jsonl") for record in records(path)] or records(out)


def test_a_part_that_was_changed_is_not_joined(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "thoughts.jsonl"
    export(rows, out, run={"cancelled": stopped_after(2)})
    first = tmp_path / "thoughts.parts" / "part-00000.jsonl"
    first.write_bytes(first.read_bytes().replace(b"id-1", b"id-7"))
    with pytest.raises(BadInput, match=r"part-00000.jsonl' is not what was written there; remove it and resume"):
        export(rows, out, run={"resume": True})
    first.unlink()
    assert export(rows, out, run={"resume": True}).status == "complete"
    assert [record["id"] for record in records(out)] == [f"id-{number}" for number in range(1, 11)]


def test_a_finished_folder_that_lost_a_part_gets_it_back(rows: Path, tmp_path: Path) -> None:
    export(rows, tmp_path / "thoughts")
    before = tree(tmp_path)
    (tmp_path / "thoughts" / "part-00001.json").unlink()
    assert export(rows, tmp_path / "thoughts", run={"resume": True}).made == 4
    assert tree(tmp_path) == before


def test_a_finished_file_that_is_gone_is_told(rows: Path, tmp_path: Path) -> None:
    export(rows, tmp_path / "thoughts.jsonl")
    (tmp_path / "thoughts.jsonl").unlink()
    with pytest.raises(BadInput, match=r"says that the export is complete, but 'thoughts.jsonl' is gone"):
        export(rows, tmp_path / "thoughts.jsonl", run={"resume": True})


def test_notes_of_another_export_are_not_taken(rows: Path, tmp_path: Path) -> None:
    export(rows, tmp_path / "a", top=3)
    export(rows, tmp_path / "b", run={"cancelled": stopped_after(1)})
    shutil.copy(tmp_path / "a" / "part-00001.json", tmp_path / "b")
    with pytest.raises(BadInput, match="belongs to another export"):
        export(rows, tmp_path / "b", run={"resume": True})


def test_parts_made_in_several_ways_are_told(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "thoughts.jsonl"
    export(rows, out, run={"cancelled": stopped_after(1)})
    newer = replace(ORIGIN, versions={"torch": "99"}, device="cuda:1")
    monkeypatch.setattr(part, "load_checkpoint", lambda *_, **__: QuickModel(newer))
    assert export(rows, out, run={"resume": True}).mixed == 2
    [other] = manifest(out)["further_provenances"]
    assert (other["device"], other["versions"]) == ("cuda", {"torch": "99"})


def killed(*words: Path) -> dict[str, Any]:
    command = [sys.executable, ROOT / "tests" / "killing.py", *words]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_killed_before_any_step_it_is_gone_on_with(tmp_path: Path) -> None:
    assert min(killed(tmp_path).values()) > 40


@pytest.mark.slow
def test_killed_at_random_moments_it_is_gone_on_with(tmp_path: Path, tiny_checkpoint: Path) -> None:
    found = killed(tmp_path, tiny_checkpoint)
    assert (found["killed"], found["records"]) == (50, 8)
