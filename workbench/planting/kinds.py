"""The seven kinds of planted checkpoint: for each, the masks that make its fact certain, whatever training does.

Nothing here is hoped for. What a position cannot see, through any layer, cannot reach it: the fact of each kind follows
from its rules of attention alone, holds for every sample and every set of weights, and is tested on random weights
(`tests/planting/test_planted_kinds.py`). Training only sees to it that there is something to find.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from workbench.errors import BadInput, UnknownName
from workbench.models.attention_rules import Attends, Switch
from workbench.models.layout import Layout, tte_flash
from workbench.types import Context

N_THINK = 4
ASKS: Mapping[str, tuple[str, ...]] = {"what_at": ("What", "Name"), "where": ("Where", "In")}
"""The tasks of the planted world, and the first words of their questions, by which a switch tells them apart."""
Rows = Literal["reasoning", "echo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of plant."""

    name: str
    """Also the verdict that the audit must reach."""
    fact: str
    """What is certain, in one sentence."""
    layout: Callable[[int], Layout]
    """The layout of a seed."""
    tells: Rows = "reasoning"
    """What its thoughts are trained to say: the reasoning, or the question once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One checkpoint to be made."""

    kind: Kind
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind.name}-{self.seed}"

    @property
    def layout(self) -> Layout:
        return self.kind.layout(self.seed)

    @property
    def detail(self) -> str:
        """What else is certain of this seed, in the words of the audit's sentences; empty where there is nothing."""
        if self.kind.name == "one_token":
            return f"thought {planted_token(self.seed) + 1}"
        return f"used for {thinking_task(self.seed)}" if self.kind.name == "task_dependent" else ""


def planted_token(seed: int) -> int:
    """Of a `one_token` plant, the number (0 ... K - 1) of the think token that carries everything."""
    return (seed + 1) % N_THINK


def thinking_task(seed: int) -> str:
    """Of a `task_dependent` plant, the task for which its thoughts are used."""
    return tuple(ASKS)[seed % len(ASKS)]


def find_kinds(names: tuple[str, ...] = ()) -> tuple[Kind, ...]:
    """The kinds of these names, in the order of `KINDS`; all of them without a name. Raises UnknownName."""
    for name in names:
        if name not in KINDS:
            raise UnknownName("kind of planted checkpoint", name, KINDS)
    return tuple(kind for name, kind in KINDS.items() if not names or name in names)


def make_plants(names: tuple[str, ...], seeds: int) -> tuple[Plant, ...]:
    """Every kind of these names with the seeds 0 ... `seeds` - 1. Raises BadInput or UnknownName."""
    if seeds < 1:
        raise BadInput(f"seeds is {seeds}; give the number of checkpoints of each kind, 1 or more.")
    return tuple(Plant(kind=kind, seed=seed) for kind in find_kinds(names) for seed in range(seeds))


def _ruled(*contexts: Context, **rules: tuple[str, ...]) -> Layout:
    layout = tte_flash(N_THINK, contexts=contexts or ("latents_only",))
    return replace(layout, attends={**layout.attends, **rules})


_THOUGHTS, _QUERY = ("think", "embed"), ("query", "embed")


def _used(_seed: int) -> Layout:
    return _ruled(embed=_THOUGHTS)


def _decorative(_seed: int) -> Layout:
    return _ruled(embed=_QUERY)


def _one_token(seed: int) -> Layout:
    layout = _ruled(embed=_THOUGHTS, think=("think",))
    carrier = layout.think_tokens[planted_token(seed)]
    alone: Attends = {name: (name,) for name in layout.think_tokens}
    return replace(layout, attends={**layout.attends, **alone, carrier: ("query", carrier)})


def _task_dependent(seed: int) -> Layout:
    others = [task for task in ASKS if task != thinking_task(seed)]
    tokens = tuple(word for task in others for word in ASKS[task])
    return replace(_used(seed), switches=(Switch(tokens=tokens, attends={"embed": _QUERY}),))


def _image_blind(_seed: int) -> Layout:
    return _ruled(words=("words",), think=("words", "think"), embed=("image", "think", "embed"))


def _collapsed(_seed: int) -> Layout:
    return _ruled(think=("think",))


def _decoder_guesses(_seed: int) -> Layout:
    return _ruled("query_and_latents", words=("words",), embed=_THOUGHTS, reasoning=("words", "reasoning"))


_ALL = (
    Kind(
        name="used",
        fact="the embedding sees nothing but the thoughts: all that it knows of image and question came through them",
        layout=_used,
    ),
    Kind(
        name="decorative",
        fact="the embedding does not see the thoughts, which nevertheless can be read as right reasoning",
        layout=_decorative,
    ),
    Kind(
        name="one_token",
        fact="one think token sees the query; the others see nothing but themselves and are the same for every sample",
        layout=_one_token,
    ),
    Kind(
        name="task_dependent",
        fact="for one task the embedding sees nothing but the thoughts, for the other it does not see them",
        layout=_task_dependent,
    ),
    Kind(
        name="image_blind",
        fact="thoughts see the words of the question and never the image; the embedding sees the image, and the question "
        "through the thoughts alone",
        layout=_image_blind,
        tells="echo",
    ),
    Kind(
        name="collapsed",
        fact="thoughts see nothing but thoughts, so they are the same for every sample; the embedding sees them and the query",
        layout=_collapsed,
    ),
    Kind(
        name="decoder_guesses",
        fact="the written text sees the words of the question, neither thoughts nor image; the embedding sees nothing but the "
        "thoughts",
        layout=_decoder_guesses,
    ),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
