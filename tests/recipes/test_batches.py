"""Rows, their order, and what a batch holds."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.models.sequence import EMBED, PAD, TEXT, THINK
from workbench.recipes.batches import IGNORE, Encoder, RowOrder
from workbench.recipes.config import DataSettings, TrainConfig
from workbench.recipes.gathering import same
from workbench.recipes.rows import document_key, read_training_rows, target_key
from workbench.recipes.tte_flash import TteFlashStep


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
    assert len({tuple(key) for key in batch.keys.tolist()}) == len(batch.keys)
    count = sum(len(part.ids) for part in batch.documents)
    assert count == len(batch.keys)
    for row, place in zip(rows, batch.positive.tolist(), strict=True):
        alone = encoder([(0, row)])
        assert alone.keys[alone.positive[0]].equal(batch.keys[place]), target_key(row)


def test_documents_pass_in_runs_of_like_length_and_embed_as_they_would_together(
    encoder: Encoder, data: Path, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def embeddings(room: int) -> tuple[dict[tuple[int, ...], torch.Tensor], list[Any]]:
        monkeypatch.setattr("workbench.models.runs._POSITIONS_ON_CPU", room)
        batch = encoder(list(enumerate(read_training_rows(data)[:16])))
        step = TteFlashStep(tiny_model._backbone, TrainConfig(), None)
        with torch.no_grad():
            found = torch.cat([step.embed(part, True) for part in batch.documents])
        keys = [tuple(key) for key in batch.keys.tolist()]
        return dict(zip(keys, found, strict=True)), list(batch.documents)

    (cut, parts), (whole, two) = embeddings(150), embeddings(100_000)
    assert len(two) == 2 < len(parts)  # texts and images
    assert all(part.ids.numel() <= 150 or len(part.ids) == 1 for part in parts)
    texts = [part for part in parts if part.pixels is None]
    lengths = [length for part in texts for length in (part.segments != PAD).sum(dim=1).tolist()]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1]
    assert cut.keys() == whole.keys()
    for key, vector in whole.items():
        torch.testing.assert_close(cut[key], vector)


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


def row(target: dict[str, Any], *negatives: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"query": "What?", "reasoning": "a star.", "target": target, "negatives": list(negatives), **more}


def test_a_special_token_in_a_reasoning_text_is_only_letters(encoder: Encoder) -> None:
    tokenizer = encoder.processor.tokenizer
    end = tokenizer.convert_ids_to_tokens(encoder.ids.end)
    text = f"red {end} blue"
    ids = encoder.reasoning(text).tolist()
    assert ids[-1] == encoder.ids.end and encoder.ids.end not in ids[:-1]
    assert tokenizer.decode(ids[:-1]) == text
    assert encoder.ids.end in tokenizer(text, add_special_tokens=False)["input_ids"]  # what would happen otherwise


def test_a_negative_equal_to_a_target_is_that_target_whatever_it_is_called(encoder: Encoder) -> None:
    """A target with an id and the same text without one are one candidate, in its own row and in another's."""
    rows = [
        row({"text": "red star"}, {"text": "red star"}, {"text": "blue star"}, target_id="answer 1"),
        row({"text": "grey star"}, {"text": "red star"}, target_id="answer 2"),
        # Another wording of the same target: neither wording may stand against it.
        row({"text": "star, red"}, {"text": "red star"}, {"text": "star, red"}, target_id="answer 1"),
    ]
    batch = encoder(list(enumerate(rows)))
    assert len(batch.keys) == 3  # answer 1, answer 2, blue star
    first, second, third = batch.positive.tolist()
    assert first == third != second


def test_equal_targets_under_two_ids_do_not_stand_against_each_other(encoder: Encoder) -> None:
    rows = [row({"text": "red star"}, target_id="a"), row({"text": "red star"}, target_id="b"), row({"text": "cross"})]
    keys = encoder(list(enumerate(rows))).keys
    assert same(keys, keys).tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_another_process_knows_a_target_by_its_text(encoder: Encoder) -> None:
    here = encoder([(0, row({"text": "red star"}, target_id="a"))])
    there = encoder([(1, row({"text": "cross"}, {"text": "red star"}, target_id="c"))])
    assert same(here.keys, there.keys).tolist() == [[False, True]]


def test_documents_of_one_image_and_two_texts_are_two() -> None:
    assert document_key({"text": "left", "images": ["a.png"]}) != document_key({"text": "right", "images": ["a.png"]})
    assert document_key({"text": None, "images": ["a.png"]}) == document_key({"images": ["a.png"]}) == "image:a.png"
