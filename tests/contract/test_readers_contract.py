"""What every reader promises, whoever wrote it."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specimens import specimen

from workbench.data.reader import READERS, Pair, Reader, find_reader, read_pairs
from workbench.data.sifting import Report, Shard
from workbench.errors import BadInput, WorkbenchError
from workbench.images import open_image

NAMES = READERS.names()
WRONG = ("write_bad", "write_missing", "write_twice")
pytestmark = pytest.mark.parametrize("name", NAMES)


def made(name: str) -> Reader:
    return READERS.get(name)()


def source_of(name: str, folder: Path) -> str:
    return specimen("reader", name, READERS.get(name)).write(folder)


def wrong_data(name: str, wrong: str, folder: Path) -> tuple[str, int]:
    write = getattr(specimen("reader", name, READERS.get(name)), wrong, None)
    if write is None:
        pytest.skip(f"'{name}' reads no files that could be wrong")
    return write(folder)


def first(name: str, folder: Path, limit: int | None = 3) -> list[Pair]:
    return list(made(name).read(source_of(name, folder), split="test", limit=limit))


def test_it_says_what_it_reads(name: str) -> None:
    kind = READERS.get(name)
    assert kind.name == name
    assert kind.about.endswith(".")
    assert (kind.__doc__ or "").strip()
    assert getattr(kind, "__final__", False)
    assert vars(kind()) == {}, "a reader is stateless"


def test_it_reads_its_own_data(name: str, tmp_path: Path) -> None:
    pairs = first(name, tmp_path)
    assert len(pairs) == 3
    assert any(pair.query.images for pair in pairs)
    for pair in pairs:
        assert pair.query.role == "query"
        documents = [*pair.negatives, *([] if pair.target is None else [pair.target])]
        assert all(document.role == "document" for document in documents)
        for ref in (image for sample in (pair.query, *documents) for image in sample.images):
            assert open_image(ref).size == (ref.width, ref.height)


def test_reading_again_gives_the_same(name: str, tmp_path: Path) -> None:
    assert first(name, tmp_path) == first(name, tmp_path)


def test_the_limit_is_kept_and_changes_nothing_else(name: str, tmp_path: Path) -> None:
    whole = first(name, tmp_path)
    assert first(name, tmp_path, limit=1) == whole[:1]
    assert first(name, tmp_path, limit=0) == []
    unlimited = made(name).read(source_of(name, tmp_path), split="test")
    assert list(islice(unlimited, 3)) == whole


def test_the_name_before_a_colon_finds_it(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    assert list(read_pairs(f"{name}:{source}", split="test", limit=3)) == first(name, tmp_path)


def test_a_path_alone_finds_it_where_its_form_says_so(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    if not Path(source).exists() or not source:
        pytest.skip("its source is no path that exists")
    if READERS.get(name).only_by_name:
        assert find_reader(f"{name}:{source}")[0].name == name
        return
    reader, found = find_reader(source)
    assert (reader.name, found) == (name, source)


def test_a_source_or_split_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    for source, split in ((str(tmp_path / "nowhere"), "test"), (source_of(name, tmp_path), "no-such-split")):
        with pytest.raises(WorkbenchError) as told:
            next(made(name).read(source, split=split))
        assert "\n" not in str(told.value)
        assert "nowhere" in str(told.value) or "no-such-split" in str(told.value)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named_by_its_row_after_the_good_ones(name: str, wrong: str, tmp_path: Path) -> None:
    source, row = wrong_data(name, wrong, tmp_path)
    pairs = made(name).read(source, split="test")
    assert [pair.row for pair in islice(pairs, row - 1)] == list(range(1, row))
    with pytest.raises(BadInput, match=rf"\b{row}\b"):
        next(pairs)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_passed_over_counted_and_told(name: str, wrong: str, tmp_path: Path) -> None:
    source, row = wrong_data(name, wrong, tmp_path)
    report = Report()
    pairs = list(made(name).read(source, split="test", on_error="skip", report=report))
    assert [pair.row for pair in pairs] == [1, 3]
    assert (report.done, report.skipped) == (2, 1)
    [problem] = report.problems
    assert problem.row == row
    assert f"Row {row} " in problem.reason
    assert "\n" not in problem.reason


def test_skipping_without_a_report_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="report"):
        made(name).read(source_of(name, tmp_path), split="test", on_error="skip")


def test_shards_share_no_row_and_lack_none(name: str, tmp_path: Path) -> None:
    whole = first(name, tmp_path)
    source = source_of(name, tmp_path)
    parts = [list(made(name).read(source, split="test", limit=3, shard=Shard(index=index, of=2))) for index in range(2)]
    assert parts == [whole[0::2], whole[1::2]]


def test_every_row_has_an_id_of_its_own_that_stays(name: str, tmp_path: Path) -> None:
    ids = [pair.id for pair in first(name, tmp_path)]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert ids == [pair.id for pair in first(name, tmp_path)]


def test_it_describes_what_it_reads(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    info = made(name).describe(source, split="test")
    assert info.revision
    assert info == made(name).describe(source, split="test")
    assert info.rows in (None, 3)
    assert info.metric in ("hit@1", "ndcg_linear@5", "ndcg@10")
    with pytest.raises(WorkbenchError):
        made(name).describe(str(tmp_path / "nowhere"), split="test")


def test_the_pool_holds_every_document_that_pairs_name(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    if not source:
        pytest.skip("a world that is drawn as it is read has no last document")
    documents = list(made(name).documents(source, split="test"))
    ids = [document.id for document in documents]
    assert len(set(ids)) == len(ids)
    assert all(document.sample.role == "document" for document in documents)
    for pair in first(name, tmp_path, limit=None):
        assert set(pair.candidates) | set(pair.relevant) <= set(ids)
        assert not pair.candidates or set(pair.relevant) <= set(pair.candidates)


def test_a_model_takes_what_it_reads(name: str, tmp_path: Path, tiny_model: Any) -> None:
    for pair in first(name, tmp_path):
        samples = [pair.query, *([] if pair.target is None else [pair.target])]
        for vector in tiny_model.embed([tiny_model.prepare(sample) for sample in samples]):
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
