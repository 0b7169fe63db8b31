"""The 27 tasks on pages of documents: BEIR tables whose corpus is pictures of pages."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from workbench.data.arrow import TableRow, read_table
from workbench.data.beir import Judgements, need, read_judgements
from workbench.data.fields import exact_sample, image_of
from workbench.data.mmeb.tasks import Task
from workbench.data.records import Document, Pair, Row
from workbench.data.sifting import SeenIds
from workbench.errors import BadInput

QUERY = "Find a document image that matches the given query:"
PAGE = "Understand the content of the provided document image."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The files of one task."""

    queries: tuple[Path, ...]
    qrels: tuple[Path, ...]
    corpus: tuple[Path, ...]
    pictures: Path
    """Folder of the unpacked pictures; where it does not exist, those in the corpus table are used."""


def query_rows(task: Task, pages: Pages) -> Iterator[Row]:
    """The queries of the task's language, in the order of the table; rows of other languages are no rows of the task."""
    judged = read_judgements(pages.qrels, pages.corpus, key="corpus-id")
    for row in read_table(pages.queries):
        if row.problem:
            yield Row(number=row.number, where=row.where, problem=f"{row.where}: {row.problem}")
        elif task.language in (None, row.values.get("language")):
            name = row.values.get("query-id")
            make = partial(_pair, row.values, judged, task, pages)
            yield Row(number=row.number, where=row.where, id="" if name is None else str(name), make=make)


def page_documents(task: Task, pages: Pages) -> Iterator[tuple[TableRow, str, partial[Document]]]:
    """Every page of the corpus once, by its id."""
    columns = ["corpus-id"] if pages.pictures.is_dir() else ["corpus-id", "image"]
    with SeenIds() as seen:
        for row in read_table(pages.corpus, columns=columns):
            name = str(row.values.get("corpus-id"))
            if seen.add(name, row.number) is None:
                yield row, name, partial(_document, row.values, name, task, pages)


def picture_path(task: Task, folder: Path, name: str) -> Path:
    """Where the picture of a page lies."""
    if not task.hashed:
        return folder / f"{name}.png"
    path = Path(name)
    stem, ending = name.removesuffix(path.suffix), path.suffix
    return folder / f"{stem[:50]}_{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:8]}{ending}"


def _pair(values: Mapping[str, Any], judged: Judgements, task: Task, pages: Pages) -> Pair:
    grades = judged.of(need(values, "query-id"))
    best = max(grades, key=lambda name: grades[name])
    path = picture_path(task, pages.pictures, best)
    return Pair(
        query=exact_sample(f"{QUERY} {need(values, 'query')}", [], "query"),
        target=exact_sample(PAGE, [path], "document") if path.is_file() else None,
        target_id=best,
        relevance=grades,
    )


def _document(values: Mapping[str, Any], name: str, task: Task, pages: Pages) -> Document:
    if pages.pictures.is_dir():
        return Document(id=name, sample=exact_sample(PAGE, [picture_path(task, pages.pictures, name)], "document"))
    if values.get("image") is None:
        raise BadInput(f"its page '{name[:100]}' has no picture.")
    return Document(id=name, sample=exact_sample(PAGE, [image_of(values["image"], pages.pictures)], "document"))
