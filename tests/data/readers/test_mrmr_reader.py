"""MRMR as its five repositories have it."""

from pathlib import Path

import pytest
from published import Rows, encoded, write_mrmr

from workbench.data.reader import find_reader
from workbench.data.sifting import Report
from workbench.errors import BadInput, UnknownName


def query(name: str, **given: object) -> dict[str, object]:
    return {"id": name, "modality": "image", "text": None, "image": encoded("red")} | given


def document(name: str, **given: object) -> dict[str, object]:
    none = {"image": None, "image 1": None, "image 2": None}
    return {"id": name, "modality": "text", "text": "a text", **none, "vision": encoded("white")} | given


def negation(folder: Path, qrels: Rows) -> str:
    return write_mrmr(
        folder,
        "negation",
        queries=[query("15"), query("150")],
        corpus=[document(f"{name}_{place}") for name in ("150", "15") for place in (2, 1)],
        qrels=qrels,
    )


def test_negation_ranks_its_own_candidates(tmp_path: Path) -> None:
    source = negation(tmp_path, [{"query-id": name, "corpus-id": f"{name}_2", "score": 1} for name in ("15", "150")])
    reader, path = find_reader(source)
    pairs = list(reader.read(path, split="test"))
    assert [pair.candidates for pair in pairs] == [("15_1", "15_2"), ("150_1", "150_2")]
    assert [pair.relevance for pair in pairs] == [{"15_2": 1.0}, {"150_2": 1.0}]
    info = reader.describe(path, split="test")
    assert (info.metric, info.pool, info.rows) == ("hit@1", "local", 2)
    assert info.pinned == "ee5e669c8b257790a9c66c4d9464f6d77f33636b"


def test_an_answer_that_is_no_candidate_is_told(tmp_path: Path) -> None:
    source = negation(tmp_path, [{"query-id": "15", "corpus-id": "150_1", "score": 1}])
    reader, path = find_reader(source)
    with pytest.raises(BadInput, match=r"Row 1 of .*: its right answer '150_1' is not among its 2 candidates"):
        next(reader.read(path, split="test"))


def test_columns_are_written_in_two_ways_and_documents_interleave(tmp_path: Path) -> None:
    corpus = [
        document("d1"),
        document("d2", text="<image> and <image>", **{"image 1": encoded("red"), "image 2": encoded("blue")}),
    ]
    qrels = [{"query_id": "q", "corpus_id": name, "score": 1} for name in ("d1", "d2")]
    queries = [query("q", category="Math", answer="B", text="<image> prove it")]
    source = write_mrmr(tmp_path, "theorem", queries=queries, corpus=corpus, qrels=qrels)
    reader, path = find_reader(source)
    [pair] = reader.read(path, split="test")
    assert (pair.relevance, pair.candidates) == ({"d1": 1.0, "d2": 1.0}, ())
    assert (pair.answer, pair.query.metadata) == ("B", {"category": "Math", "modality": "image"})
    assert pair.query.text == "<image> prove it"
    documents = {held.id: held.sample for held in reader.documents(path, split="test")}
    assert [len(documents[name].images) for name in ("d1", "d2")] == [0, 2]
    assert documents["d2"].text == "<image> and <image>"
    info = reader.describe(path, split="test")
    assert (info.metric, info.pool) == ("ndcg@10", "global")


def test_a_document_that_is_there_twice_or_empty_is_told(tmp_path: Path) -> None:
    corpus = [document("d1"), document("d1"), document("d2", text=None)]
    qrels = [{"query-id": "q", "corpus-id": "d1", "score": 1}]
    source = write_mrmr(tmp_path, "design", queries=[query("q")], corpus=corpus, qrels=qrels)
    reader, path = find_reader(source)
    report = Report()
    assert [held.id for held in reader.documents(path, split="test", on_error="skip", report=report)] == ["d1"]
    assert [problem.row for problem in report.problems] == [2, 3]
    assert "has the id 'd1' of row 1" in report.problems[0].reason


def test_a_repository_of_another_name_or_without_a_table_is_told(tmp_path: Path) -> None:
    reader, _ = find_reader("mrmr:x")
    with pytest.raises(UnknownName, match="Did you mean 'theorem'"):
        next(reader.read(str(tmp_path / "theorems"), split="test"))
    with pytest.raises(BadInput, match="hf download --repo-type dataset MRMRbenchmark/traffic --revision 5de2aa10"):
        next(reader.read(str(tmp_path / "traffic"), split="test"))
