"""A checkpoint on the Shapes world: are its thoughts right, does its embedding find the target, does the image matter?

Thoughts are decoded greedily in the checkpoint's own context and read back word by word against the truth of the scene.
Candidates of the search are the distinct targets (texts and images) of all samples evaluated, and of further samples of
the split where those are fewer than 200.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from workbench.data.readers.shapes import to_pair
from workbench.data.shapes import SPLITS, ShapesConfig, ShapesSample, make_sample, score_thought
from workbench.embedder import DecodesThoughts, Embedder, Keep
from workbench.errors import BadInput, UnknownName, Unsupported
from workbench.stats import Interval, bootstrap_interval
from workbench.types import Sample, Trace

MIN_CANDIDATES = 200
BOOTSTRAP_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapesReport:
    """What was measured; every share with its 95% bootstrap interval."""

    split: str
    n_candidates: int
    metrics: dict[str, Interval]
    """thought_exact, answer_exact, hit_at_1, swapped_thought_exact, token_log_probability."""
    by_task: dict[str, dict[str, Interval]]
    chance_thought_exact: float
    """Share of pairs (sample, other sample) whose *true* thoughts list the same objects: what swapping can get by luck."""


def evaluate_shapes(
    model: Embedder,
    *,
    split: str = "test",
    n: int = 1000,
    seed: int = 7,
    batch: int = 64,
    max_tokens: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> ShapesReport:
    """Evaluate on `n` unseen samples of a split. The swapped thought of sample i is that of sample i + 1.

    Raises Unsupported when the checkpoint cannot decode, BadInput for fewer than two samples.
    """
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    if n < 2:
        raise BadInput(f"An evaluation of {n} samples has no other thought to swap in; take 2 or more.")
    if not isinstance(model, DecodesThoughts):
        raise Unsupported(f"'{model.info.name}' cannot write its thoughts, so they cannot be checked.")
    config = ShapesConfig(seed=seed)
    samples = [make_sample(config, split, index) for index in range(n)]
    scores = _Scores.empty(n)
    embeddings = []
    for begin in range(0, n, batch):
        part = samples[begin : begin + batch]
        # One more than the batch, so that the last sample too has a neighbour to take a thought from.
        after = samples[(begin + len(part)) % n]
        traces = _trace(model, [to_pair(sample).query for sample in (*part, after)])
        own, others = traces[:-1], traces[1:]
        _score(model, part, own, others, scores, begin, max_tokens)
        embeddings += [trace.embedding for trace in own]
        if progress:
            progress(begin + len(part), n)
    keys, vectors = _embed_candidates(model, config, split, samples, batch)
    place = {key: index for index, key in enumerate(keys)}
    truth = np.array([place[sample.target_id] for sample in samples])
    scores.hit[:] = (np.stack(embeddings) @ vectors.T).argmax(1) == truth
    return _report(split, samples, scores, len(keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    exact: Bool[np.ndarray, " n"]
    answer: Bool[np.ndarray, " n"]
    swapped: Bool[np.ndarray, " n"]
    hit: Bool[np.ndarray, " n"]
    certainty: Float[np.ndarray, " n"]

    @classmethod
    def empty(cls, n: int) -> "_Scores":
        return cls(
            **{name: np.zeros(n, dtype=bool) for name in ("exact", "answer", "swapped", "hit")},
            certainty=np.zeros(n, dtype=np.float32),
        )


def _trace(model: Embedder, queries: Sequence[Sample]) -> list[Trace]:
    keep = Keep(latents=False, attention=False, edits=False)
    return model.trace([model.prepare(query) for query in queries], keep)


def _score(
    model: DecodesThoughts,
    samples: Sequence[ShapesSample],
    own: Sequence[Trace],
    others: Sequence[Trace],
    scores: _Scores,
    begin: int,
    max_tokens: int,
) -> None:
    thoughts = model.decode(own, max_tokens=max_tokens)
    swapped = model.decode(own, max_tokens=max_tokens, thoughts_from=others)
    for offset, (sample, thought, other) in enumerate(zip(samples, thoughts, swapped, strict=True)):
        at = begin + offset
        found = score_thought(thought.text, sample)
        scores.exact[at], scores.answer[at] = found.exact, found.answer
        scores.swapped[at] = score_thought(other.text, sample).exact
        scores.certainty[at] = np.mean(thought.log_probabilities) if thought.log_probabilities else np.nan


def _embed_candidates(
    model: Embedder, config: ShapesConfig, split: str, samples: Sequence[ShapesSample], batch: int
) -> tuple[list[str], Float[np.ndarray, "candidates dim"]]:
    targets = {sample.target_id: _target(sample) for sample in samples}
    for index in count(len(samples)):
        if len(targets) >= MIN_CANDIDATES:
            break
        further = make_sample(config, split, index)
        targets.setdefault(further.target_id, _target(further))
    # Short texts, captions and images apart: a batch is as slow as its longest member.
    keys = sorted(targets, key=lambda key: (bool(targets[key].images), len(targets[key].text)))
    vectors = [
        model.embed([model.prepare(targets[key]) for key in keys[at : at + batch]]) for at in range(0, len(keys), batch)
    ]
    return keys, np.concatenate(vectors)


def _target(sample: ShapesSample) -> Sample:
    target = to_pair(sample).target
    assert target is not None, "every Shapes sample has a target"
    return target


def _report(split: str, samples: Sequence[ShapesSample], scores: _Scores, n_candidates: int) -> ShapesReport:
    # A thought without words has no certainty; 0 would read as complete certainty.
    written = scores.certainty[np.isfinite(scores.certainty)]
    columns: dict[str, Any] = {
        "thought_exact": scores.exact,
        "answer_exact": scores.answer,
        "hit_at_1": scores.hit,
        "swapped_thought_exact": scores.swapped,
    }
    if written.size:
        columns["token_log_probability"] = written
    tasks = np.array([sample.task for sample in samples])
    return ShapesReport(
        split=split,
        n_candidates=n_candidates,
        metrics={name: bootstrap_interval(values, seed=BOOTSTRAP_SEED) for name, values in columns.items()},
        by_task={
            str(task): {
                name: bootstrap_interval(columns[name][tasks == task], seed=BOOTSTRAP_SEED)
                for name in ("thought_exact", "answer_exact", "hit_at_1")
            }
            for task in np.unique(tasks)
        },
        chance_thought_exact=_chance(samples),
    )


def _chance(samples: Sequence[ShapesSample]) -> float:
    scenes = [sample.scene.items for sample in samples]
    _, counts = np.unique(np.array([str(scene) for scene in scenes]), return_counts=True)
    n = len(scenes)
    return float((counts * (counts - 1)).sum() / (n * (n - 1)))
