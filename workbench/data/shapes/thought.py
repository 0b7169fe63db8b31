"""Reading a reasoning text back, to score what a model decodes from its thoughts."""

import re
from dataclasses import dataclass

from workbench.data.shapes.sample import ShapesSample
from workbench.data.shapes.world import COLOURS, NUMBERS, PLACES, SHAPES, SIZES

Clause = tuple[str | None, str | None, str | None, str | None]
"""Place, size, colour and shape of one listed object; None where the text has no known word."""

_COUNT = re.compile(rf"^({'|'.join(NUMBERS)}) objects?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedThought:
    """What could be read from a reasoning text; None where there was nothing to read."""

    count: str | None
    objects: tuple[Clause, ...]
    step: str | None
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtScore:
    """How a reasoning text compares with the truth."""

    exact: bool
    """Every object listed with the right place, size, colour and shape, and none besides."""
    answer: bool
    """The answer is the right one, word for word."""
    right: int
    """How many listed objects are right in everything."""
    missing: int
    extra: int


def parse_thought(text: str) -> ParsedThought:
    """Read a reasoning text. Never raises: unknown words leave None, and unreadable text leaves nothing.

    Case and the amount of white space, also before punctuation, do not matter.
    """
    text = re.sub(r"\s+([.,:])", r"\1", " ".join(text.lower().split()))
    body, found, tail = text.rpartition("answer:")
    if not found:
        body = text
    sentences = [sentence.strip() for sentence in body.split(".") if sentence.strip()]
    count = _COUNT.match(sentences[0]) if sentences else None
    if count:
        sentences = sentences[1:]
    objects: list[Clause] = []
    while sentences and (clause := _read_clause(sentences[0])):
        objects.append(clause)
        sentences = sentences[1:]
    return ParsedThought(
        count=count.group(1) if count else None,
        objects=tuple(objects),
        step=". ".join(sentences) + "." if sentences else None,
        answer=(tail.strip().removesuffix(".").strip() or None) if found else None,
    )


def score_thought(text: str, sample: ShapesSample) -> ThoughtScore:
    """Compare a text with the sample's scene and answer; the order in which objects are listed does not matter."""
    parsed = parse_thought(text)
    truth = {(thing.place, thing.size, thing.colour, thing.shape) for thing in sample.scene.objects}
    right = len(truth.intersection(parsed.objects))
    extra = len(parsed.objects) - right
    return ThoughtScore(
        exact=right == len(truth) and extra == 0,
        answer=parsed.answer == sample.answer,
        right=right,
        missing=len(truth) - right,
        extra=extra,
    )


def _read_clause(sentence: str) -> Clause | None:
    """One "place: size colour shape", or None for a sentence that lists no object.

    A listed object may have some words wrong, but not so many that any sentence with a colon would do.
    """
    place, colon, rest = sentence.partition(":")
    named = rest.split()
    # "look at the centre: small blue star" is the step of `what_at`, not a place with a wrong word in it.
    if not colon or place.startswith("look at"):
        return None
    known = [_one(named, vocabulary) for vocabulary in (SIZES, COLOURS, SHAPES)]
    if place not in PLACES and not (len(named) == 3 and sum(word is not None for word in known) >= 2):
        return None
    size, colour, shape = known if len(named) <= 3 else (None, None, None)
    return (place if place in PLACES else None, size, colour, shape)


def _one(named: list[str], vocabulary: tuple[str, ...]) -> str | None:
    """The only word of a vocabulary among those named, or None."""
    found = [word for word in named if word in vocabulary]
    return found[0] if len(found) == 1 else None
