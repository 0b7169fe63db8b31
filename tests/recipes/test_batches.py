"""Rows, their order, and what a batch holds."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.errors import BadInput
from workbench.models.sequence import EMBED, TEXT, THINK
from workbench.recipes.batches import IGNORE, Encoder, RowOrder, read_training_rows, target_key
from workbench.recipes.config import DataSettings


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes"), ShapesConfig(), "train", 40)


@pytest.fixture
def encoder(tiny_model: Any, data: Path) -> Encoder:
    backbone = tiny_model._backbone
    return Encoder(backbone.processor, backbone.ids, DataSettings(negatives=2), data.parent, seed=0)


@given(n=st.integers(4, 60), batch=st.integers(1, 8), world=st.integers(1, 3), seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_an_epoch_visits_every_row_once(n: int, batch: int, world: int, seed: int) -> None:
    lengths = [(index * 7) % 13 for index in range(n)]
    orders = [
        RowOrder(lengths, batch=batch, seed=seed, start=0, stop=10_000, rank=rank, world=world) for rank in range(world)
    ]
    seen = Counter(
        index for order in orders for _, step in zip(range(order.per_epoch), order, strict=False) for _, index in step
    )
    assert set(seen.values()) == {1}
    assert len(seen) == orders[0].per_epoch * orders[0].batch * world


def test_order_after_a_stop_is_the_order_without_one() -> None:
    lengths = list(range(30))
    whole = list(RowOrder(lengths, batch=4, seed=3, start=0, stop=20))
    assert list(RowOrder(lengths, batch=4, seed=3, start=11, stop=20)) == whole[11:]
    assert whole[:7] != list(RowOrder(lengths, batch=4, seed=4, start=0, stop=7))


def test_batch_holds_each_target_once_and_finds_it(encoder: Encoder, data: Path) -> None:
    rows = read_training_rows(data)[:16]
    batch = encoder(list(enumerate(rows)))
    assert len(set(batch.keys.tolist())) == len(batch.keys)
    count = sum(len(part.ids) for part in (batch.texts, batch.images) if part is not None)
    assert count == len(batch.keys)
    for row, place in zip(rows, batch.positive.tolist(), strict=True):
        alone = encoder([(0, row)])
        assert alone.keys[alone.positive[0]] == batch.keys[place], target_key(row)


def test_labels_are_the_text_one_step_ahead(encoder: Encoder, data: Path) -> None:
    rows = read_training_rows(data)[:6]
    batch = encoder(list(enumerate(rows)))
    queries = batch.queries
    for row in range(6):
        shown = queries.ids[row, queries.text]
        length = int((batch.labels[row] != IGNORE).sum())
        assert shown[0] == encoder.ids.start
        assert torch.equal(shown[1:length], batch.labels[row, : length - 1])
        assert batch.labels[row, length - 1] == encoder.ids.end
        assert (queries.segments[row, queries.think] == THINK).all()
        assert (queries.segments[row, queries.embed] == EMBED).all()
        assert int((queries.segments[row] == TEXT).sum()) == length
        parts = batch.parts[row, :length].tolist()
        assert parts == sorted(parts)
        assert {0, 3} <= set(parts) <= {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "row 2 is not JSON"),
        (json.dumps({"query": "a"}), "row 2 lacks reasoning, target"),
        (json.dumps({"query": "a", "reasoning": "b", "target": {}}), "neither text nor images"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, line: str, message: str) -> None:
    good = json.dumps({"query": "a", "reasoning": "b", "target": {"text": "c"}})
    path = tmp_path / "train.jsonl"
    path.write_text(f"{good}\n{line}\n", encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        read_training_rows(path)


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no training data"):
        read_training_rows(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="holds no rows"):
        read_training_rows(tmp_path / "empty.jsonl")
