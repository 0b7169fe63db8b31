"""Objectives are exact: values against traces and scores, gradients against differences, attention against eager passes."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import write_tiny
from objectives import all_targets, as_ref, assert_gradients, assert_readers, expected, scores, two_images, word

from workbench.embedder import Level, Objective
from workbench.errors import Unsupported
from workbench.models import objective as module
from workbench.models.capture import AttentionTap
from workbench.models.layout import Layout
from workbench.targets import EmbeddingTarget, ThinkEffect, WordTarget
from workbench.types import Context, Encoded, Sample, Trace

CONTEXTS: tuple[Context, ...] = ("latents_only", "query_and_latents")
LEVELS: tuple[Level, ...] = ("tokens", "pixels")


@pytest.fixture(scope="module")
def encoded(tiny_model: Any) -> Encoded:
    return tiny_model.prepare(two_images())


@pytest.fixture(scope="module")
def trace(tiny_model: Any, encoded: Encoded) -> Trace:
    return tiny_model.trace([encoded])[0]


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("level", LEVELS)
def test_values_are_those_of_trace_and_score(
    tiny_model: Any, encoded: Encoded, trace: Trace, level: Level, context: Context
) -> None:
    targets = all_targets(tiny_model, len(trace.embedding))
    assert {len(t.alternative) > 1 for t in targets if isinstance(t, WordTarget) and t.alternative} == {False, True}
    objective = tiny_model.objective(encoded, targets, level=level, context=context)
    values = objective(objective.features[None])[0].tolist()
    wanted = [expected(tiny_model, encoded, trace, context, target) for target in targets]
    np.testing.assert_allclose(values, wanted, atol=1e-5)
    assert len({round(value, 4) for value in values}) > len(targets) / 2  # the comparison compares different things


def test_contexts_differ_for_words_alone(tiny_model: Any, encoded: Encoded, trace: Trace) -> None:
    targets = (EmbeddingTarget(label="e", score=scores(len(trace.embedding))[0]), word(tiny_model, 0, 1))
    found = [tiny_model.objective(encoded, targets, context=context) for context in CONTEXTS]
    (one, first), (other, second) = (o(o.features[None])[0].tolist() for o in found)
    assert one == pytest.approx(other, abs=1e-6)
    assert abs(first - second) > 1e-4


def test_several_embed_tokens_are_pooled_and_hidden_together(tmp_path: Path, shapes_rows: list[dict[str, Any]]) -> None:
    from workbench.models.checkpoint import load_checkpoint

    names = tuple(f"<|think_{k}|>" for k in range(3))
    for pooling in ("mean", "last"):
        layout = Layout(think_tokens=names, embed_tokens=("<|embed_0|>", "<|embed_1|>"), pooling=pooling)
        folder = write_tiny(tmp_path / pooling, shapes_rows, layout=layout)
        model: Any = load_checkpoint(folder, device="cpu", dtype="float32")
        own = model.prepare(two_images())
        [left] = model.trace([own])
        score = scores(len(left.embedding))[1]
        targets = (EmbeddingTarget(label="e", score=score), ThinkEffect(label="t", think=1, score=score))
        objective = model.objective(own, targets)
        wanted = [expected(model, own, left, "latents_only", target) for target in targets]
        np.testing.assert_allclose(objective(objective.features[None])[0].tolist(), wanted, atol=1e-5)
        assert [len(places) for places in objective.readers] == ([2, 4] if pooling == "mean" else [1, 2])
        assert_readers(objective)


def test_readers_are_where_values_are_read(tiny_model: Any, encoded: Encoded, trace: Trace) -> None:
    objective = tiny_model.objective(encoded, all_targets(tiny_model, len(trace.embedding)))
    assert_readers(objective)
    reading = objective.reading()
    torch.testing.assert_close(reading.sum(dim=1), torch.ones(len(objective.targets)))
    assert [tuple(row.nonzero()[:, 0].tolist()) for row in reading] == [tuple(sorted(p)) for p in objective.readers]


@pytest.mark.parametrize("level", LEVELS)
def test_gradients_are_those_of_differences(tiny_model: Any, encoded: Encoded, trace: Trace, level: Level) -> None:
    """Along a random direction of everything, and along one of a single cell of the second image."""
    objective = tiny_model.objective(encoded, all_targets(tiny_model, len(trace.embedding)), level=level)
    assert_gradients(objective)


def test_samples_of_a_batch_are_independent(
    tiny_model: Any, encoded: Encoded, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for level in LEVELS:
        objective = tiny_model.objective(encoded, all_targets(tiny_model, len(trace.embedding)), level=level)
        some = torch.stack([objective.features, objective.baseline("mean"), objective.baseline("blur")])
        together = objective(some)
        alone = torch.cat([objective(one[None]) for one in some])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
        assert (together[0] - together[1]).abs().max() > 1e-3
        with monkeypatch.context() as patch:
            patch.setattr(module, "TOKENS_AT_ONCE", {"cpu": 1})
            torch.testing.assert_close(objective(some), together, atol=1e-5, rtol=0)
        assert not objective(some).requires_grad


def test_attention_is_the_traces_and_rows_sum_to_one(tiny_model: Any, encoded: Encoded, trace: Trace) -> None:
    objective = tiny_model.objective(encoded, all_targets(tiny_model, len(trace.embedding)))
    n = len(trace.tokens.ids)
    layers = list(objective.attention())
    assert len(layers) == objective.n_layers == len(trace.attention)
    assert {layer.shape for layer in layers} == {(tiny_model.info.n_heads, objective.length, objective.length)}
    rows = [*objective.thoughts, trace.embed]
    assert list(objective.thoughts) == list(range(trace.think.start, trace.think.stop))
    for layer, wanted in zip(reversed(layers), trace.attention, strict=True):
        torch.testing.assert_close(layer.sum(-1), torch.ones(layer.shape[:2]))
        assert np.abs(layer[:, rows, :n].numpy() - wanted).max() < 1e-6
        assert layer[:, :n, n:].abs().max() == 0  # nothing of the sample sees what stands behind it


@pytest.mark.parametrize("context", CONTEXTS)
def test_attention_gradients_are_those_of_one_whole_pass(
    tiny_model: Any, encoded: Encoded, trace: Trace, context: Context
) -> None:
    objective: Any = tiny_model.objective(encoded, all_targets(tiny_model, len(trace.embedding)), context=context)
    taps = [AttentionTap(objective._plan.mask) for _ in range(objective.n_layers)]
    with torch.enable_grad():
        states = objective._inputs(objective.features[None]).requires_grad_()
        for index, tap in enumerate(taps):
            states = objective._run_layer(index, states, tap)
        values = objective._read(objective._backbone.family.final_norm(objective._backbone.model)(states))[0]
    torch.testing.assert_close(values, objective(objective.features[None])[0], atol=1e-5, rtol=0)
    whole = [torch.autograd.grad(value, [tap.weights for tap in taps], retain_graph=True) for value in values]
    order = []
    for number, attention, gradient in objective.attention_gradients():
        layer = objective.n_layers - 1 - len(order) // len(values)
        order.append(number)
        torch.testing.assert_close(attention, taps[layer].weights[0], atol=1e-6, rtol=0)
        wanted = whole[number][layer][0]
        assert (gradient - wanted).norm() <= 1e-4 * wanted.norm()
    assert order == [*range(len(values))] * objective.n_layers


def test_baselines_keep_grids_and_lose_what_is_shown(tiny_model: Any) -> None:
    """Left half black, right half white: flat it is mid grey; a second image stays apart from the first."""
    halves = np.zeros((80, 128, 3), dtype=np.uint8)
    halves[:, 64:] = 255
    green = np.zeros((112, 80, 3), dtype=np.uint8)
    green[..., 1] = 200
    own = tiny_model.prepare(Sample(id="flat", text="What?", images=(as_ref(halves), as_ref(green))))
    target = (EmbeddingTarget(label="e", score=scores(tiny_model.info.dim)[0]),)
    pixels = tiny_model.objective(own, target, level="pixels")
    first = 4 * own.grids[0].n_tokens
    settings = tiny_model._backbone.processor.settings()
    grey = (0.5 - np.array(settings["image_mean"])) / np.array(settings["image_std"])
    flat = pixels.baseline("mean")
    assert flat.shape == pixels.features.shape
    assert flat[:first].std(dim=0).max() < 1e-6
    by_channel = flat[0].unflatten(0, (3, -1)).mean(dim=1).numpy()
    np.testing.assert_allclose(by_channel, grey, atol=0.02)
    torch.testing.assert_close(flat[first:], pixels.features[first:], atol=1e-6, rtol=0)
    blurred = pixels.baseline("blur")
    assert blurred.shape == pixels.features.shape
    assert 0 < blurred[:first].std() < 0.98 * pixels.features[:first].std()
    tokens = tiny_model.objective(own, target)
    mean = tokens.baseline("mean")
    torch.testing.assert_close(mean, tokens.features.mean(dim=0).expand_as(mean))
    assert (tokens.baseline("blur") - tokens.features).abs().max() > 1e-3


def test_noise_has_the_mean_and_spread_of_the_sample_and_repeats(tiny_model: Any, encoded: Encoded) -> None:
    target = (EmbeddingTarget(label="e", score=scores(tiny_model.info.dim)[0]),)
    objective = tiny_model.objective(encoded, target)
    noise = objective.noise(400, seed=1)
    assert noise.shape == (400, *objective.features.shape)
    assert torch.equal(noise, objective.noise(400, seed=1))
    assert not torch.equal(noise[0], objective.noise(1, seed=2)[0])
    spread = objective.features.std(dim=0)
    assert ((noise.mean(dim=(0, 1)) - objective.features.mean(dim=0)).abs() / spread).max() < 0.05
    assert (noise.flatten(0, 1).std(dim=0) / spread - 1).abs().max() < 0.05


@pytest.mark.parametrize(("image", "row", "col"), [(0, 0, 0), (0, 3, 6), (1, 5, 1)])
def test_units_lie_where_their_cells_lie(tiny_model: Any, image: int, row: int, col: int) -> None:
    """A white square in one cell of one image changes the units of that cell and no other's."""
    sizes, cell = ((128, 80), (80, 112)), 16
    canvases = [np.zeros((height, width, 3), dtype=np.uint8) for width, height in sizes]
    black = tiny_model.prepare(Sample(id="b", text="What?", images=tuple(map(as_ref, canvases))))
    canvases[image][row * cell : (row + 1) * cell, col * cell : (col + 1) * cell] = 255
    marked = tiny_model.prepare(Sample(id="m", text="What?", images=tuple(map(as_ref, canvases))))
    target = (EmbeddingTarget(label="e", score=scores(tiny_model.info.dim)[0]),)
    before, after = (tiny_model.objective(one, target, level="pixels") for one in (black, marked))
    change = after.gather((after.features - before.features).abs().sum(dim=1))
    grids = marked.grids
    place = sum(grid.n_tokens for grid in grids[:image]) + row * grids[image].cols + col
    assert change.nonzero()[:, 0].tolist() == [place]
    one_hot = torch.zeros(2, len(change))
    one_hot[:, place] = 1
    torch.testing.assert_close(after.gather(after.spread(one_hot)), 4 * one_hot)


def test_columns_are_the_visual_tokens(tiny_model: Any, encoded: Encoded, trace: Trace) -> None:
    objective = tiny_model.objective(encoded, (word(tiny_model, 0, 1),))
    assert [trace.tokens.kinds[column] for column in objective.columns] == ["image"] * len(objective.columns)
    placed = [place for grid in encoded.grids for place in range(grid.start, grid.start + grid.n_tokens)]
    assert list(objective.columns) == placed


def test_a_text_that_holds_the_image_token_is_text(tiny_model: Any, encoded: Encoded) -> None:
    """A model may write it, and a person may name it as an alternative; neither is a place for visual features."""
    image = tiny_model._backbone.ids.image
    tokens = (image, *tiny_model.text_ids(" red"), image)
    target = WordTarget(label="w", tokens=tokens, start=1, stop=3, alternative=(image, image))
    objective = tiny_model.objective(encoded, (target,))
    assert len(objective.columns) == len(objective.features) == sum(grid.n_tokens for grid in encoded.grids)
    assert torch.isfinite(objective(objective.features[None])).all()


def test_an_objective_needs_images_and_one_text(tiny_model: Any, encoded: Encoded) -> None:
    words = tiny_model.prepare(Sample(id="t", text="No image."))
    with pytest.raises(Unsupported, match="has no image"):
        tiny_model.objective(words, (word(tiny_model, 0, 1),))
    another = WordTarget(label="w", tokens=(3, 4), start=0, stop=1)
    with pytest.raises(ValueError, match="must share their text"):
        tiny_model.objective(encoded, (word(tiny_model, 0, 1), another))


def test_baselines_wait_for_the_tokenizer(tiny_model: Any, encoded: Encoded) -> None:
    """The tokenizer keeps state while it runs, so what encodes an image takes the lock that `prepare` takes."""
    target = (EmbeddingTarget(label="e", score=scores(tiny_model.info.dim)[0]),)
    objective: Objective = tiny_model.objective(encoded, target)
    done = threading.Event()
    thread = threading.Thread(target=lambda: (objective.baseline("blur"), done.set()))
    with tiny_model._encoding:
        thread.start()
        assert not done.wait(0.2)
    thread.join(timeout=60)
    assert done.is_set()


def test_nothing_is_left_on_the_model(tiny_model: Any, encoded: Encoded, trace: Trace) -> None:
    objective = tiny_model.objective(encoded, all_targets(tiny_model, len(trace.embedding)))
    for _ in objective.attention_gradients():
        break
    place = objective.features[None].clone().requires_grad_()
    objective(place).sum().backward()
    parameters = list(tiny_model._backbone.model.parameters())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in parameters)
    again = tiny_model.trace([encoded])[0]
    assert np.array_equal(again.embedding, trace.embedding)
    assert not objective.features.requires_grad
