"""Objectives with every kind of target on small random models, and what their values, readers and gradients must be."""

from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image

from workbench.embedder import Level
from workbench.images import refer
from workbench.models.objective import BackboneObjective
from workbench.targets import EmbeddingTarget, Score, Target, ThinkEffect, ThinkState, WordTarget
from workbench.types import Context, Encoded, ImageRef, Sample, Trace

TEXT = " small red star, red"


def noise_sample() -> Sample:
    """Two images of noise, 4 x 6 and 6 x 5 cells, and a repeated word."""
    images = []
    for seed, (height, width) in enumerate(((64, 96), (96, 80))):
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        file = BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        images.append(refer(file.getvalue(), name=f"{seed}.png"))
    return Sample(id="noise", text="How many red red objects?", images=tuple(images))


def mixed_objective(model: Any, level: Level = "tokens") -> BackboneObjective:
    """Five targets: the embedding, a thought's effect, a thought's state, a word of two tokens, and a contrast."""
    directions = np.random.default_rng(2).normal(size=(3, model.info.dim)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    score = Score(kind="contrast", positive=directions[0], others=directions[1:])
    text = (30, 31, 32, 30, 31)
    targets = (
        EmbeddingTarget(label="embedding", score=score),
        ThinkEffect(label="effect", think=1, score=score),
        ThinkState(label="state", think=2, word=40),
        WordTarget(label="word", tokens=text, start=1, stop=3),
        WordTarget(label="against", tokens=text, start=3, stop=4, alternative=(41, 42)),
    )
    objective = model.objective(model.prepare(noise_sample()), targets, level=level)
    assert isinstance(objective, BackboneObjective)
    return objective


def as_ref(pixels: np.ndarray) -> ImageRef:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return refer(file.getvalue(), name="drawn.png")


def picture(width: int, height: int, seed: int) -> ImageRef:
    return as_ref(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def two_images() -> Sample:
    """Not square, of different sizes, with a repeated word."""
    return Sample(id="two", text="Is the red at the red?", images=(picture(128, 80, 1), picture(80, 112, 2)))


def unit(n: int, dim: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def scores(dim: int) -> tuple[Score, ...]:
    positive, *others = unit(4, dim, 0)
    return (
        Score(kind="cosine", positive=positive, others=np.zeros((0, dim), np.float32)),
        Score(kind="contrast", positive=positive, others=np.stack(others)),
        Score(kind="margin", positive=positive, others=np.stack(others)),
    )


def by_hand(score: Score, embedding: np.ndarray) -> float:
    value, others = float(embedding @ score.positive), score.others @ embedding
    return (
        value
        - {"cosine": 0.0, "contrast": others.mean() if len(others) else 0, "margin": max(others, default=0)}[score.kind]
    )


def word(model: Any, start: int, stop: int, alternative: str = "") -> WordTarget:
    ids, other = model.text_ids(TEXT), model.text_ids(alternative) if alternative else ()
    return WordTarget(label=f"{start}{alternative}", tokens=ids, start=start, stop=stop, alternative=other)


def all_targets(model: Any, dim: int) -> tuple[Target, ...]:
    """Every kind; words of one and several tokens, against alternatives of one and several, two at the same place."""
    n_think, contrast = model.info.n_think, scores(dim)[1]
    return (
        *(EmbeddingTarget(label=score.kind, score=score) for score in scores(dim)),
        *(ThinkEffect(label=f"effect {k}", think=k, score=contrast) for k in range(n_think)),
        *(ThinkState(label=f"state {k}", think=k, word=40 + k) for k in range(n_think)),
        *(word(model, start, start + 1) for start in range(len(model.text_ids(TEXT)))),
        word(model, 1, 3),
        word(model, 1, 2, " blue"),
        word(model, 1, 2, " zqx jwv"),
        word(model, 2, 3, " zqx jwv"),
    )


def expected(model: Any, encoded: Encoded, trace: Trace, context: Context, target: Target) -> float:
    """The target's value from what the model says elsewhere."""
    match target:
        case EmbeddingTarget():
            return by_hand(target.score, trace.embedding)
        case ThinkEffect():
            return by_hand(target.score, trace.embedding) - by_hand(target.score, trace.knockout[target.think])
        case ThinkState():
            logits = model.vocabulary(trace.latents[-1])[target.think, target.word]
            return float(logits / _readers_table(model)[target.word].norm())
    ids = model.text_ids(TEXT)
    [own] = model.score([trace], [TEXT], context=context)
    value = sum(own.log_probabilities[target.start : target.stop])
    if not target.alternative:
        return value
    words = model._backbone.processor.tokenizer
    other = words.decode(list(ids[: target.start])) + words.decode(list(target.alternative))
    assert model.text_ids(other) == (*ids[: target.start], *target.alternative)
    [instead] = model.score([trace], [other], context=context)
    return value - sum(instead.log_probabilities[target.start : target.start + len(target.alternative)])


def _readers_table(model: Any) -> torch.Tensor:
    """The rows that words are read by."""
    decoder = getattr(model, "_decoder", None)
    return model._backbone.family.head(model._backbone.model).weight if decoder is None else decoder.table


def assert_readers(objective: Any) -> None:
    """A value's gradient with respect to the last layer's states is nowhere but at its readers."""
    top = objective._states()[-1].requires_grad_()
    with torch.enable_grad():
        values = objective._read(objective._backbone.family.final_norm(objective._backbone.model)(top))[0]
    for value, places in zip(values, objective.readers, strict=True):
        [found] = torch.autograd.grad(value, top, retain_graph=True)
        assert found[0].abs().sum(dim=1).nonzero()[:, 0].tolist() == sorted(places)


def assert_gradients(objective: Any) -> None:
    """Gradients are those of differences, along a random direction of everything and along one of a single cell of the last image."""
    features = objective.features
    draw = torch.Generator().manual_seed(0)
    everywhere = torch.randn(features.shape, generator=draw)
    cells = torch.zeros(len(objective.columns))
    cells[-3] = 1
    here = torch.randn(features.shape, generator=draw) * objective.spread(cells)[:, None]
    place = features[None].clone().requires_grad_()
    values = objective(place)[0]
    gradients = torch.stack([torch.autograd.grad(value, place, retain_graph=True)[0][0] for value in values])
    for direction in (everywhere, here):
        step = direction * (0.006 * features.norm() / direction.norm())
        shifts = torch.stack([features + n * step for n in (-2, -1, 1, 2)])
        far, near, nearer, farther = objective(shifts)
        # Fourth-order differences: the error of the step is far below that of float32.
        slope = (8 * (nearer - near) - (farther - far)) / 12
        found = (gradients * step).sum(dim=(1, 2))
        torch.testing.assert_close(found, slope, atol=1e-5, rtol=2e-2)
        assert found.abs().max() > 1e-4
