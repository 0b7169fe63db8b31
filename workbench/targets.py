"""What an attribution explains: the embedding, a think token, or a word of the thought. Each names one number.

As text (`--target`): `embedding`, `embedding:margin`, `embedding:cosine:NAME`, `think`, `think:3`, `think:3:effect`, `words`,
`word:3`, `word:3/blue`. Numbers count from 1.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from workbench.errors import BadInput

Compared = Literal["cosine", "contrast", "margin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A number made of the embedding: never its similarity to itself, whose gradient is zero."""

    kind: Compared
    """cosine: to the positive. contrast: less the mean cosine to the others. margin: less the highest among the others."""
    positive: Float[np.ndarray, " dim"]
    others: Float[np.ndarray, "n dim"]
    """Empty for `cosine`, at least one otherwise."""

    def __post_init__(self) -> None:
        if self.kind != "cosine" and not len(self.others):
            raise ValueError(f"a {self.kind} needs other candidates")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingTarget:
    """A score of the whole embedding."""

    label: str
    score: Score
    units: str = "cosine"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkEffect:
    """What thought k adds to a score: the score, less the score of an embedding from which thought k alone is hidden.

    The direct effect: later thoughts have still seen thought k.
    """

    label: str
    think: int
    """Counted from 0."""
    score: Score
    units: str = "cosine"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkState:
    """Thought k's own state: the projection of its final, normed state on the direction that one word reads."""

    label: str
    think: int
    """Counted from 0."""
    word: int
    """Vocabulary id, usually the top one of the thought's own reading."""
    units: str = "projection on the word's unit direction"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTarget:
    """Log-probability of a span of the decoded thought, given what stands before it; less an alternative's, if given."""

    label: str
    tokens: tuple[int, ...]
    """The whole text's token ids, end token excluded. Targets of one call share it."""
    start: int
    stop: int
    alternative: tuple[int, ...] = ()
    """Token ids that could stand at `start` instead; empty: no contrast."""
    units: str = "nats"


Target = EmbeddingTarget | ThinkEffect | ThinkState | WordTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a decoded thought: which tokens it is made of."""

    text: str
    start: int
    stop: int


def words_of(pieces: Sequence[str]) -> tuple[Word, ...]:
    """Group a decoded thought's pieces into words: runs of letters and digits, with the tokens that hold them.

    Equal words at different places are different words. Punctuation and spaces belong to no word. Two words that share a
    token (as `3.5` may) both hold it.
    """
    text, owner = "".join(pieces), []
    for number, piece in enumerate(pieces):
        owner += [number] * len(piece)
    # Vowel signs and accents that are characters of their own (Hindi, Thai, decomposed Latin) do not end a word.
    plain = "".join("a" if s.isalnum() else "m" if unicodedata.category(s)[0] == "M" else s for s in text)
    found = []
    for match in re.finditer(r"a[am]*(?:['’-]a[am]*)*", plain):
        begin, end = match.span()
        found.append(Word(text=text[begin:end], start=owner[begin], stop=owner[end - 1] + 1))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """A target as it was asked for, before it meets a sample."""

    about: Literal["embedding", "think", "words"]
    number: int | None = None
    """Counted from 1; None: all of them."""
    kind: Compared | None = None
    candidate: str | None = None
    effect: bool = False
    alternative: str | None = None


_FORMS = (
    "embedding, embedding:contrast, embedding:margin, embedding:cosine:NAME, think, think:3, think:3:effect, words, "
    "word:3 or word:3/blue"
)


def parse_target(text: str) -> TargetSpec:
    """Read a target's text form. Raises BadInput naming the forms there are."""
    given = text.strip()
    if match := re.fullmatch(r"embedding(?::(cosine|contrast|margin)(?::(.+))?)?", given):
        return TargetSpec(about="embedding", kind=match[1], candidate=match[2])  # pyright: ignore[reportArgumentType]
    if match := re.fullmatch(r"think(?:s|:(\d{1,6}))?(:effect)?", given):
        return TargetSpec(about="think", number=_counted(match[1], given), effect=bool(match[2]))
    if match := re.fullmatch(r"words?(?::(\d{1,6})(?:/(.+))?)?", given):
        if given == "word":
            raise BadInput("The target 'word' names no word: say which, as word:3, or take all of them with words.")
        if match[2] is not None and not match[2].strip():
            raise BadInput(f"The target '{given}' names no alternative after the '/': write one, as word:3/blue.")
        return TargetSpec(about="words", number=_counted(match[1], given), alternative=match[2])
    raise BadInput(f"There is no target '{given}'; write {_FORMS}.")


def _counted(number: str | None, given: str) -> int | None:
    if number is None:
        return None
    if int(number) < 1:
        raise BadInput(f"The target '{given}' counts from 1.")
    return int(number)
