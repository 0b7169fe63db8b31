"""MMEB-v2 from disk, as it is published."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import final

from workbench.data.arrow import TableRow, count_rows, read_table
from workbench.data.fields import exact_sample
from workbench.data.layout import need_tables
from workbench.data.mmeb.row import Parsed, Side
from workbench.data.mmeb.tasks import NOT_AVERAGED, TASKS, Table, Task
from workbench.data.mmeb.visdoc import Pages, page_documents, query_rows
from workbench.data.reader import READERS, DataInfo, Document, Pair, Reader, Row
from workbench.data.revision import found_commit, hash_files
from workbench.data.sifting import OnError, Report, SeenIds, sieve
from workbench.errors import BadInput, UnknownName
from workbench.types import Role, Sample


@READERS.register("mmeb-v2")
@final
class MmebV2(Reader):
    """One of the tasks of MMEB-v2; the source is FOLDER/TASK, where TIGER-Lab/MMEB-V2 is unpacked in FOLDER.

    The tables come from other repositories and are looked for in FOLDER/OWNER/NAME, FOLDER/NAME and, as that code's local
    layout has it, beside the pictures. A missing one is told with the line that downloads it; nothing is downloaded here.
    """

    name = "mmeb-v2"
    about = "A task of MMEB-v2, unpacked as published: FOLDER/TASK, for example data/MMEB-V2/ImageNet-1K."

    def rows(self, source: str, *, split: str) -> Iterator[Row]:
        folder, task = _find(source, split)
        if task.kind == "visdoc":
            return query_rows(task, _pages(folder, task))
        return (
            Row(number=number, where=where, make=partial(_pair, parse, task))
            for number, where, parse in _parsed(folder, task)
        )

    def describe(self, source: str, *, split: str) -> DataInfo:
        folder, task = _find(source, split)
        homes = [_tables(folder, task, config) for config in _configs(task)]
        files = [path for _, paths in homes for path in paths]
        # Of the three tables of a search the first holds the queries; languages in it are told apart only by reading.
        counted = count_rows(homes[0][1] if task.kind == "visdoc" else files)
        rows = None if counted is None or task.language else min(counted, task.limit or counted)
        return DataInfo(
            title=f"MMEB-v2 {task.name}",
            rows=rows,
            revision=found_commit(homes[0][0]) or hash_files(files, root=folder),
            pinned=task.pinned,
            metric=task.metric,
            pool=task.pool,
            notes=_notes(task),
        )

    def documents(
        self, source: str, *, split: str, on_error: OnError = "stop", report: Report | None = None
    ) -> Iterator[Document]:
        folder, task = _find(source, split)
        if task.kind == "visdoc":
            found = page_documents(task, _pages(folder, task))
            return sieve(((row.number, row.where, make) for row, _, make in found), on_error=on_error, report=report)
        return sieve(_candidates(folder, task), on_error=on_error, report=report)


def _find(source: str, split: str) -> tuple[Path, Task]:
    path = Path(source)
    if path.name not in TASKS:
        raise UnknownName("task of MMEB-v2", path.name, TASKS)
    if split != "test":
        raise UnknownName("split", split, ("test",))
    if not path.parent.is_dir():
        raise BadInput(f"There is no folder '{path.parent}'; unpack TIGER-Lab/MMEB-V2 into one.")
    return path.parent, TASKS[path.name]


def _configs(task: Task) -> tuple[str | None, ...]:
    return ("queries", "qrels", "corpus") if task.kind == "visdoc" else tuple(table.config for table in task.tables)


def _tables(folder: Path, task: Task, config: str | None) -> tuple[Path, tuple[Path, ...]]:
    owner, _, name = task.repository.partition("/")
    beside = folder / "image-tasks" if task.kind == "image" else folder / f"{task.kind}-tasks" / name
    places = (folder / owner / name, folder / name, beside, beside.parent / "data" / name)
    return need_tables(places, config, task.split, repository=task.repository, revision=task.pinned)


def _pages(folder: Path, task: Task) -> Pages:
    queries, qrels, corpus = (_tables(folder, task, config)[1] for config in _configs(task))
    return Pages(queries=queries, qrels=qrels, corpus=corpus, pictures=folder / task.root)


def _parsed(folder: Path, task: Task) -> Iterator[tuple[int, str, Callable[[], Parsed]]]:
    """Every row of the task's tables that is scored: its number, where it stands, and what parses it."""
    return islice(_all_parsed(folder, task), task.limit)


def _all_parsed(folder: Path, task: Task) -> Iterator[tuple[int, str, Callable[[], Parsed]]]:
    number = 0
    for table in task.tables:
        for row in read_table(_tables(folder, task, table.config)[1]):
            number += 1
            where = f"{row.where} ({table.config or task.name})"
            yield number, where, partial(_parse, table, row, folder / task.root)


def _parse(table: Table, row: TableRow, root: Path) -> Parsed:
    if row.problem or table.parse is None:
        raise BadInput(row.problem)
    return table.parse(row.values, root)


def _pair(parse: Callable[[], Parsed], task: Task) -> Pair:
    parsed = parse()
    best = max(parsed.right, key=lambda name: parsed.right[name])
    target = next(side for side in parsed.candidates if side.name == best)
    return Pair(
        query=_open(parsed.query, "query"),
        answer=parsed.answer,
        target=_open(target, "document"),
        target_id=best,
        candidates=tuple(side.name for side in parsed.candidates) if task.pool == "local" else (),
        relevance=parsed.right,
    )


def _candidates(folder: Path, task: Task) -> Iterator[tuple[int, str, Callable[[], Document]]]:
    """Candidates of all rows, each name once: the published pool knows no other identity."""
    with SeenIds() as seen:
        for number, where, parse in _parsed(folder, task):
            try:
                sides = parse().candidates
            except BadInput as error:
                yield number, where, partial(_refuse, error)
                continue
            for side in sides:
                if seen.add(side.name, number) is None:
                    yield number, f"{where}, candidate '{side.name[:100]}'", partial(_document, side)


def _refuse(error: BadInput) -> Document:
    raise error


def _document(side: Side) -> Document:
    return Document(id=side.name, sample=_open(side, "document"))


def _open(side: Side, role: Role) -> Sample:
    paths = side.frames.paths() if side.frames else side.images
    sample = exact_sample(side.text, paths, role)
    return replace(sample, metadata={"frames": len(paths)}) if side.frames else sample


def _notes(task: Task) -> tuple[str, ...]:
    notes = []
    if task.name in NOT_AVERAGED:
        notes.append("This task is scored, but not part of the published mean over 78 tasks.")
    if task.labels:
        notes.append(
            f"The published pool has {task.labels} labels; here it holds those that the rows name, so that a score is "
            "comparable only when they name all."
        )
    if task.kind == "video":
        notes.append("Frames are given as images, not as a video.")
    return tuple(notes)
