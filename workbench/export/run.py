"""One run of an export, for the terminal and for the page: begin or go on, have the parts made, and close."""

from collections.abc import Callable, Container, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

from workbench.data.reader import WHOLE
from workbench.data.sifting import Problem, Shard
from workbench.errors import BadInput, WorkbenchError
from workbench.export.beginning import begin
from workbench.export.durable import told
from workbench.export.engine import Engine, Outcome
from workbench.export.joining import clear, close
from workbench.export.manifest import Counts, export_id, read_manifest
from workbench.export.place import Place
from workbench.export.plan import Plan
from workbench.export.progress import Meter, Progress, Status, Summary
from workbench.export.sidecar import complete_parts, n_parts
from workbench.store import from_json

__all__ = ["ExportStopped", "Progress", "Summary", "run_export"]


class ExportStopped(WorkbenchError):
    """An export that cannot go on now. What was written is kept."""


def run_export(
    plan: Plan,
    engine: Engine,
    out: Path,
    *,
    shard: Shard = WHOLE,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    command: Sequence[str] = (),
) -> Summary:
    """Export, as far as it is not done yet.

    Args:
        plan: what to export, of `make_plan`.
        engine: who makes the parts.
        out: as it was given to `make_plan`.
        shard: this run makes every `of`-th part, beginning with `index`; whoever makes the last part of all closes.
        resume: go on with an output that is there. Shards and shared engines go on without being asked.
        progress: told at the start and after every part, in this thread.
        cancelled: asked between parts.
        command: how it was called, for the manifest.

    Raises:
        BadInput: for an output that is there and not to be gone on with, or was begun with another plan.
        ExportStopped: when a part could not be made or the output not be written; complete parts are kept.
    """
    if engine.shared and shard != WHOLE:
        raise BadInput(f"The engine '{engine.name}' deals out the parts by itself; leave out --shard.")
    place = Place.of(out)
    plan = replace(plan, folder=place.folder, arrays=place.arrays_name)
    meter = Meter(plan, shard, progress)
    complete: set[int] = set()
    # What the engine refuses, it refuses before anything is written; it asks for parts only later.
    outcomes = engine.run(plan, _missing(plan, shard, complete), stopped=cancelled)
    try:
        if not begin(plan, place, command, goes_on=resume or shard != WHOLE or engine.shared):
            clear(place)
            return _summary(plan, place, "complete", meter)
        for note in complete_parts(plan, export_id(plan)):
            complete.add(note.part)
            meter.count_earlier(note)
        meter.tell()
        _make(outcomes, plan, meter)
        return _summary(plan, place, _close(plan, place, command, cancelled), meter)
    except OSError as error:
        raise ExportStopped(f"{told(error, 'the export stopped')} {_kept(plan)}") from error


def _make(outcomes: Iterator[Outcome], plan: Plan, meter: Meter) -> None:
    problem = ""
    with closing(_drawn(outcomes)) as drawn:
        for outcome in drawn:
            problem = problem or outcome.problem
            if outcome.rows and not outcome.problem:
                meter.add(outcome)
    if problem:
        raise ExportStopped(f"{problem} {_kept(plan)}")


def _drawn(outcomes: Iterator[Outcome]) -> Generator[Outcome, None, None]:
    # A generator, so that closing it closes whatever the engine returned.
    yield from outcomes


def _missing(plan: Plan, shard: Shard, complete: Container[int]) -> Iterator[int]:
    total = n_parts(plan)
    numbers = count(shard.index, shard.of) if total is None else range(shard.index, total, shard.of)
    yield from (part for part in numbers if part not in complete)


def _close(plan: Plan, place: Place, command: Sequence[str], cancelled: Callable[[], bool]) -> Status:
    try:
        if close(plan, place, command):
            return "complete"
    except FileNotFoundError:
        # Another process saw the last part too, and closed.
        if not _is_closed(place):
            raise
        return "complete"
    if _is_closed(place):
        return "complete"
    return "cancelled" if cancelled() else "partial"


def _is_closed(place: Place) -> bool:
    held = read_manifest(place.manifest)
    return held is not None and held["status"] == "complete"


def _summary(plan: Plan, place: Place, status: Status, meter: Meter) -> Summary:
    if status == "complete":
        held = read_manifest(place.manifest) or {}
        numbers = {name: held["counts"][name] for name in ("rows", "done", "failed")}
        problems = tuple(from_json(Problem, problem) for problem in held["problems"])
        mixed = 1 + len(held["further_provenances"])
    else:
        counts = Counts()
        for note in complete_parts(plan, export_id(plan)):
            counts.add(note)
        numbers = {"rows": counts.rows, "done": counts.done, "failed": counts.failed}
        problems, mixed = tuple(counts.problems), len(counts.provenances)
    return Summary(
        status=status,
        out=place.out,
        manifest=place.manifest if status == "complete" else place.begun,
        problems=problems,
        made=meter.made,
        seconds=meter.seconds,
        model_seconds=meter.model_seconds,
        mixed=mixed,
        **numbers,
    )


def _kept(plan: Plan) -> str:
    return f"Complete parts are kept in '{plan.folder}'."
