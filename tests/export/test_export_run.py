"""A run of an export from its beginning to its end: every row once, in order, whoever makes it; bad rows are told."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
from quick import ORIGIN, export, manifest, plan_of, records, stopped_after, tree, write_rows

from workbench.data.sifting import Shard
from workbench.errors import BadInput
from workbench.export import part
from workbench.export.engine import Engine, Outcome
from workbench.export.engines.single import SingleEngine
from workbench.export.progress import Progress
from workbench.export.record import schema
from workbench.export.run import ExportStopped

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("name", ["thoughts.jsonl", "thoughts"])
def test_every_row_once_in_order(rows: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "there" / name
    found = export(rows, out, extras=("latents",))
    parts = [out] if out.is_file() else sorted(out.glob("*.jsonl"))
    held = [record for file in parts for record in records(file)]
    assert [record["id"] for record in held] == [f"id-{number}" for number in range(1, 11)]
    assert (found.status, found.rows, found.done, found.failed, found.made) == ("complete", 10, 10, 0, 10)
    assert all((out.parent if out.is_file() else out).joinpath(record["arrays"]).is_file() for record in held)
    told = manifest(out)
    jsonschema.validate(told, schema("manifest"))
    assert told["counts"] == {"parts": 3, "rows": 10, "done": 10, "failed": 0}
    assert [(entry["first_row"], entry["last_row"]) for entry in told["parts"]] == [(1, 4), (5, 8), (9, 10)]
    assert told["provenance"]["checkpoint_sha256"] == ORIGIN.checkpoint_sha256


def test_one_file_leaves_nothing_else_behind(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "there" / "thoughts.jsonl"
    export(rows, out, extras=("latents",))
    assert {path.name for path in out.parent.iterdir()} == {
        "thoughts.jsonl",
        "thoughts.manifest.json",
        "thoughts.arrays",
    }


def test_the_joined_file_is_the_parts_one_after_the_other(rows: Path, tmp_path: Path) -> None:
    export(rows, tmp_path / "thoughts.jsonl")
    export(rows, tmp_path / "folder")
    parts = b"".join(path.read_bytes() for path in sorted((tmp_path / "folder").glob("*.jsonl")))
    assert (tmp_path / "thoughts.jsonl").read_bytes() == parts
    [first, *_] = manifest(tmp_path / "thoughts.jsonl")["parts"]
    assert first["jsonl"]["bytes"] == len((tmp_path / "folder" / "part-00000.jsonl").read_bytes())


@pytest.mark.parametrize(("n", "expected"), [(3, 3), (4, 4), (8, 8), (10, 10), (12, 10), (100, 10), (None, 10)])
def test_n_may_be_smaller_or_larger_than_the_data(rows: Path, tmp_path: Path, n: int | None, expected: int) -> None:
    out = tmp_path / "thoughts.jsonl"
    assert export(rows, out, n=n).rows == len(records(out)) == expected


@pytest.mark.parametrize("name", ["thoughts.jsonl", "thoughts"])
@pytest.mark.parametrize("lines", [0, 8])
def test_data_may_end_with_a_part_or_have_no_rows(tmp_path: Path, name: str, lines: int) -> None:
    found = export(write_rows(tmp_path / "rows.jsonl", lines), tmp_path / name)
    assert (found.status, found.rows, manifest(tmp_path / name)["counts"]["parts"]) == ("complete", lines, lines // 4)


def test_a_known_number_of_rows_is_only_believed_for_the_progress(rows: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    assert export(rows, tmp_path / "a", data_rows=5, run={"progress": told.append}).rows == 10
    assert [progress.done for progress in told] == [0, 4, 8, 10]
    assert told[0].left is None
    assert told[-1].left == 0
    told.clear()
    export(rows, tmp_path / "b", data_rows=None, run={"progress": told.append})
    assert {(progress.rows, progress.left) for progress in told} == {(None, None)}


def test_shards_add_up(rows: Path, tmp_path: Path) -> None:
    export(rows, tmp_path / "one" / "thoughts.jsonl", extras=("latents",))
    out = tmp_path / "two" / "thoughts.jsonl"
    first = export(rows, out, extras=("latents",), run={"shard": Shard(index=1, of=2)})
    assert (first.status, first.rows, out.exists()) == ("partial", 4, False)
    second = export(rows, out, extras=("latents",), run={"shard": Shard(index=0, of=2)})
    assert (second.status, second.rows, second.made) == ("complete", 10, 6)
    assert tree(tmp_path / "two") == tree(tmp_path / "one")
    # A third that comes late, with nothing left to make.
    assert export(rows, out, extras=("latents",), run={"shard": Shard(index=2, of=3)}).status == "complete"


def test_progress_of_a_shard_counts_its_own_rows(rows: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    shard = {"shard": Shard(index=0, of=2), "progress": told.append}
    export(rows, tmp_path / "thoughts", n=10, run=shard)
    assert [(progress.done, progress.rows) for progress in told] == [(0, 10), (4, 10), (6, 10)]
    assert told[-1].left == 0
    assert told[1].left == pytest.approx(2 / told[1].rate)


@pytest.mark.parametrize("name", ["thoughts.jsonl", "thoughts"])
def test_an_output_is_not_overwritten(rows: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    export(rows, out)
    before = tree(tmp_path)
    with pytest.raises(BadInput, match="is there already; go on with --resume"):
        export(rows, out)
    again = export(rows, out, run={"resume": True})
    assert (again.status, again.rows, again.made) == ("complete", 10, 0)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["thoughts.jsonl", "thoughts.parquet", "thoughts.arrays", "folder", "file"])
def test_nothing_foreign_is_written_over(rows: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "diary.txt").touch()
    (tmp_path / name).touch()
    out = tmp_path / name if name in ("folder", "file") else tmp_path / "thoughts.jsonl"
    for resume in (False, True):
        with pytest.raises(BadInput, match=f"{name}' is there already, and is not an export"):
            export(rows, out, run={"resume": resume})


@pytest.mark.parametrize("name", ["t.parquet", "t.json", ""])
def test_what_cannot_be_an_output_is_told(tmp_path: Path, rows: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"must be a \.jsonl file or a folder|is no place"):
        export(rows, Path(name))


def test_a_checkpoint_or_data_that_changes_under_way_stops_the_export(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(rows)
    rows.write_text(rows.read_text().replace("What is 9?", "What is ten?"))
    with pytest.raises(ExportStopped, match="is not the one that the export was begun with"):
        export(rows, tmp_path / "data", data_revision=plan.data_revision)
    with pytest.raises(ExportStopped, match="The checkpoint 'quick' changed since the export was begun"):
        export(rows, tmp_path / "checkpoint", checkpoint_sha256="4" * 64)
    assert not list(tmp_path.rglob("part-*"))


def test_bad_rows_are_told_with_their_numbers(tmp_path: Path) -> None:
    rows = write_rows(
        tmp_path / "rows.jsonl",
        10,
        row_2="{broken",
        row_7={"id": "id-3", "query": "Again?"},
        row_9={"id": "nine", "images": ["gone.png"]},
    )
    found = export(rows, tmp_path / "thoughts.jsonl")
    assert (found.status, found.done, found.failed) == ("complete", 7, 3)
    assert [problem.row for problem in found.problems] == [2, 7, 9]
    told = [record["error"] for record in records(tmp_path / "thoughts.jsonl") if record["error"]]
    assert told == [problem.reason for problem in found.problems]
    assert told[0].startswith("Row 2 of 'rows.jsonl' is not JSON")
    assert told[1] == "Row 7 of 'rows.jsonl' has the id 'id-3' of row 3; ids must differ."
    assert told[2].startswith("Row 9 of 'rows.jsonl'")
    assert "gone.png" in told[2]
    assert [problem["row"] for problem in manifest(tmp_path / "thoughts.jsonl")["problems"]] == [2, 7, 9]


@pytest.mark.parametrize(("line", "row"), [("{broken", 6), ({"id": "id-3", "query": "Again?"}, 7)])
def test_a_bad_row_stops_the_export_where_asked(tmp_path: Path, line: Any, row: int) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 10, **{f"row_{row}": line})
    with pytest.raises(ExportStopped, match=f"Row {row} of 'rows.jsonl'.*Complete parts are kept"):
        export(rows, tmp_path / "thoughts", on_error="stop")
    assert {path.name for path in (tmp_path / "thoughts").glob("part-*")} == {"part-00000.jsonl", "part-00000.json"}


def test_a_repeated_id_is_found_by_the_shard_that_does_not_hold_the_first(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 8, row_6={"id": "id-1", "query": "Again?"})
    found = export(rows, tmp_path / "thoughts", run={"shard": Shard(index=1, of=2)})
    assert [problem.reason for problem in found.problems] == [
        "Row 6 of 'rows.jsonl' has the id 'id-1' of row 1; ids must differ."
    ]


def test_parts_in_any_order_are_the_same(rows: Path, tmp_path: Path) -> None:
    export(rows, tmp_path / "whole")
    folder = tmp_path / "mixed"
    folder.mkdir()
    make = part.PartMaker(replace(plan_of(rows), folder=folder))
    assert [make(number).rows for number in (2, 0, 0, 1, 5, 1)] == [2, 4, 4, 4, 0, 4]
    made, whole = tree(folder), tree(tmp_path / "whole")
    assert json.loads(made.pop("end.json")) == {"rows": 10}
    assert made == whole


def test_a_folder_that_may_not_be_written_is_told(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportStopped, match="The system says 'Not a directory'"):
        export(rows, tmp_path / "file" / "thoughts")


@dataclass(frozen=True, kw_only=True)
class Ranks(SingleEngine):
    """As if another process had made everything meanwhile."""

    shared: ClassVar[bool] = True

    def run(self, plan: Any, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        other = export(Path(plan.data), plan.folder.with_suffix(".jsonl"), run={"resume": True})
        assert other.status == "complete"
        return iter(())


def test_whoever_comes_last_finds_it_closed(rows: Path, tmp_path: Path) -> None:
    found = export(rows, tmp_path / "thoughts.jsonl", engine=Ranks())
    assert (found.status, found.rows, found.made) == ("complete", 10, 0)


def test_ranks_go_along_without_being_asked_to_resume(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "thoughts.jsonl"
    export(rows, out, run={"cancelled": stopped_after(1)})
    assert export(rows, out, engine=Ranks()).status == "complete"
    with pytest.raises(BadInput, match="leave out --shard"):
        export(rows, out, engine=Ranks(), run={"shard": Shard(index=0, of=2)})


def test_parts_that_were_begun_are_awaited_when_one_fails(tmp_path: Path) -> None:
    closed = []

    @dataclass(frozen=True, kw_only=True)
    class Failing(Engine):
        name: ClassVar[str] = "failing"
        about: ClassVar[str] = "Fails."

        def run(self, plan: Any, parts: Iterable[int], *, stopped: Callable[[], bool]) -> Iterator[Outcome]:
            try:
                yield Outcome(part=0, rows=0, problem="The sky fell.")
                yield Outcome(part=2, rows=0, problem="The sea rose.")
            finally:
                closed.append(next(iter(parts)))

    with pytest.raises(ExportStopped, match=r"The sky fell\. Complete parts are kept in"):
        export(write_rows(tmp_path / "rows.jsonl", 3), tmp_path / "thoughts", engine=Failing())
    assert closed == [0]


def test_what_an_engine_refuses_leaves_nothing_behind(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has one worker, not 2"):
        export(rows, tmp_path / "thoughts", engine=SingleEngine(workers=2))
    assert not (tmp_path / "thoughts").exists()
