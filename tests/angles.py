"""A model whose embeddings are known by hand: texts that name an angle lie at that angle."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.embedder import DecodesThoughts, Embedder, EmbedderInfo, Keep
from workbench.errors import BadInput
from workbench.types import DecodedThought, Encoded, Provenance, Sample, TextScore, TokenTable, Trace

PROVENANCE = Provenance(
    checkpoint="fake", weights_sha256="0" * 64, family="fake", format="fake", dtype="float32", device="cpu"
)
INFO = EmbedderInfo(
    name="fake",
    n_layers=2,
    n_heads=1,
    n_think=3,
    width=4,
    dim=2,
    n_parameters=1,
    think_tokens=("<t0>", "<t1>", "<t2>"),
    contexts=("latents_only",),
    max_tokens=100,
    provenance=PROVENANCE,
)


class Fake(Embedder, DecodesThoughts):
    """Embeds a text of the form "angle 30" at that angle; writes the query back as its thought."""

    def __init__(self) -> None:
        self.info = INFO
        self.traced: list[str] = []
        self.embedded: list[str] = []
        self.decoded: list[str] = []
        self.delay = 0.0

    def prepare(self, sample: Sample) -> Encoded:
        if "too long" in sample.text:
            raise BadInput("This is longer than the model takes.")
        ids = np.arange(5)
        tokens = TokenTable(
            ids=ids, texts=("a", "b", "c", "d", "e"), kinds=("text", "think", "think", "think", "embed")
        )
        return Encoded(sample=sample, inputs={}, tokens=tokens, grids=(), think=slice(1, 4), embed=4)

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        time.sleep(self.delay)
        self.traced += [encoded.sample.text for encoded in batch]
        return [self._trace(encoded) for encoded in batch]

    def _trace(self, encoded: Encoded) -> Trace:
        vector = vector_of(encoded.sample.text)
        return Trace(
            sample=encoded.sample,
            tokens=encoded.tokens,
            grids=encoded.grids,
            think=encoded.think,
            embed=encoded.embed,
            latents=np.zeros((2, 3, 4), np.float32),
            attention=np.full((2, 1, 4, 5), 0.2, np.float32),
            embedding=vector,
            stepwise=np.repeat(vector[None], 4, axis=0),
            knockout=np.repeat(vector[None], 3, axis=0),
            provenance=PROVENANCE,
            continuation=object(),
        )

    def embed(self, batch: Sequence[Encoded]) -> np.ndarray:
        self.embedded += [encoded.sample.text for encoded in batch]
        return np.stack([vector_of(encoded.sample.text) for encoded in batch])

    def decode(
        self,
        traces: Sequence[Trace],
        *,
        context: Any = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[DecodedThought]:
        self.decoded += [trace.sample.text for trace in traces]
        assert all(trace.continuation is not None for trace in traces)
        return [
            DecodedThought(
                text=f"I see {t.sample.text}",
                tokens=("I see ", t.sample.text),
                token_ids=(1, 2),
                log_probabilities=(-0.5, -0.25),
                context="latents_only",
                finish="end",
            )
            for t in traces
        ]

    def score(
        self, traces: Sequence[Trace], texts: Sequence[str], *, context: Any = None, thoughts_from: Any = None
    ) -> list[TextScore]:
        return [
            TextScore(tokens=(text, "<end>"), log_probabilities=(-1.0, 0.0), likeliest=(False, True)) for text in texts
        ]


def vector_of(text: str) -> np.ndarray:
    """The unit vector at the angle that a text names, in degrees."""
    digits = "".join(letter for letter in text if letter.isdigit())
    angle = np.radians(float(digits or "0"))
    return np.array([np.cos(angle), np.sin(angle)], np.float32)
