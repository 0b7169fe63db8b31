"""From a target as it was asked for to the targets of one sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench.embedder import ReadsVocabulary
from workbench.errors import BadInput, Unsupported
from workbench.targets import (
    Compared,
    EmbeddingTarget,
    Score,
    Target,
    TargetSpec,
    ThinkEffect,
    ThinkState,
    Word,
    WordTarget,
    words_of,
)
from workbench.types import DecodedThought, Trace
from workbench.words import tell_token

ALIKE = 1e-6
"""Difference of the entries of two embeddings up to which they are one candidate twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Embedded documents that a score compares with, best first."""

    names: tuple[str, ...]
    embeddings: Float[np.ndarray, "n dim"]


def resolve(
    spec: TargetSpec, model: Any, trace: Trace, thought: DecodedThought | None, candidates: Candidates | None
) -> tuple[Target, ...]:
    """The targets that a spec names for this sample. Raises BadInput or Unsupported saying what is missing."""
    if spec.about == "words":
        return _words(spec, model, thought)
    if spec.about == "think":
        return _thinks(spec, model, trace, candidates)
    kind, score = _score(spec.kind, spec.candidate, candidates)
    return (EmbeddingTarget(label=f"embedding: {kind}", score=score),)


def _words(spec: TargetSpec, model: Any, thought: DecodedThought | None) -> tuple[Target, ...]:
    if thought is None:
        raise Unsupported(
            "This checkpoint writes no text, so there are no words to explain; choose the target embedding."
        )
    words = words_of(thought.tokens)
    if not words:
        raise BadInput("The decoded thought holds no word; choose the target embedding or think.")
    if spec.number is None:
        return tuple(_word(number, word, thought, ()) for number, word in enumerate(words, start=1))
    if spec.number > len(words):
        raise BadInput(f"There is no word {spec.number}: the decoded thought has {len(words)} words.")
    word = words[spec.number - 1]
    alternative: tuple[int, ...] = ()
    if spec.alternative is not None:
        spaced = thought.tokens[word.start].startswith(" ")
        alternative = model.text_ids((" " if spaced else "") + spec.alternative.strip())
        if alternative == thought.token_ids[word.start : word.stop]:
            raise BadInput(f"The word '{word.text}' is compared with itself; name another word after the '/'.")
    return (_word(spec.number, word, thought, alternative, spec.alternative),)


def _word(
    number: int, word: Word, thought: DecodedThought, alternative: tuple[int, ...], against: str | None = None
) -> WordTarget:
    label = f"word {number}: {word.text}" + (f" against {against.strip()}" if against else "")
    return WordTarget(label=label, tokens=thought.token_ids, start=word.start, stop=word.stop, alternative=alternative)


def _thinks(spec: TargetSpec, model: Any, trace: Trace, candidates: Candidates | None) -> tuple[Target, ...]:
    if not trace.n_think:
        raise Unsupported("This checkpoint has no think tokens.")
    if spec.number is not None and spec.number > trace.n_think:
        raise BadInput(f"There is no think token {spec.number}: this checkpoint has {trace.n_think}.")
    chosen = range(trace.n_think) if spec.number is None else (spec.number - 1,)
    if spec.effect:
        kind, score = _score(None, None, candidates)
        return tuple(ThinkEffect(label=f"think {k + 1}: effect on {kind}", think=k, score=score) for k in chosen)
    if not isinstance(model, ReadsVocabulary):
        raise Unsupported("This model's states cannot be read as words; choose the target think:effect.")
    top = model.vocabulary(trace.latents[-1]).argmax(axis=1)
    names = model.words(top)
    return tuple(
        ThinkState(label=f"think {k + 1}: reads '{tell_token(names[k])}'", think=k, word=int(top[k])) for k in chosen
    )


def _score(kind: Compared | None, name: str | None, candidates: Candidates | None) -> tuple[Compared, Score]:
    if candidates is None or not candidates.names:
        raise BadInput("This target compares with candidates; give some (--candidates FILE, or a list on the page).")
    place = 0
    if name is not None:
        if name not in candidates.names:
            raise BadInput(f"There is no candidate '{name}'; there are: {_some(candidates.names)}.")
        place = candidates.names.index(name)
    positive = candidates.embeddings[place]
    others = np.delete(candidates.embeddings, place, axis=0)
    # A copy of the positive under another name would make a contrast with itself, which is 0 everywhere.
    others = others[np.abs(others - positive).max(axis=1, initial=0) > ALIKE]
    if kind is None:
        kind = "contrast" if len(others) else "cosine"
    if kind == "cosine":
        return kind, Score(kind=kind, positive=positive, others=others[:0])
    if not len(others):
        raise BadInput(f"A {kind} compares '{candidates.names[place]}' with others, but there is no other candidate.")
    return kind, Score(kind=kind, positive=positive, others=others)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
