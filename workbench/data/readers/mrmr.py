"""MRMR from disk, as it is published: five repositories of three tables."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, final

from workbench.data.arrow import TableRow, column_names, count_rows, read_table
from workbench.data.beir import Judgements, need, read_judgements
from workbench.data.fields import exact_sample, image_of
from workbench.data.layout import find_tables, need_tables
from workbench.data.reader import READERS, DataInfo, Document, Pair, Reader, Row
from workbench.data.revision import found_commit, hash_files
from workbench.data.sifting import OnError, Report, SeenIds, sieve
from workbench.errors import BadInput, UnknownName
from workbench.types import Role, Sample

# The commits that mteb pins.
PINNED = {
    "knowledge": "c4e9395dfd01e875e5b4d204d2f9fd285c2a9d2e",
    "theorem": "2a4b0d370ed0e2d322cf092ab1d35348997b3fed",
    "traffic": "5de2aa10c61753c2c23cbf8c42b2743859c709a5",
    "design": "fc6325cdffd332e69da9144d55a0fdb4cfb98848",
    "negation": "ee5e669c8b257790a9c66c4d9464f6d77f33636b",
}
LOCAL = "negation"
"""Whose queries rank four candidates of their own: those whose id is the query's and a number."""
_RENDERED = "vision"
_CONFIGS = ("query", "qrels", "corpus")


@READERS.register("mrmr")
@final
class Mrmr(Reader):
    """One of the five parts of MRMR; the source is the folder of its repository, which is called after it.

    Documents have the text and images of the interleaved original, not its rendering as one picture (`vision`). Texts
    keep their `<image>` marks, which are words to a model; the images come before them. Scored as in the paper: nDCG@10,
    and Hit@1 among four candidates for negation. mteb scores otherwise, so that its figures are not the paper's.
    """

    name = "mrmr"
    about = "A part of MRMR, downloaded as published: the folder knowledge, theorem, traffic, design or negation."

    def rows(self, source: str, *, split: str) -> Iterator[Row]:
        tables, part = _find(source, split)
        judged = read_judgements(tables["qrels"], tables["corpus"], key="id")
        own = _own_candidates(judged.corpus) if part == LOCAL else None
        for row in read_table(tables["query"], columns=_columns(tables["query"])):
            if row.problem:
                yield Row(number=row.number, where=row.where, problem=f"{row.where}: {row.problem}")
                continue
            name = row.values.get("id")
            make = partial(_pair, row.values, judged, own, Path(source))
            yield Row(number=row.number, where=row.where, id="" if name is None else str(name), make=make)

    def describe(self, source: str, *, split: str) -> DataInfo:
        tables, part = _find(source, split)
        folder = Path(source)
        files = [path for paths in tables.values() for path in paths]
        return DataInfo(
            title=f"MRMR {part}",
            rows=count_rows(tables["query"]),
            revision=found_commit(folder) or hash_files(files, root=folder),
            pinned=PINNED[part],
            metric="hit@1" if part == LOCAL else "ndcg@10",
            pool="local" if part == LOCAL else "global",
            notes=("Images come before the text, which keeps the marks <image> where they stood.",),
        )

    def documents(
        self, source: str, *, split: str, on_error: OnError = "stop", report: Report | None = None
    ) -> Iterator[Document]:
        tables, _ = _find(source, split)
        return sieve(_corpus(tables["corpus"], Path(source)), on_error=on_error, report=report)

    def recognises(self, path: Path, split: str) -> bool:
        return path.name in PINNED and all(find_tables(path, config, split) for config in _CONFIGS)


def _find(source: str, split: str) -> tuple[dict[str, tuple[Path, ...]], str]:
    folder = Path(source)
    if folder.name not in PINNED:
        raise UnknownName("part of MRMR", folder.name, PINNED)
    if split != "test":
        raise UnknownName("split", split, ("test",))
    repository, pinned = f"MRMRbenchmark/{folder.name}", PINNED[folder.name]
    tables = {
        config: need_tables([folder], config, split, repository=repository, revision=pinned)[1] for config in _CONFIGS
    }
    return tables, folder.name


def _columns(files: tuple[Path, ...]) -> list[str]:
    return [name for name in column_names(files) if name != _RENDERED]


def _own_candidates(corpus: frozenset[str]) -> dict[str, tuple[str, ...]]:
    own: dict[str, tuple[str, ...]] = {}
    for name in sorted(corpus):
        query = name.rpartition("_")[0]
        own[query] = (*own.get(query, ()), name)
    return own


def _pair(
    values: Mapping[str, Any], judged: Judgements, own: Mapping[str, tuple[str, ...]] | None, folder: Path
) -> Pair:
    name = need(values, "id")
    grades = judged.of(name)
    candidates = () if own is None else own.get(name, ())
    if own is not None and (lost := sorted(grades.keys() - set(candidates))):
        raise BadInput(f"its right answer '{lost[0][:100]}' is not among its {len(candidates)} candidates.")
    answer = values.get("answer")
    return Pair(
        query=_sample(values, folder, "query"),
        answer=answer if isinstance(answer, str) else "",
        target_id=max(grades, key=lambda document: grades[document]),
        candidates=candidates,
        relevance=grades,
    )


def _corpus(files: tuple[Path, ...], folder: Path) -> Iterator[tuple[int, str, partial[Document]]]:
    with SeenIds() as seen:
        for row in read_table(files, columns=_columns(files)):
            name = str(row.values.get("id"))
            yield row.number, row.where, partial(_document, row, name, seen.add(name, row.number), folder)


def _document(row: TableRow, name: str, earlier: int | None, folder: Path) -> Document:
    if row.problem:
        raise BadInput(row.problem)
    if earlier is not None:
        raise BadInput(f"the document has the id '{name[:200]}' of row {earlier}; ids must differ.")
    return Document(id=name, sample=_sample(row.values, folder, "document"))


def _sample(values: Mapping[str, Any], folder: Path, role: Role) -> Sample:
    columns = ["image", *(name for name in values if name.startswith("image ") and name[6:].isdecimal())]
    held = [values[name] for name in columns if values.get(name) is not None]
    text = values.get("text") or ""
    if not isinstance(text, str):
        raise BadInput("its 'text' is no text.")
    sample = exact_sample(text, [image_of(one, folder) for one in held], role)
    known = {"category": values.get("category"), "modality": values.get("modality")}
    return replace(sample, metadata={key: value for key, value in known.items() if isinstance(value, str)})
