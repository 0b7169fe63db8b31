"""An objective with every kind of target on the tiny random model, on two images that are not square."""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from workbench.embedder import Level
from workbench.images import refer
from workbench.models.objective import BackboneObjective
from workbench.targets import EmbeddingTarget, Score, ThinkEffect, ThinkState, WordTarget
from workbench.types import Sample


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
