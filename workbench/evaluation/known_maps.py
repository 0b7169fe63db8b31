"""Samples with targets whose evidence is known to the pixel: what maps are scored on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench.data.readers.shapes import to_pair
from workbench.data.shapes import ShapesConfig, ShapesSample, make_sample
from workbench.embedder import DecodesThoughts, Keep, ReadsVocabulary
from workbench.evaluation.shapes_truth import contrast_of, named_words, region, thing_read
from workbench.resolution import resolve
from workbench.samples import make_sample as make_record
from workbench.targets import EmbeddingTarget, Score, Target, ThinkState, WordTarget, parse_target
from workbench.types import Context, DecodedThought, Encoded, Trace

KINDS = ("words", "embedding", "think")
"""What is explained: words that name an object, the embedding against a wrong answer, the reading of a think token."""
MOST = {"words": 2, "embedding": 1, "think": 1}
"""Targets of each kind that are taken from one sample: further ones of the same image would say little that is new."""
LEAST_LEAD = 0.05
"""Cosine by which the right answer must be nearer than the wrong one: a smaller lead is luck, and no pixel decides luck."""
_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSample:
    """One sample, and the targets of it whose evidence is known; there may be none."""

    encoded: Encoded
    """With the text held that a model wrote before it embedded."""
    trace: Trace
    context: Context | None
    targets: tuple[Target, ...]
    kinds: tuple[str, ...]
    """Of each target, one of `KINDS`."""
    truth: Float[np.ndarray, "targets cells"]
    """Share of each cell that the evidence covers."""


@dataclass(slots=True)
class _Found:
    targets: list[Target] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    things: list[tuple[int, ...]] = field(default_factory=list)

    def add(self, kind: str, target: Target, things: Sequence[int]) -> None:
        self.targets.append(target)
        self.kinds.append(kind)
        self.things.append(tuple(things))


def known_samples(model: Any, *, split: str, n: int, seed: int) -> Iterator[KnownSample]:
    """The first `n` samples of a split of Shapes, one at a time, in order; equal settings give equal targets.

    `find_image` queries have no image and come without targets.
    """
    config = ShapesConfig(seed=seed)
    documents = _Documents(model)
    decodes = _writes_thoughts(model)
    for begin in range(0, n, _BATCH):
        part = [make_sample(config, split, index) for index in range(begin, min(n, begin + _BATCH))]
        encoded = [model.prepare(to_pair(sample).query) for sample in part]
        traces = model.trace(encoded, Keep(edits=False, continuation=decodes))
        thoughts = model.decode(traces, max_tokens=128) if decodes else [None] * len(part)
        for offset, (sample, one, trace, thought) in enumerate(zip(part, encoded, traces, thoughts, strict=True)):
            yield _known(model, documents, sample, one, trace, thought, (seed, begin + offset))


def _writes_thoughts(model: Any) -> bool:
    return isinstance(model, DecodesThoughts) and bool(model.info.contexts)  # pyright: ignore[reportAttributeAccessIssue]


class _Documents:
    """Embeddings of answers; Shapes has few of them, so each is embedded once."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._held: dict[str, Float[np.ndarray, " dim"]] = {}

    def __getitem__(self, text: str) -> Float[np.ndarray, " dim"]:
        if text not in self._held:
            document = make_record([], text, role="document")
            self._held[text] = self._model.embed([self._model.prepare(document)])[0]
        return self._held[text]


def _known(
    model: Any,
    documents: _Documents,
    sample: ShapesSample,
    encoded: Encoded,
    trace: Trace,
    thought: DecodedThought | None,
    seed: tuple[int, int],
) -> KnownSample:
    found = _Found()
    if encoded.grids:
        draw = np.random.default_rng(seed)
        if thought is not None:
            _add_words(found, model, sample, trace, thought, draw)
        _add_embedding(found, documents, sample, trace)
        _add_thinks(found, model, sample, trace, draw)
    cells = sum(grid.n_tokens for grid in encoded.grids)
    rows = [region(sample.scene, things, encoded.grids[0]) for things in found.things]
    return KnownSample(
        encoded=model.hold(encoded, trace),
        trace=trace,
        context=None if thought is None else thought.context,
        targets=tuple(found.targets),
        kinds=tuple(found.kinds),
        truth=np.stack(rows) if rows else np.zeros((0, cells)),
    )


def _add_words(
    found: _Found,
    model: Any,
    sample: ShapesSample,
    trace: Trace,
    thought: DecodedThought,
    draw: np.random.Generator,
) -> None:
    named = named_words(thought.text, sample.scene)
    if not named:
        return
    owner = [number for number, piece in enumerate(thought.tokens) for _ in piece]
    by_tokens = {(owner[word.begin], owner[word.end - 1] + 1): word.thing for word in named}
    targets = [
        target
        for target in resolve(parse_target("words"), model, trace, thought, None)
        if isinstance(target, WordTarget) and (target.start, target.stop) in by_tokens
    ]
    for place in _some(len(targets), MOST["words"], draw):
        target = targets[place]
        found.add("words", target, (by_tokens[target.start, target.stop],))


def _add_embedding(found: _Found, documents: _Documents, sample: ShapesSample, trace: Trace) -> None:
    contrast = contrast_of(sample)
    if contrast is None:
        return
    right, wrong = documents[contrast.right], documents[contrast.wrong]
    if float(trace.embedding @ (right - wrong)) < LEAST_LEAD:
        return
    score = Score(kind="contrast", positive=right, others=wrong[None])
    label = f"embedding: '{contrast.right}' against '{contrast.wrong}'"
    found.add("embedding", EmbeddingTarget(label=label, score=score), contrast.things)


def _add_thinks(found: _Found, model: Any, sample: ShapesSample, trace: Trace, draw: np.random.Generator) -> None:
    if not trace.n_think or not isinstance(model, ReadsVocabulary):
        return
    states = [
        target for target in resolve(parse_target("think"), model, trace, None, None) if isinstance(target, ThinkState)
    ]
    words = model.words(np.array([state.word for state in states]))
    things = [thing_read(word, sample.scene) for word in words]
    read = [(state, thing) for state, thing in zip(states, things, strict=True) if thing is not None]
    for place in _some(len(read), MOST["think"], draw):
        state, thing = read[place]
        found.add("think", state, (thing,))


def _some(n: int, most: int, draw: np.random.Generator) -> list[int]:
    return sorted(draw.permutation(n)[:most].tolist())
