"""Whether two checkpoints cut text into the same tokens, told by the words that both wrote.

Files of tokenizers differ by the names of think tokens, and their numbers of the same piece of text differ; what was written
does not.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from workbench.types import DecodedThought
from workbench.words import join_pieces

Cuts = Mapping[str, frozenset[tuple[str, ...]]]
"""By word, with the space around it: the pieces of text that it was written with, in each way that occurred."""
_MOST = 0.9
"""A model may spell a word out where its vocabulary has it whole, so a few words may differ without meaning anything."""


def cuts_of(thoughts: Iterable[DecodedThought]) -> Cuts:
    """How the words of some thoughts were written."""
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for thought in thoughts:
        for _, places in join_pieces(thought.tokens):
            pieces = tuple(thought.tokens[place] for place in places)
            found["".join(pieces)].add(pieces)
    return {word: frozenset(ways) for word, ways in found.items()}


def common_words(one: Cuts, other: Cuts) -> set[str]:
    """The words that both wrote; where there are none, nothing says how either cuts what the other writes."""
    return set(one.keys() & other.keys())


def is_cut_alike(one: Cuts, other: Cuts) -> bool:
    """Whether nearly all words that both wrote are made of the same pieces; False where they wrote no word in common."""
    common = common_words(one, other)
    return bool(common) and sum(bool(one[word] & other[word]) for word in common) >= _MOST * len(common)
