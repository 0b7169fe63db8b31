"""Hard wrong answers: texts of the right kind that differ from the target in one thing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from workbench.data.shapes.dice import Dice
from workbench.data.shapes.language import caption, describe, describe_placed
from workbench.data.shapes.tasks import Draft
from workbench.data.shapes.world import COLOURS, NUMBERS, PLACES, SHAPES, SIZES, Item, split_of

FEWEST, MOST = 3, 6
"""How many negatives a sample gets, where its task has that many wrong answers; yes and no have one."""

Items = tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    dice: Dice
    items: Items
    asked: Draft
    split: str

    @property
    def focus(self) -> Item | None:
        """The object the question is about."""
        return None if self.asked.focus is None else self.items[self.asked.focus]


def negatives(task: str, dice: Dice, items: Items, asked: Draft, split: str) -> tuple[str, ...]:
    """Different wrong texts for a question, none equal to its target; none for a target that is an image.

    Held-out pairs occur in the split `compositional` only, and captions that belong to another split never in `train`.
    """
    if task not in _WRONG or asked.target is None:
        return ()
    wrong: list[str] = []
    wanted = dice.between(FEWEST, MOST)
    for text in _WRONG[task](_Question(dice=dice, items=items, asked=asked, split=split)):
        if text != asked.target and text not in wrong:
            wrong.append(text)
        if len(wrong) == wanted:
            break
    return tuple(wrong)


def _changed(question: _Question, item: Item) -> list[Item]:
    """The item with one trait changed, each way there is, in random order."""
    options = [item._replace(size=size) for size in SIZES if size != item.size]
    options += [item._replace(colour=colour) for colour in COLOURS if colour != item.colour]
    options += [item._replace(shape=shape) for shape in SHAPES if shape != item.shape]
    rare = question.split == "compositional"
    return question.dice.shuffled([option for option in options if rare or not option.held_out])


def _moved(question: _Question, item: Item) -> list[Item]:
    """The item at each place that no object of the scene takes, in random order."""
    taken = [other.place for other in question.items]
    free = [place for place in PLACES if place not in taken]
    return [item._replace(place=place) for place in question.dice.shuffled(free)]


def _wrong_names(question: _Question) -> Iterator[str]:
    """The other objects of the scene first, then the right one with a trait changed."""
    yield from (describe(item) for item in question.dice.shuffled(question.items))
    item = question.focus or question.dice.choice(question.items)
    yield from (describe(other) for other in _changed(question, item))


def _wrong_places(question: _Question) -> Iterable[str]:
    """The places of other objects first."""
    return [item.place for item in question.dice.shuffled(question.items)] + question.dice.shuffled(PLACES)


def _wrong_numbers(question: _Question) -> Iterable[str]:
    """The nearest numbers first."""
    right = NUMBERS.index(str(question.asked.target))
    return sorted(question.dice.shuffled(NUMBERS), key=lambda number: abs(NUMBERS.index(number) - right))


def _wrong_truth(question: _Question) -> Iterable[str]:
    return ("no",) if question.asked.target == "yes" else ("yes",)


def _wrong_choices(question: _Question) -> Iterator[str]:
    """The other objects first, then the right one with its place or a trait changed."""
    yield from (describe_placed(item) for item in question.dice.shuffled(question.items))
    if question.focus is not None:
        others = _changed(question, question.focus)[:4] + _moved(question, question.focus)[:2]
        yield from (describe_placed(other) for other in question.dice.shuffled(others))


def _wrong_captions(question: _Question) -> Iterator[str]:
    """The caption with one object changed or moved, or two objects in each other's places."""
    wrong: list[Items] = []
    for index, item in enumerate(question.items):
        rest = question.items[:index] + question.items[index + 1 :]
        for other in _changed(question, item)[:6] + _moved(question, item)[:4]:
            if other[:3] not in [r[:3] for r in rest]:
                wrong.append((*rest, other))
        for second, swapped in enumerate(rest):
            pair = (item._replace(place=swapped.place), swapped._replace(place=item.place))
            wrong.append((*rest[:second], *rest[second + 1 :], *pair))
    for candidate in question.dice.shuffled(wrong):
        text = caption(sorted(candidate, key=lambda item: PLACES.index(item.place)))
        if question.split != "train" or split_of(text) == "train":
            yield text


_WRONG: dict[str, Callable[[_Question], Iterable[str]]] = {
    "what_at": _wrong_names,
    "where": _wrong_places,
    "how_many": _wrong_numbers,
    "relation": _wrong_truth,
    "find_caption": _wrong_captions,
    "choose": _wrong_choices,
}
