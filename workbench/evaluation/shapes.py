"""A checkpoint on the Shapes world: are its thoughts right, does its embedding find the target, does the image matter?

Thoughts are decoded greedily in the checkpoint's own context and read back word by word against the truth of the scene; or,
where they tell the target, compared with its words. A model that writes nothing is measured by its embedding alone.
Candidates of the search are the distinct targets (texts and images) of all samples evaluated, and of further samples of
the split where those are fewer than 200.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from workbench.data.readers.shapes import to_pair
from workbench.data.shapes import SPLITS, ShapesConfig, ShapesSample, make_sample, score_thought
from workbench.data.shapes.language import caption
from workbench.embedder import DecodesThoughts, Embedder, EmbedderInfo, Keep
from workbench.errors import BadInput, UnknownName
from workbench.stats import Interval, bootstrap_interval
from workbench.types import Sample, Trace

MIN_CANDIDATES = 200
LOOK_AHEAD = 2_000
"""Further samples that are looked at for candidates: a small world may not have so many, and is then ranked among fewer."""
BY_TASK = ("thought_exact", "answer_exact", "target_exact", "hit_at_1")
"""What is also told task by task, where the model has it."""
BOOTSTRAP_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapesReport:
    """What was measured; every share with its 95% bootstrap interval."""

    split: str
    n_candidates: int
    metrics: dict[str, Interval]
    """hit_at_1 always. Of a model that tells its reasoning: thought_exact, answer_exact, swapped_thought_exact; of one that
    tells the target: target_exact, swapped_target_exact; of both: token_log_probability."""
    by_task: dict[str, dict[str, Interval]]
    chance_thought_exact: float | None
    """Share of samples whose neighbour, the one whose thought is swapped in, has the same objects in its *true* thought, or
    the same words in its target: what swapping gets by luck. None where nothing is written."""
    undefined: dict[str, str]
    """Measures of other models that this one has not, each with the reason in one sentence."""


def evaluate_shapes(
    model: Embedder,
    *,
    split: str = "test",
    n: int = 1000,
    seed: int = 7,
    world: ShapesConfig | None = None,
    batch: int = 64,
    max_tokens: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> ShapesReport:
    """Evaluate on `n` unseen samples of a split. The swapped thought of sample i is that of sample i + 1.

    `world` stands in for Shapes as it is by default, and has a seed of its own. Raises BadInput for fewer than two samples.
    """
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    if n < 2:
        raise BadInput(f"An evaluation of {n} samples has no other thought to swap in; take 2 or more.")
    config = world or ShapesConfig(seed=seed)
    samples = [make_sample(config, split, index) for index in range(n)]
    questions = _questions(model)
    scores = _Scores.empty(n)
    embeddings = []
    for begin in range(0, n, batch):
        part = samples[begin : begin + batch]
        # One more than the batch, so that the last sample too has a neighbour to take a thought from.
        after = samples[(begin + len(part)) % n]
        if isinstance(model, DecodesThoughts) and questions:
            traces = _trace(model, [to_pair(sample).query for sample in (*part, after)])
            own, others = traces[:-1], traces[1:]
            _score(model, model.info.tells, part, own, others, scores, begin, max_tokens)
            embeddings += [trace.embedding for trace in own]
        else:
            embeddings += list(model.embed([model.prepare(to_pair(sample).query) for sample in part]))
        if progress:
            progress(begin + len(part), n)
    keys, vectors = _embed_candidates(model, config, split, samples, batch)
    place = {key: index for index, key in enumerate(keys)}
    truth = np.array([place[sample.target_id] for sample in samples])
    scores.hit[:] = (np.stack(embeddings) @ vectors.T).argmax(1) == truth
    return _report(model.info, split, samples, questions, scores, len(keys))


_REASONING = ("thought_exact", "answer_exact", "swapped_thought_exact")
_TARGET = ("target_exact", "swapped_target_exact")


def _questions(model: Embedder) -> tuple[str, ...]:
    """The measures of what the model writes."""
    if not isinstance(model, DecodesThoughts) or not model.info.contexts:
        return ()
    return _REASONING if model.info.tells == "reasoning" else _TARGET


def _undefined(info: EmbedderInfo, questions: tuple[str, ...]) -> dict[str, str]:
    """Why the measures of other models are not this one's. Those of the target are missed of no model but LaME's kind."""
    if questions == _REASONING:
        return {}
    why = (
        f"'{info.name}' tells the words of its target, not a reasoning"
        if questions
        else f"'{info.name}' writes no text"
    )
    return dict.fromkeys(_REASONING, f"{why}, so there is nothing to compare with the truth of the scene.")


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
    tells: str,
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
        if tells == "reasoning":
            found = score_thought(thought.text, sample)
            scores.exact[at], scores.answer[at] = found.exact, found.answer
            scores.swapped[at] = score_thought(other.text, sample).exact
        else:
            scores.exact[at] = thought.text.strip() == _words(sample)
            scores.swapped[at] = other.text.strip() == _words(sample)
        scores.certainty[at] = np.mean(thought.log_probabilities) if thought.log_probabilities else np.nan


def _embed_candidates(
    model: Embedder, config: ShapesConfig, split: str, samples: Sequence[ShapesSample], batch: int
) -> tuple[list[str], Float[np.ndarray, "candidates dim"]]:
    targets = {sample.target_id: _target(sample) for sample in samples}
    for index in range(len(samples), len(samples) + LOOK_AHEAD):
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


def _words(sample: ShapesSample) -> str:
    """The target's words; of an image its caption."""
    return sample.target_text or caption(sample.scene.items)


def _report(
    info: EmbedderInfo,
    split: str,
    samples: Sequence[ShapesSample],
    questions: tuple[str, ...],
    scores: _Scores,
    n_candidates: int,
) -> ShapesReport:
    # A thought without words has no certainty; 0 would read as complete certainty.
    written = scores.certainty[np.isfinite(scores.certainty)]
    columns: dict[str, Any] = {
        "thought_exact": scores.exact,
        "answer_exact": scores.answer,
        "target_exact": scores.exact,
        "hit_at_1": scores.hit,
        "swapped_thought_exact": scores.swapped,
        "swapped_target_exact": scores.swapped,
    }
    columns = {name: values for name, values in columns.items() if name == "hit_at_1" or name in questions}
    if questions and written.size:
        columns["token_log_probability"] = written
    tasks = np.array([sample.task for sample in samples])
    return ShapesReport(
        split=split,
        n_candidates=n_candidates,
        metrics={name: bootstrap_interval(values, seed=BOOTSTRAP_SEED) for name, values in columns.items()},
        by_task={
            str(task): {
                name: bootstrap_interval(columns[name][tasks == task], seed=BOOTSTRAP_SEED)
                for name in columns
                if name in BY_TASK
            }
            for task in np.unique(tasks)
        },
        chance_thought_exact=_chance([_said(sample, info.tells) for sample in samples]) if questions else None,
        undefined=_undefined(info, questions),
    )


def _said(sample: ShapesSample, tells: str) -> str:
    return str(sample.scene.items) if tells == "reasoning" else _words(sample)


def _chance(said: Sequence[str]) -> float:
    return float(np.mean([own == other for own, other in zip(said, (*said[1:], said[0]), strict=True)]))
