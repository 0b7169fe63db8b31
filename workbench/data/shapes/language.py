"""How the Shapes world speaks: names, captions, and text that remembers which object each word names."""

import re
from collections.abc import Iterable, Sequence

from workbench.data.shapes.world import NUMBERS, Item

Piece = tuple[str, int | None]
"""A stretch of text and the index of the object it names, if it names one."""
Word = tuple[int, int, int | None]
"""Start and end character of a word, and the index of the object it names."""

_WORD = re.compile(r"[A-Za-z]+")


def describe(item: Item) -> str:
    """Name an object: "large red circle"."""
    return f"{item.size} {item.colour} {item.shape}"


def describe_placed(item: Item) -> str:
    """Name an object and its place: "large red circle at the top left"."""
    return f"{describe(item)} at the {item.place}"


def caption(items: Iterable[Item]) -> str:
    """Name all objects: "a large red circle at the top left, a small blue star at the centre".

    The caption is canonical if the items are in reading order.
    """
    return ", ".join(f"a {describe_placed(item)}" for item in items)


def scene_pieces(items: Sequence[Item]) -> list[Piece]:
    """Pieces of the list that opens a reasoning: "one object. top left: large red circle."."""
    noun = "object" if len(items) == 1 else "objects"
    pieces: list[Piece] = [(f"{NUMBERS[len(items)]} {noun}.", None)]
    for index, item in enumerate(items):
        pieces.append((f" {item.place}: {describe(item)}.", index))
    return pieces


def placed_pieces(item: Item, index: int) -> list[Piece]:
    """Pieces of "large red circle at the top left", of which "at the" names nothing."""
    return [(describe(item), index), (" at the ", None), (item.place, index)]


def join(pieces: Iterable[Piece]) -> str:
    """The text of the pieces."""
    return "".join(text for text, _ in pieces)


def words(pieces: Iterable[Piece]) -> tuple[Word, ...]:
    """Every word of the joined text in order, without punctuation, with the object it names."""
    found: list[Word] = []
    start = 0
    for text, index in pieces:
        found += [(start + match.start(), start + match.end(), index) for match in _WORD.finditer(text)]
        start += len(text)
    return tuple(found)
