"""The seven tasks: what is asked about a scene, how one thinks about it, and the right answer."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

from workbench.data.shapes.dice import Dice
from workbench.data.shapes.language import Piece, caption, describe, join, placed_pieces
from workbench.data.shapes.world import COLOURS, NUMBERS, PLACES, SHAPES, SIZES, Item

RELATIONS = ("left of", "right of", "above", "below")

Items = tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One question about a scene, before its reasoning is put together."""

    query: str
    step: tuple[Piece, ...]
    """The sentence or two between the list of the scene and the answer."""
    answer: tuple[Piece, ...]
    target: str | None
    """The text to retrieve, or None when the target is the scene's image."""
    focus: int | None = None
    """The object the question is about, if it is about one."""


def draft(task: str, dice: Dice, items: Items) -> Draft:
    """A question of the named task about the scene's objects; `relation` needs two objects or more."""
    return _TASKS[task](dice, items)


def holds(relation: str, first: Item, second: Item) -> bool:
    """Whether the first object's region is left of, right of, above or below the second's."""
    if relation in ("left of", "right of"):
        return first.column < second.column if relation == "left of" else first.column > second.column
    return first.row < second.row if relation == "above" else first.row > second.row


def _focus(dice: Dice, items: Items) -> int:
    """An object to ask about; a held-out one where there is one, as those are what `compositional` is for."""
    rare = [index for index, item in enumerate(items) if item.held_out]
    return dice.choice(rare or range(len(items)))


def _what_at(dice: Dice, items: Items) -> Draft:
    if dice.below(10) == 0:
        taken = [item.place for item in items]
        place, focus, seen = dice.choice([place for place in PLACES if place not in taken]), None, "nothing"
    else:
        focus = _focus(dice, items)
        place, seen = items[focus].place, describe(items[focus])
    ask = dice.choice(("What is at the {}?", "Name the object at the {}."))
    return Draft(
        query=ask.format(place),
        step=(("look at the ", None), (f"{place}: {seen}.", focus)),
        answer=((seen, focus),),
        target=seen,
        focus=focus,
    )


def _where(dice: Dice, items: Items) -> Draft:
    focus = _focus(dice, items)
    name, place = describe(items[focus]), items[focus].place
    ask = dice.choice(("Where is the {}?", "In which place is the {}?"))
    return Draft(
        query=ask.format(name),
        step=(("the ", None), (name, focus), (" is at the ", None), (place, focus), (".", None)),
        answer=((place, focus),),
        target=place,
        focus=focus,
    )


def _how_many(dice: Dice, items: Items) -> Draft:
    group, noun, member = _draw_group(dice, items)
    counted = [index for index, item in enumerate(items) if member(item)]
    number = NUMBERS[len(counted)]
    listing: list[Piece] = [(f"{group}: ", None)]
    for position, index in enumerate(counted):
        listing += [(", ", None)] * (position > 0) + [(items[index].place, index)]
    listing.append((f"{'' if counted else 'none'}. that makes {number}.", None))
    ask = dice.choice(("How many {} are there?", "Count the {}."))
    return Draft(query=ask.format(noun), step=tuple(listing), answer=((number, None),), target=number)


def _draw_group(dice: Dice, items: Items) -> tuple[str, str, Callable[[Item], bool]]:
    """What to count: its short name, its noun phrase, and who belongs to it."""
    kind = dice.weighted(("colour", "shape", "size", "all"), (3, 3, 2, 1))
    if kind == "all":
        return "objects", "objects", lambda item: item in items
    # One group in four is any at all, which most often is empty; the others have a member.
    member = dice.choice(items)
    if kind == "colour":
        colour = dice.choice(COLOURS) if dice.below(4) == 0 else member.colour
        return colour, f"{colour} objects", lambda item: item.colour == colour
    if kind == "shape":
        shape = dice.choice(SHAPES) if dice.below(4) == 0 else member.shape
        return _plural(shape), _plural(shape), lambda item: item.shape == shape
    size = dice.choice(SIZES)
    return size, f"{size} objects", lambda item: item.size == size


def _plural(shape: str) -> str:
    return shape + ("es" if shape.endswith("s") else "s")


def _relation(dice: Dice, items: Items) -> Draft:
    truth = dice.below(2) == 1
    a, b, relation = dice.choice(
        [
            (a, b, relation)
            for a, b in permutations(range(len(items)), 2)
            for relation in RELATIONS
            if _comparable(relation, items[a], items[b]) and holds(relation, items[a], items[b]) == truth
        ]
    )
    first, second = items[a], items[b]
    answer = "yes" if truth else "no"
    ask = dice.choice(("Is the {} {} the {}?", "Is it true that the {} is {} the {}?"))
    return Draft(
        query=ask.format(describe(first), relation, describe(second)),
        step=(
            *placed_pieces(first, a),
            (", ", None),
            *placed_pieces(second, b),
            (". ", None),
            (first.place, a),
            (f" is {'' if truth else 'not '}{relation} ", None),
            (second.place, b),
            (".", None),
        ),
        answer=((answer, None),),
        target=answer,
    )


def _comparable(relation: str, first: Item, second: Item) -> bool:
    """Whether the regions differ along the relation's axis; within one column, left and right are not asked."""
    return first.column != second.column if relation in ("left of", "right of") else first.row != second.row


def _find_image(dice: Dice, items: Items) -> Draft:
    ask = dice.choice(("Find the image: {}.", "Show the image: {}."))
    return Draft(
        query=ask.format(caption(dice.shuffled(items))),
        step=(("all as described.", None),),
        answer=_roll_call(items),
        target=None,
    )


def _find_caption(dice: Dice, items: Items) -> Draft:
    return Draft(
        query=dice.choice(("Find the caption for this image.", "Describe this image.")),
        step=(("all as seen.", None),),
        answer=_roll_call(items),
        target=caption(items),
    )


def _roll_call(items: Items) -> tuple[Piece, ...]:
    """Pieces of "red circle, blue star, green square"."""
    pieces: list[Piece] = []
    for index, item in enumerate(items):
        pieces += [(", ", None)] * (index > 0) + [(f"{item.colour} {item.shape}", index)]
    return tuple(pieces)


def _choose(dice: Dice, items: Items) -> Draft:
    by_trait, by_relation = _trait_choices(items), _relation_choices(items)
    rare = [[option for option in options if items[option[0]].held_out] for options in (by_trait, by_relation)]
    # As with `_focus`: a held-out object, if there is one and any words single it out.
    if any(rare):
        by_trait, by_relation = rare
    use_relation = not by_trait or (bool(by_relation) and dice.below(3) == 0)
    focus, asked, criterion = dice.choice(by_relation if use_relation else by_trait)
    ask = dice.choice(("Choose {}.", "Pick {}."))
    placed = placed_pieces(items[focus], focus)
    return Draft(
        query=ask.format(asked),
        step=(*criterion, (": ", None), *placed, (".", None)),
        answer=tuple(placed),
        target=join(placed),
        focus=focus,
    )


Choice = tuple[int, str, tuple[Piece, ...]]
"""The object chosen, the words that ask for it, and the criterion as the reasoning repeats it."""


def _trait_choices(items: Items) -> list[Choice]:
    """Objects that one trait or two single out. Of up to six different objects there is always one."""
    options: list[Choice] = []
    for focus, item in enumerate(items):
        for traits in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)):
            if sum(all(other[t] == item[t] for t in traits) for other in items) > 1:
                continue
            named = [item[t] for t in traits]
            if 2 in traits:
                options.append((focus, f"the {' '.join(named)}", ((" ".join(named), focus),)))
                continue
            pieces: list[Piece] = [(named[0], focus)]
            pieces += [piece for name in named[1:] for piece in ((" and ", None), (name, focus))]
            options.append((focus, f"the object that is {join(pieces)}", tuple(pieces)))
    return options


def _relation_choices(items: Items) -> list[Choice]:
    """Objects that are the only ones on their side of another."""
    options: list[Choice] = []
    for anchor, item in enumerate(items):
        for relation in RELATIONS:
            found = [index for index, other in enumerate(items) if holds(relation, other, item)]
            if len(found) == 1:
                pieces: tuple[Piece, ...] = ((f"{relation} the ", None), (describe(item), anchor))
                options.append((found[0], f"the object {join(pieces)}", pieces))
    return options


_TASKS: dict[str, Callable[[Dice, Items], Draft]] = {
    "what_at": _what_at,
    "where": _where,
    "how_many": _how_many,
    "relation": _relation,
    "find_image": _find_image,
    "find_caption": _find_caption,
    "choose": _choose,
}
