"""Exports of the page: from a zip to files, cancelled and gone on with, side by side, and gone with their tab."""

import json
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import quick

from workbench.errors import BadInput, UnknownName, WorkbenchError
from workbench.export import planning
from workbench.export.engine import Engine, Outcome
from workbench.export.engines.single import SingleEngine
from workbench.export.plan import Plan
from workbench.ui import export_shelf
from workbench.ui.desk import SHAPES, Desk
from workbench.ui.export_asked import ExportAsked, check_upload
from workbench.ui.export_order import PART_ROWS
from workbench.ui.export_shelf import Export, ExportShelf
from workbench.ui.export_view import make_file
from workbench.ui.export_work import cancel_export, look_export, resume_export, start_export
from workbench.ui.guard import BUG

ROWS = 3 * PART_ROWS - 10
ENDED = ("complete", "cancelled", "failed")


@dataclass(frozen=True, kw_only=True)
class Gated(Engine):
    """Makes parts here, and waits behind the first until the gate is open."""

    name = "gated"
    about = "For tests."
    gate: threading.Event = field(default_factory=threading.Event)

    def run(self, plan: Plan, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        for outcome in SingleEngine().run(plan, parts, stopped=stopped):
            yield outcome
            while not self.gate.wait(0.01):
                if stopped():
                    return


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    quick.quicken(monkeypatch)
    found = {"checkpoint": Path("quick"), "checkpoint_sha256": quick.ORIGIN.checkpoint_sha256, "dtype": "float32"}
    monkeypatch.setattr(planning, "_find_model", lambda *_: found)
    desk.exports.engine = SingleEngine


@pytest.fixture
def gate(desk: Desk) -> Iterator[threading.Event]:
    engine = Gated()
    desk.exports.engine = lambda: engine
    yield engine.gate
    engine.gate.set()


def pack(desk_folder: Path, n: int = ROWS, *, header: str = "id,query,image", row_5: str = "e,what ?,gone.png") -> dict:
    lines = [f"id-{number},what is {number} ?," for number in range(1, n + 1)]
    if n >= 5:
        lines[4] = row_5
    path = desk_folder / "uploads" / f"photos-{n}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photos/questions.csv", "\n".join([header, *lines]) + "\n")
    return {"path": str(path), "orig_name": "my photos.zip", "meta": {"_type": "gradio.FileData"}}


def asked(upload: object = None, **more: Any) -> ExportAsked:
    return ExportAsked(**{"checkpoint": "planted-checkpoint", "data": SHAPES, "upload": upload, **more})


def wait(desk: Desk, export: Export, *states: str) -> dict[str, Any]:
    return until(desk, export, lambda view: view["state"] in (states or ENDED))


def until(desk: Desk, export: Export, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    end = time.monotonic() + 60
    while not found(view := look_export(desk, export.key)):
        assert time.monotonic() < end, view
        time.sleep(0.01)
    return view


def lines(export: Export, kind: str = "jsonl") -> list[dict[str, Any]]:
    path = Path(make_file(export, kind)["path"])
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_from_a_zip_to_files(desk: Desk, tmp_path: Path) -> None:
    upload = pack(tmp_path)
    said = check_upload(desk, upload, "tab")
    assert "the table photos/questions.csv" in said
    export = start_export(desk, asked(upload), "tab")
    view = wait(desk, export)
    assert (view["state"], view["error"], view["title"]) == ("complete", "", "my photos.zip")
    assert (view["done"], view["failed"], view["rows"]) == (ROWS - 1, 1, ROWS)
    assert [problem["row"] for problem in view["problems"]] == [5]
    assert "no file 'gone.png' in the data" in view["problems"][0]["reason"]
    assert [record["id"] for record in view["preview"]][:3] == ["id-1", "id-2", "id-3"]
    assert view["preview"][4]["error"]
    assert str(tmp_path) not in json.dumps(view)

    assert view["files"] == ["jsonl", "manifest", "zip"]
    assert [record["row"] for record in lines(export)] == list(range(1, ROWS + 1))
    manifest = json.loads(Path(make_file(export, "manifest")["path"]).read_text())
    assert manifest["counts"]["failed"] == 1
    assert manifest["command"][:3] == ["thinkscope", "export", "enclosed:my photos"]
    packed = make_file(export, "zip")
    assert zipfile.ZipFile(packed["path"]).namelist() == ["thoughts/thoughts.jsonl", "thoughts/thoughts.manifest.json"]
    assert all(desk.uploads.contains(Path(make_file(export, kind)["path"])) for kind in view["files"])
    with pytest.raises(BadInput, match="no such file"):
        make_file(export, "parquet")


@pytest.mark.parametrize(
    ("kind", "name"), [("lame", "decoded target"), ("explicit-cot", "written reasoning"), ("", "decoded thought")]
)
def test_what_is_written_is_called_by_its_name(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_kinds: dict[str, Path], kind: str, name: str
) -> None:
    text = planning._find_text(tiny_kinds[kind]) if kind else {}
    found = {**planning._find_model(Path(), None, None), **text}
    monkeypatch.setattr(planning, "_find_model", lambda *_: found)
    assert wait(desk, start_export(desk, asked(pack(tmp_path, 3)), "tab"))["text"] == name


def test_arrays_are_packed_where_the_records_name_them(desk: Desk, tmp_path: Path) -> None:
    export = start_export(desk, asked(pack(tmp_path, 3), extras=["latents"]), "tab")
    assert wait(desk, export)["state"] == "complete"
    packed = zipfile.ZipFile(make_file(export, "zip")["path"])
    assert f"thoughts/{lines(export)[0]['arrays']}" in packed.namelist()


def test_cancelled_is_kept_downloaded_and_gone_on_with(desk: Desk, tmp_path: Path, gate: threading.Event) -> None:
    export = start_export(desk, asked(pack(tmp_path)), "tab")
    view = until(desk, export, lambda view: view["done"] + view["failed"] == PART_ROWS)
    assert (view["rows"], view["state"], view["files"]) == (ROWS, "running", [])
    assert len(view["preview"]) == 10
    with pytest.raises(BadInput, match="no such file"):
        make_file(export, "jsonl")
    cancel_export(desk, export.key)
    view = wait(desk, export)
    assert (view["state"], view["done"] + view["failed"], view["error"]) == ("cancelled", PART_ROWS, "")
    assert view["rate"] > 0
    assert len(lines(export)) == PART_ROWS
    assert len(zipfile.ZipFile(make_file(export, "zip")["path"]).namelist()) == 2

    gate.set()
    resume_export(desk, export.key)
    view = wait(desk, export)
    assert (view["state"], view["done"] + view["failed"]) == ("complete", ROWS)
    assert [record["row"] for record in lines(export)] == list(range(1, ROWS + 1))
    assert not (export.folder / "so-far").exists()


def test_tabs_do_not_disturb_each_other_and_too_many_are_told(
    desk: Desk, tmp_path: Path, gate: threading.Event
) -> None:
    first = start_export(desk, asked(pack(tmp_path)), "one")
    second = start_export(desk, asked(n=40), "two")
    with pytest.raises(BadInput, match="still running; cancel it first"):
        start_export(desk, asked(n=40), "one")
    with pytest.raises(BadInput, match="2 exports are running already"):
        start_export(desk, asked(n=40), "three")
    until(desk, first, lambda view: view["done"] > 0)
    cancel_export(desk, first.key)
    assert wait(desk, first)["state"] == "cancelled"
    gate.set()
    view = wait(desk, second)
    assert (view["state"], view["title"], view["done"]) == ("complete", SHAPES, 40)
    assert first.folder != second.folder
    assert sorted(one.name for one in first.folder.parent.iterdir()) == sorted([first.key, second.key])


def test_a_new_export_takes_the_place_of_the_last_of_its_tab(desk: Desk, tmp_path: Path) -> None:
    first = start_export(desk, asked(n=3), "tab")
    wait(desk, first)
    second = start_export(desk, asked(n=3), "tab")
    wait(desk, second)
    assert (first.folder.exists(), second.folder.exists()) == (False, True)
    with pytest.raises(BadInput, match="no longer here"):
        look_export(desk, first.key)


def test_a_duplicated_tab_that_is_closed_takes_nothing_from_the_other(
    monkeypatch: pytest.MonkeyPatch, desk: Desk
) -> None:
    monkeypatch.setattr(export_shelf, "GRACE", 0.0)
    shared = start_export(desk, asked(n=3), "one")
    assert wait(desk, shared)["state"] == "complete"
    desk.exports.adopt(shared.key, "copy")
    desk.exports.leave("copy")
    desk.exports._drop_left()
    assert shared.out.is_file()
    # Nor does a new export in the copy.
    desk.exports.adopt(shared.key, "copy")
    wait(desk, start_export(desk, asked(n=2), "copy"))
    assert look_export(desk, shared.key)["state"] == "complete"
    desk.exports.leave("one")
    end = time.monotonic() + 30
    while shared.folder.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_is_gone_with_its_tab_unless_another_takes_it_over(
    monkeypatch: pytest.MonkeyPatch, desk: Desk, tmp_path: Path
) -> None:
    desk.exports = ExportShelf(tmp_path / "uploads")
    engine = Gated()
    desk.exports.engine = lambda: engine
    left, kept = (start_export(desk, asked(n=40), tab) for tab in ("one", "two"))
    until(desk, left, lambda view: view["done"] > 0)
    for tab in ("one", "two"):
        desk.exports.leave(tab)
    desk.exports.adopt(kept.key, "two again")
    desk.exports.leave("two")
    # The time is over now, and not before "two again" took over, however slow the machine is.
    monkeypatch.setattr(export_shelf, "GRACE", 0.0)
    desk.exports._drop_left()
    end = time.monotonic() + 30
    while left.folder.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert left.state == "cancelled"
    engine.gate.set()
    assert wait(desk, kept)["state"] == "complete"
    desk.exports.close()
    assert not kept.folder.exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"n": None}, "Shapes never ends"),
        ({"n": 0}, "must lie between 1 and"),
        ({"n": 2.5}, "whole number"),
        ({"n": float("inf")}, "whole number"),
        ({"n": float("nan")}, "whole number"),
        ({"n": True}, "whole number"),
        ({"n": "ten"}, "whole number"),
        ({"n": 5, "extras": ["latents", "<b>"]}, "part of a record"),
        ({"n": 5, "data": "/etc"}, "data set"),
        ({"n": 5, "data": None}, "No data set is chosen"),
        ({"n": 5, "split": ["x"]}, "split"),
        ({"n": 5, "checkpoint": "../.."}, "checkpoint"),
        ({"upload": {"path": "/etc/passwd"}}, "no longer here"),
        ({"upload": {"path": 3}}, "no longer here"),
        ({"upload": "photos.zip"}, "no longer here"),
    ],
)
def test_nonsense_is_refused_before_anything_begins(desk: Desk, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises((BadInput, UnknownName), match=sentence):
        start_export(desk, asked(**more), "tab")
    assert not (desk.exports._folder).exists()


@pytest.mark.parametrize("key", [None, 3, "", "no such key", ["x"]])
def test_an_export_is_found_by_its_key_alone(desk: Desk, key: object) -> None:
    for ask in (look_export, cancel_export, resume_export):
        with pytest.raises(BadInput, match="no longer here"):
            ask(desk, key)


def test_a_zip_that_cannot_be_used_is_told_at_once(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "uploads" / "a.zip"
    path.write_text("these are words")
    with pytest.raises(BadInput, match="is no zip"):
        check_upload(desk, {"path": str(path)}, "tab")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", "x")
    with pytest.raises(BadInput, match="no CSV, TSV or JSONL"):
        check_upload(desk, {"path": str(path)}, "tab")
    desk.uploads.release("tab")
    assert not path.exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"header": "name,size,colour"}, "expected one of query"),
        ({"n": 0}, "has no rows"),
    ],
)
def test_a_table_that_cannot_be_used_ends_the_export_with_a_sentence(
    desk: Desk, tmp_path: Path, given: dict[str, Any], sentence: str
) -> None:
    view = wait(desk, start_export(desk, asked(pack(tmp_path, **given)), "tab"))
    assert (view["state"], view["files"], view["preview"]) == ("failed", [], [])
    assert sentence in view["error"]
    assert str(tmp_path) not in view["error"]


def test_what_was_made_before_a_failure_is_kept(desk: Desk, tmp_path: Path) -> None:
    class Failing(Gated):
        def run(self, plan: Plan, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
            for outcome in SingleEngine().run(plan, parts, stopped=stopped):
                yield outcome
                yield Outcome(part=1, rows=0, problem="The disk is full.")
                return

    desk.exports.engine = Failing
    export = start_export(desk, asked(pack(tmp_path)), "tab")
    view = wait(desk, export)
    assert (view["state"], view["done"]) == ("failed", PART_ROWS - 1)
    assert view["error"].startswith("The disk is full.")
    assert str(tmp_path) not in view["error"]
    assert len(lines(export)) == PART_ROWS
    desk.exports.engine = SingleEngine
    resume_export(desk, export.key)
    assert wait(desk, export)["done"] == ROWS - 1


@pytest.mark.parametrize(("error", "told"), [(ZeroDivisionError("ours"), BUG), (WorkbenchError("Theirs."), "Theirs.")])
def test_a_bug_is_called_one(desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str) -> None:
    def fail() -> Engine:
        raise error

    desk.exports.engine = fail
    view = wait(desk, start_export(desk, asked(n=3), "tab"))
    assert (view["state"], view["error"]) == ("failed", told)


def test_only_so_many_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_shelf, "MAX_KEPT", 2)
    made = []
    for tab in ("one", "two", "three"):
        made.append(start_export(desk, asked(n=1), tab))
        wait(desk, made[-1])
    assert [export.folder.exists() for export in made] == [False, True, True]


def test_what_a_killed_app_left_goes_and_what_another_app_uses_stays(tmp_path: Path) -> None:
    old, new = tmp_path / "exports" / "old", tmp_path / "exports" / "new"
    for folder in (old, new):
        (folder / "thoughts").mkdir(parents=True)
    long_ago = time.time() - 2 * export_shelf.LEFTOVER
    os.utime(old, (long_ago, long_ago))
    ExportShelf(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)
