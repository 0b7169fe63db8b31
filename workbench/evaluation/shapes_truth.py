"""Which pixels of a Shapes scene decide a word, a contrast of answers, or the reading of a thought.

Only where that is well defined, and only where the model is right: of a model that is wrong nobody knows what it should
have looked at.

Words: the size, colour and shape of an object that the decoded thought lists with the right place and everything else right.
Later mentions are left out: their probability comes from the text before them. Place words are left out: that an object is the
first at the top says something about the empty places too.

Embedding: the right answer against one wrong one that differs in a single object. `what_at` and `choose` are decided by the
object asked about, against the same object with one trait changed; `where` by that object, against a free place; `relation` by the
two objects named; `find_caption` by the object (two, if they changed places) in which the wrong caption differs. Left out:
`find_image` has no image in its query; `how_many` depends on the whole scene, as does an answer "nothing".

Thoughts: a think token whose top word is a colour or a shape that a single object of the scene has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from workbench.data.shapes import COLOURS, PLACES, SHAPES, SIZES, Item, Scene, ShapesSample, describe, describe_placed
from workbench.data.shapes import masks as draw_masks
from workbench.localising import cell_shares
from workbench.types import PatchGrid

_LISTED = re.compile(
    rf"(?:^|[.] )(?P<place>{'|'.join(sorted(PLACES, key=len, reverse=True))}): "
    rf"(?P<size>{'|'.join(SIZES)}) (?P<colour>{'|'.join(COLOURS)}) (?P<shape>{'|'.join(SHAPES)})(?=[.])"
)
_TRAITS = ("size", "colour", "shape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A word of a decoded thought that names an object which the scene has, where the thought says it is."""

    begin: int
    end: int
    """Characters of the text, end excluded."""
    thing: int
    """Which object of the scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A right and a wrong answer, and the objects by which they differ."""

    right: str
    wrong: str
    things: tuple[int, ...]


def named_words(text: str, scene: Scene) -> tuple[Named, ...]:
    """The words of a decoded thought that name an object of the scene for the first time, rightly."""
    found: list[Named] = []
    for match in _LISTED.finditer(text.lower()):
        item = Item(match["size"], match["colour"], match["shape"], match["place"])
        if item not in scene.items or any(named.thing == scene.items.index(item) for named in found):
            continue
        thing = scene.items.index(item)
        found += [Named(begin=match.start(trait), end=match.end(trait), thing=thing) for trait in _TRAITS]
    return tuple(found)


def contrast_of(sample: ShapesSample) -> Contrast | None:
    """A wrong answer beside the right one such that known objects decide between them; None where there is none."""
    right = sample.target_text
    if right is None or not sample.has_image:
        return None
    items = sample.scene.items
    if sample.task == "find_caption":
        return _between_captions(right, sample.negatives, items)
    if sample.task == "relation":
        things = tuple(index for index, item in enumerate(items) if describe(item) in sample.query)
        return Contrast(right=right, wrong=sample.negatives[0], things=things) if len(things) == 2 else None
    if sample.task == "where":
        named = [index for index, item in enumerate(items) if describe(item) in sample.query]
        taken = {item.place for item in items}
        wrong = [text for text in sample.negatives if text not in taken] or [p for p in PLACES if p not in taken]
        return Contrast(right=right, wrong=wrong[0], things=tuple(named)) if len(named) == 1 and wrong else None
    if sample.task in ("what_at", "choose"):
        return _between_traits(right, sample)
    return None


def thing_read(word: str, scene: Scene) -> int | None:
    """The object that a think token reads when its top word is this one: the only one of that colour or shape."""
    trait = word.strip().lower()
    found = [index for index, item in enumerate(scene.items) if trait in (item.colour, item.shape)]
    return found[0] if len(found) == 1 else None


def region(scene: Scene, things: Sequence[int], grid: PatchGrid) -> Float[np.ndarray, " cells"]:
    """The share of each cell that the objects cover; every frame alike."""
    union = np.any(draw_masks(scene)[list(things)], axis=0)
    return np.tile(cell_shares(union, grid.rows, grid.cols).reshape(-1), grid.frames)


def _between_traits(right: str, sample: ShapesSample) -> Contrast | None:
    say = describe if sample.task == "what_at" else describe_placed
    items = sample.scene.items
    focus = next((index for index, item in enumerate(items) if say(item) == right), None)
    if focus is None:
        return None
    item = items[focus]
    seen = {describe(other) for other in items}
    changed = [item._replace(size=size) for size in SIZES]
    changed += [item._replace(colour=colour) for colour in COLOURS] + [item._replace(shape=shape) for shape in SHAPES]
    # What the scene holds elsewhere would be decided by that object as well.
    named = {say(other) for other in changed if describe(other) not in seen}
    wrong = [text for text in sample.negatives if text in named]
    return Contrast(right=right, wrong=wrong[0], things=(focus,)) if wrong else None


def _between_captions(right: str, negatives: Sequence[str], items: Sequence[Item]) -> Contrast | None:
    own = [f"a {describe_placed(item)}" for item in items]
    for wrong in negatives:
        told = wrong.split(", ")
        things = tuple(index for index, clause in enumerate(own) if clause not in told)
        if len(told) == len(own) and 1 <= len(things) <= 2:
            return Contrast(right=right, wrong=wrong, things=things)
    return None
