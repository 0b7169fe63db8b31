"""What every reader promises, whoever wrote it."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specimens import specimen

from workbench.data.reader import READERS, Pair, Reader, read_pairs
from workbench.errors import BadInput, WorkbenchError
from workbench.images import open_image

NAMES = READERS.names()
pytestmark = pytest.mark.parametrize("name", NAMES)


def made(name: str) -> Reader:
    return READERS.get(name)()


def source_of(name: str, folder: Path) -> str:
    return specimen("reader", name, READERS.get(name)).write(folder)


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


def test_a_source_or_split_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    for source, split in ((str(tmp_path / "nowhere"), "test"), (source_of(name, tmp_path), "no-such-split")):
        with pytest.raises(WorkbenchError) as told:
            next(made(name).read(source, split=split))
        assert "\n" not in str(told.value)
        assert "nowhere" in str(told.value) or "no-such-split" in str(told.value)


def test_a_bad_row_is_named_by_its_number_after_the_good_ones(name: str, tmp_path: Path) -> None:
    write_bad = getattr(specimen("reader", name, READERS.get(name)), "write_bad", None)
    if write_bad is None:
        pytest.skip(f"'{name}' reads no files that could be wrong")
    source, row = write_bad(tmp_path)
    pairs = made(name).read(source, split="test")
    assert len(list(islice(pairs, row - 1))) == row - 1
    with pytest.raises(BadInput, match=rf"\b{row}\b"):
        next(pairs)


def test_a_model_takes_what_it_reads(name: str, tmp_path: Path, tiny_model: Any) -> None:
    for pair in first(name, tmp_path):
        samples = [pair.query, *([] if pair.target is None else [pair.target])]
        for vector in tiny_model.embed([tiny_model.prepare(sample) for sample in samples]):
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
