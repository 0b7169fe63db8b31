"""One part of an export, from rows to files; the same whoever makes it, and whole or not there."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import final

import torch

from workbench.data.reader import find_reader
from workbench.data.records import Row
from workbench.data.sifting import Problem, name_rows
from workbench.embedder import Embedder
from workbench.errors import BadCheckpoint, BadInput, WorkbenchError
from workbench.export.arrays import arrays_bytes
from workbench.export.durable import told, write_whole
from workbench.export.engine import Outcome
from workbench.export.flat import parquet_bytes
from workbench.export.making import Made, Maker
from workbench.export.manifest import export_id
from workbench.export.place import FileKind, part_files, part_name
from workbench.export.plan import Plan
from workbench.export.record import line
from workbench.export.sidecar import FileNote, PartNote, read_note, write_end, write_note
from workbench.models.checkpoint import load_checkpoint
from workbench.types import Provenance


@final
class PartMaker:
    """Makes parts of one export. Parts in increasing order cost one pass over the data in all."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rows = PartRows(plan)
        self._maker: Maker | None = None
        self._provenance: Provenance | None = None

    def __call__(self, part: int) -> Outcome:
        try:
            rows, ended = self._rows.of(part)
            if ended is not None:
                write_end(self._plan.folder, ended)
            if not rows:
                return Outcome(part=part, rows=0)
            maker, provenance = self._ready()
            started = time.perf_counter()
            name = f"{part_name(part)}.safetensors"
            made = maker.make(rows, arrays_file=f"{self._plan.arrays}/{name}")
            _write(self._plan, part, rows, made, provenance)
        except WorkbenchError as error:
            return Outcome(part=part, rows=0, problem=str(error))
        except OSError as error:
            return Outcome(part=part, rows=0, problem=told(error, f"{part_name(part)} was not written"))
        seconds = time.perf_counter() - started
        return Outcome(
            part=part,
            rows=len(rows),
            done=made.done,
            failed=made.failed,
            seconds=seconds,
            model_seconds=made.model_seconds,
        )

    def _ready(self) -> tuple[Maker, Provenance]:
        if self._maker is None or self._provenance is None:
            torch.set_num_threads(self._plan.threads)
            model = load_checkpoint(self._plan.checkpoint, device=self._plan.device, dtype=self._plan.dtype)
            _check_same(self._plan, model)
            self._maker, self._provenance = Maker(self._plan, model), model.info.provenance
        return self._maker, self._provenance


@final
class PartRows:
    """The rows of parts, in one pass as long as their numbers grow; of rows in between only the names are read."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._checked = False
        self._named: Iterator[Row] | None = None
        self._place = 0

    def of(self, part: int) -> tuple[list[Row], int | None]:
        """The rows of a part, none behind the end; and how many rows there are in all, where that came out.

        Raises BadInput for data that cannot be read, or is not what the plan was made for.
        """
        first, size = part * self._plan.part_rows, self._plan.part_rows
        if self._named is None or first < self._place:
            self._begin()
        assert self._named is not None
        named, self._named = self._named, None  # a pass that fails is not gone on with
        for _ in islice(named, first - self._place):
            self._place += 1
        rows = list(islice(named, size))
        ended = self._place < first or len(rows) < size
        self._place += len(rows)
        self._named = named
        return rows, self._place if ended else None

    def _begin(self) -> None:
        plan = self._plan
        reader, source = find_reader(plan.data, split=plan.split)
        if not self._checked:
            revision = reader.describe(source, split=plan.split).revision
            if revision != plan.data_revision:
                raise BadInput(
                    f"The data set '{plan.data}' is not the one that the export was begun with (revision {revision}, was "
                    f"{plan.data_revision}); bring the old one back, or export into another place."
                )
            self._checked = True
        self._named = name_rows(islice(reader.rows(source, split=plan.split), plan.n))
        self._place = 0


def _check_same(plan: Plan, model: Embedder) -> None:
    found = model.info.provenance.checkpoint_sha256
    if found != plan.checkpoint_sha256:
        raise BadCheckpoint(
            f"The checkpoint '{plan.checkpoint.name}' changed since the export was begun (SHA-256 {found[:12]}, was "
            f"{plan.checkpoint_sha256[:12]}); bring the old one back, or export into another place."
        )


def _write(plan: Plan, part: int, rows: Sequence[Row], made: Made, provenance: Provenance) -> None:
    contents: dict[FileKind, bytes] = {"jsonl": "".join(f"{line(record)}\n" for record in made.records).encode()}
    if made.arrays:
        contents["arrays"] = arrays_bytes(made.arrays)
    if plan.parquet:
        contents["parquet"] = parquet_bytes(made.records)
    note = PartNote(
        export=export_id(plan),
        part=part,
        rows=len(rows),
        done=made.done,
        failed=made.failed,
        first_row=rows[0].number,
        last_row=rows[-1].number,
        files={
            kind: FileNote(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)) for kind, data in contents.items()
        },
        problems=tuple(
            Problem(row=row.number, reason=record["error"])
            for row, record in zip(rows, made.records, strict=True)
            if record["error"] is not None
        ),
        provenance=provenance,
    )
    if read_note(plan, part, note.export) is not None:
        return  # another process was asked for the same part; its files are the same
    # A note that is still there has lost a file of its part; until all are back, the part is not complete.
    (plan.folder / f"{note.name}.json").unlink(missing_ok=True)
    files = part_files(plan, part)
    write_whole(plan.folder, {files[kind]: data for kind, data in contents.items()})
    write_note(plan.folder, note)
