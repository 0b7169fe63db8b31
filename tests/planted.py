"""A model whose every answer can be worked out by hand: thought k holds one known word, and the decoder writes it.

Think token k of a sample carries `STRENGTH` along the direction of its word, growing evenly over the layers. The head is
the identity, so a latent's logits are its own entries. The words come from `sample.metadata["thought"]`, and
`metadata["hot"]` = (row, column) is the patch of the last image on which every row puts half of its attention; the rest
is spread evenly over what the row may see.
"""

from collections.abc import Sequence

import numpy as np

from workbench.embedder import ComposesVision, DecodesThoughts, Embedder, EmbedderInfo, Keep, ReadsVocabulary
from workbench.errors import BadInput
from workbench.types import (
    Context,
    DecodedThought,
    Encoded,
    ImageRef,
    PatchGrid,
    Provenance,
    Sample,
    TextScore,
    TokenKind,
    TokenTable,
    Trace,
)
from workbench.words import END as END_TOKEN

VOCABULARY = (" red", " blue", " cir", "cle", " square", " left", " right", " of", " the", ".", " is", END_TOKEN)
END = VOCABULARY.index(END_TOKEN)
STRENGTH = 6.0
PATCH = 10
"""Pixels to a side of one image token."""
N_LAYERS, N_HEADS, N_THINK = 3, 2, 4
PROVENANCE = Provenance(
    checkpoint="planted", weights_sha256="0" * 64, family="planted", format="native", dtype="float32", device="cpu"
)


def planted_sample(
    words: Sequence[str] = (" red", " cir", "cle", "."),
    *,
    id: str = "sample",
    sizes: Sequence[tuple[int, int]] = ((50, 30),),
    hot: tuple[int, int] | None = None,
    text: str = "what is it ?",
) -> Sample:
    """A sample with this thought; `sizes` are (width, height) of its images, non-square unless asked otherwise."""
    images = tuple(ImageRef(data=b"", sha256="0", width=width, height=height) for width, height in sizes)
    return Sample(id=id, text=text, images=images, metadata={"thought": tuple(words), "hot": hot})


class PlantedModel(Embedder, DecodesThoughts, ReadsVocabulary, ComposesVision):
    """See the head of this file."""

    info = EmbedderInfo(
        name="planted",
        n_layers=N_LAYERS,
        n_heads=N_HEADS,
        n_think=N_THINK,
        width=len(VOCABULARY),
        dim=len(VOCABULARY),
        n_parameters=0,
        think_tokens=tuple(f"<think{k}>" for k in range(1, N_THINK + 1)),
        contexts=("latents_only", "query_and_latents"),
        max_tokens=1000,
        provenance=PROVENANCE,
    )

    def prepare(self, sample: Sample) -> Encoded:
        texts: list[str] = []
        kinds: list[TokenKind] = []
        grids: list[PatchGrid] = []
        for image in sample.images:
            frames = sample.metadata.get("frames", 1)
            grid = PatchGrid(frames=frames, rows=image.height // PATCH, cols=image.width // PATCH, start=len(texts) + 1)
            grids.append(grid)
            texts += ["<image>", *["<patch>"] * grid.n_tokens, "</image>"]
            kinds += ["control", *["image"] * grid.n_tokens, "control"]
        words = sample.text.split()
        texts += [*words, *self.info.think_tokens, "<embed>"]
        kinds += [*["text"] * len(words), *["think"] * N_THINK, "embed"]
        return Encoded(
            sample=sample,
            inputs={},
            tokens=TokenTable(ids=np.arange(len(texts)), texts=tuple(texts), kinds=tuple(kinds)),
            grids=tuple(grids),
            think=slice(len(texts) - 1 - N_THINK, len(texts) - 1),
            embed=len(texts) - 1,
        )

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        return [self._trace(encoded) for encoded in batch]

    def embed(self, batch: Sequence[Encoded]) -> np.ndarray:
        return np.stack([trace.embedding for trace in self.trace(batch)])

    def decode(
        self,
        traces: Sequence[Trace],
        *,
        context: Context | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        thoughts_from: Sequence[Trace] | None = None,
    ) -> list[DecodedThought]:
        generator = np.random.default_rng(seed)
        thoughts = []
        for trace in thoughts_from or traces:
            if trace.continuation is None:
                raise BadInput("This trace has no continuation; trace the sample again.")
            logits = trace.latents[-1]
            noise = generator.gumbel(size=logits.shape) * temperature
            ids = (logits + noise).argmax(axis=-1).tolist()
            stop = ids.index(END) if END in ids else len(ids)
            ids, finish = (ids[:max_tokens], "length") if stop > max_tokens else (ids[:stop], "end")
            thoughts.append(
                DecodedThought(
                    text="".join(VOCABULARY[i] for i in ids),
                    tokens=tuple(VOCABULARY[i] for i in ids),
                    token_ids=tuple(ids),
                    log_probabilities=tuple(_log_softmax(logits)[range(len(ids)), ids].tolist()),
                    context=context or self.info.contexts[0],
                    finish=finish,
                )
            )
        return thoughts

    def score(
        self,
        traces: Sequence[Trace],
        texts: Sequence[str],
        *,
        context: Context | None = None,
        thoughts_from: Sequence[Trace] | None = None,
    ) -> list[TextScore]:
        scores = []
        for trace, text in zip(thoughts_from or traces, texts, strict=True):
            ids = [*_tokenize(text), END]
            # After its last thought the planted decoder knows nothing: uniform over the vocabulary.
            blank = np.zeros((len(ids), len(VOCABULARY)), dtype=np.float32)
            logits = np.concatenate([trace.latents[-1], blank])[: len(ids)]
            logs = _log_softmax(logits)[range(len(ids)), ids]
            first = tuple(bool(best == i) for best, i in zip(logits.argmax(axis=-1), ids, strict=True))
            tokens = tuple(VOCABULARY[i] for i in ids)
            scores.append(TextScore(tokens=tokens, log_probabilities=tuple(logs.tolist()), likeliest=first))
        return scores

    def through_vision(self, encoded: Encoded, rows: np.ndarray) -> np.ndarray:
        """The planted tower keeps half of each row where it is and spreads half evenly over its image."""
        parts = np.split(rows, np.cumsum([grid.n_tokens for grid in encoded.grids])[:-1], axis=1)
        return np.concatenate([0.5 * part + 0.5 * part.mean(axis=1, keepdims=True) for part in parts], axis=1)

    def vocabulary(self, hidden: np.ndarray) -> np.ndarray:
        return hidden

    def words(self, ids: np.ndarray) -> list[str]:
        return [VOCABULARY[i] for i in ids]

    def text_ids(self, text: str) -> tuple[int, ...]:
        return tuple(_tokenize(text))

    def _trace(self, encoded: Encoded) -> Trace:
        held = [VOCABULARY.index(word) for word in encoded.sample.metadata["thought"]]
        held += [END] * (N_THINK - len(held))
        last = np.zeros((N_THINK, len(VOCABULARY)), dtype=np.float32)
        last[range(N_THINK), held] = STRENGTH
        growth = np.arange(1, N_LAYERS + 1, dtype=np.float32)[:, None, None] / N_LAYERS
        embedding = last.sum(axis=0) / np.linalg.norm(last.sum(axis=0))
        return Trace(
            sample=encoded.sample,
            tokens=encoded.tokens,
            grids=encoded.grids,
            think=encoded.think,
            embed=encoded.embed,
            latents=growth * last,
            attention=_attention(encoded),
            embedding=embedding,
            stepwise=np.stack([embedding] * (N_THINK + 1)),
            knockout=np.stack([embedding] * N_THINK),
            provenance=PROVENANCE,
            continuation="planted",
        )


def planted_trace(sample: Sample) -> Trace:
    """The planted model's trace of one sample."""
    model = PlantedModel()
    return model.trace([model.prepare(sample)])[0]


def _attention(encoded: Encoded) -> np.ndarray:
    seq = len(encoded.tokens.texts)
    rows = np.zeros((N_THINK + 1, seq), dtype=np.float32)
    hot = encoded.sample.metadata.get("hot")
    for row in range(N_THINK + 1):
        position = encoded.think.start + row
        rows[row, : position + 1] = (0.5 if hot else 1.0) / (position + 1)
        if hot:
            grid = encoded.grids[-1]
            rows[row, grid.start + hot[0] * grid.cols + hot[1]] += 0.5
    return np.broadcast_to(rows, (N_LAYERS, N_HEADS, *rows.shape)).copy()


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def _tokenize(text: str) -> list[int]:
    ids: list[int] = []
    while text:
        i = max((i for i, word in enumerate(VOCABULARY) if text.startswith(word)), key=lambda i: len(VOCABULARY[i]))
        ids.append(i)
        text = text[len(VOCABULARY[i]) :]
    return ids
