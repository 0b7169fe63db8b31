"""An export that loads no model: rows become small records at once. Everything but the maker of records is the real one."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.records import Row
from workbench.data.sifting import make_pair
from workbench.embedder import Embedder, EmbedderInfo
from workbench.errors import BadInput
from workbench.export import part
from workbench.export.engine import Engine
from workbench.export.engines.single import SingleEngine
from workbench.export.making import Made, Maker
from workbench.export.place import Place
from workbench.export.plan import Plan
from workbench.export.run import Summary, run_export
from workbench.types import Provenance

ORIGIN = Provenance(
    checkpoint="quick",
    weights_sha256="1" * 64,
    checkpoint_sha256="2" * 64,
    family="none",
    format="none",
    dtype="float32",
    device="cpu",
)


class QuickModel(Embedder):
    """Knows where it comes from, and nothing else."""

    def __init__(self, origin: Provenance = ORIGIN) -> None:
        self.info = EmbedderInfo(
            name="quick",
            n_layers=0,
            n_heads=0,
            n_think=0,
            width=0,
            dim=0,
            n_parameters=0,
            think_tokens=(),
            contexts=(),
            max_tokens=0,
            provenance=origin,
        )

    def prepare(self, sample: Any) -> Any:
        raise NotImplementedError

    trace = embed = prepare  # pyright: ignore[reportAssignmentType]


def quicken(monkeypatch: Any) -> None:
    """Have parts made without a model, in this process."""
    monkeypatch.setattr(Maker, "__init__", _begin)
    monkeypatch.setattr(Maker, "make", _make)
    monkeypatch.setattr(part, "load_checkpoint", lambda *_, **__: QuickModel())


def _begin(self: Any, plan: Plan, model: Any) -> None:
    self.plan = plan


def _make(self: Any, rows: Sequence[Row], *, arrays_file: str) -> Made:
    made = [_record(row, arrays_file, self.plan) for row in rows]
    failed = sum(record["error"] is not None for record in made)
    arrays = {"rows": np.array([row.number for row in rows])} if "latents" in self.plan.extras else {}
    done = len(made) - failed
    return Made(records=tuple(made), arrays=arrays, done=done, failed=failed, seconds=0.0, model_seconds=0.0)


def _record(row: Row, arrays_file: str, plan: Plan) -> dict[str, Any]:
    held = {"id": row.id, "row": row.number, "arrays": arrays_file if "latents" in plan.extras else None}
    try:
        return held | {"text": make_pair(row).query.text, "error": None}
    except BadInput as error:
        if plan.on_error == "stop":
            raise
        return held | {"text": None, "error": str(error)}


def write_rows(path: Path, n: int, **others: Any) -> Path:
    """JSONL of n rows without images; `row_3="..."` replaces the third line."""
    lines = [json.dumps({"id": f"id-{number}", "query": f"What is {number}?"}) for number in range(1, n + 1)]
    for name, line in others.items():
        lines[int(name.removeprefix("row_")) - 1] = line if isinstance(line, str) else json.dumps(line)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def plan_of(data: Path | str, **settings: Any) -> Plan:
    """The plan of a quick export; `run_export` sets the folder."""
    from workbench.data.reader import find_reader

    reader, source = find_reader(str(data))
    info = reader.describe(source, split="test")
    plan = Plan(
        data=str(data),
        data_revision=info.revision,
        data_title=info.title,
        data_rows=info.rows,
        checkpoint=Path("quick"),
        checkpoint_sha256=ORIGIN.checkpoint_sha256,
        folder=Path("unset"),
        dtype="float32",
        part_rows=4,
    )
    return replace(plan, **settings)


def export(
    data: Path | str, out: Path, *, engine: Engine | None = None, run: dict[str, Any] | None = None, **settings: Any
) -> Summary:
    """Export quickly; `settings` are of the plan, `run` of the run."""
    return run_export(plan_of(data, **settings), engine or SingleEngine(), out, **(run or {}))


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text(encoding="utf-8").split("\n")[:-1]]


def tree(folder: Path) -> dict[str, bytes]:
    """All files under a folder but manifests, whose command differs."""
    files = (path for path in folder.rglob("*") if path.is_file() and "manifest" not in path.name)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def manifest(out: Path) -> dict[str, Any]:
    return json.loads(Place.of(out).manifest.read_text(encoding="utf-8"))


def stopped_after(parts: int) -> Callable[[], bool]:
    """An answer to whether a run is cancelled: not before that many parts."""
    asked = itertools.count()
    return lambda: next(asked) >= parts
