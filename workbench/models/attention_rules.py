"""Who attends to whom: the names that a layout's rules may use, and what is refused.

A rule is a row and the columns that it sees: `"embed": ("think", "embed")`. Rows are `query`, `think`, `embed` and
`reasoning` (the text that the backbone writes from the thoughts); `image` and `words`, the two kinds of query token, where
they are to differ from `query`; and single think tokens by their own names. A named token's rule comes before its
segment's. Columns are the same names, `query` standing for `image` and `words`, `think` for every think token. Attention is
causal whatever a rule says, and every position sees itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import BadCheckpoint
from workbench.types import Context

Attends = Mapping[str, tuple[str, ...]]
SEGMENTS = ("query", "think", "embed")
_QUERY = ("image", "words")
_TEXT = "reasoning"
_EARLIER: Mapping[str, tuple[str, ...]] = {
    "query": ("query", *_QUERY),
    "image": ("query", *_QUERY),
    "words": ("query", *_QUERY),
    "think": ("query", *_QUERY, "think"),
    "embed": ("query", *_QUERY, "think", "embed"),
    _TEXT: ("query", *_QUERY, "think", _TEXT),
}
"""For each row, the columns that do not come after it, single think tokens apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Rules for those samples alone whose query holds one of some tokens; they take the place of the layout's own."""

    tokens: tuple[str, ...]
    """As the tokenizer's vocabulary spells them; one in the chat template's own words would be in every sample."""
    attends: Attends

    @classmethod
    def from_json(cls, values: Any) -> "Switch":
        """Read a switch. Raises BadCheckpoint."""
        if not isinstance(values, Mapping) or set(values) != {"tokens", "attends"}:
            raise BadCheckpoint(
                "A switch of the layout must be an object with 'tokens', the words that turn it on, and 'attends'."
            )
        tokens = values["tokens"]
        if not _is_names(tokens):
            raise BadCheckpoint(f"A switch of the layout has the tokens {tokens}; it must be a list of token names.")
        return cls(tokens=tuple(tokens), attends=read_attends(values["attends"]))


def read_attends(values: Any) -> Attends:
    """Rules from JSON values. Raises BadCheckpoint."""
    if not isinstance(values, Mapping):
        raise BadCheckpoint("The layout, and its 'attends', must be JSON objects.")
    for row, seen in values.items():
        if not _is_names(seen):
            raise BadCheckpoint(f"The layout's 'attends' of {row} is {seen}; it must be a list of names.")
    return {row: tuple(seen) for row, seen in values.items()}


def _is_names(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(name, str) for name in values)


def check(attends: Attends, think: Sequence[str]) -> None:
    """Raise BadCheckpoint for a row or column that there is not, or that comes later, or a row that does not hold itself."""
    for row, seen in attends.items():
        named = row in think
        if row not in _EARLIER and not named:
            raise BadCheckpoint(
                f"The layout's 'attends' has a rule for '{row}'; rows are {', '.join(_EARLIER)}, and think tokens by name."
            )
        earlier = think[: think.index(row) + 1] if named else () if row in ("query", *_QUERY) else think
        known = (*_EARLIER["think" if named else row], *earlier)
        if strange := [name for name in seen if name not in known]:
            raise BadCheckpoint(
                f"The layout's 'attends' of {row} names {', '.join(strange)}, which it cannot see; it can: {', '.join(known)}."
            )
        holders = (row, "think") if named else (row, "query") if row in _QUERY else (row,)
        if not set(holders) & set(seen):
            raise BadCheckpoint(
                f"The layout's 'attends' of {row} is {list(seen)}; it must be a list that holds itself."
            )
    if lacking := [row for row in SEGMENTS if row not in attends]:
        raise BadCheckpoint(f"The layout's 'attends' of {lacking[0]} is None; it must be a list that holds itself.")


def check_switch(switch: Switch, attends: Attends, think: Sequence[str]) -> None:
    """Raise BadCheckpoint for a switch that nothing turns on, that changes nothing, or whose rules are wrong."""
    if not switch.tokens or not switch.attends:
        raise BadCheckpoint(
            "A switch of the layout has no tokens or no rules; name what turns it on, and what it changes."
        )
    check({**attends, **switch.attends}, think)


def check_context(attends: Attends, think: Sequence[str], context: Context) -> None:
    """Raise BadCheckpoint where the written text would see nothing of what a context shows."""
    if _TEXT in attends and not columns(attends, _TEXT, think, context) - {_TEXT}:
        raise BadCheckpoint(
            f"The layout decodes with the context {context}, of which its 'attends' of {_TEXT} lets the text see nothing."
        )


def columns(attends: Attends, row: str, think: Sequence[str], context: Context = "latents_only") -> set[str]:
    """What a row (image, words, embed, reasoning, or one of `think`) sees, in the same fine names.

    `think` is every think token, or `("think",)` for all as one where no rule names one. The context says what the written
    text is shown at all; a rule for it can only take away.
    """
    if row == _TEXT:
        shown = {*think, _TEXT} if context == "latents_only" else {*_QUERY, *think, _TEXT}
        return shown & set(_fine(attends[_TEXT], think)) if _TEXT in attends else shown
    segment = "think" if row in think else "query" if row in _QUERY else row
    return set(_fine(attends.get(row, attends[segment]), think))


def _fine(seen: Sequence[str], think: Sequence[str]) -> Iterator[str]:
    for name in seen:
        yield from _QUERY if name == "query" else think if name == "think" else (name,)
