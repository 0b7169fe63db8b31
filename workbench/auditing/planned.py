"""Which edits an audit makes, by name, and what each is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from workbench.edits import Edit, Read, Reader, put

States = Float[np.ndarray, "steps think width"]

SWAPS = ("swap-random", "swap-nearest", "swap-image")
_EACH = {
    "hide": "Embed tokens and decoder do not see the thought; later thoughts did (the direct effect).",
    "zero": "The thought's state is zero at every layer.",
    "mean": "The thought's state is the mean over the samples, at every layer.",
    "noise": "The thought's state is noise of its own length, at every layer.",
    "dummy": "The think token is another learned token (the one that begins a written thought); what follows is computed.",
    "swap-random": "The thought is that of another sample with another right candidate, drawn at random.",
    "swap-nearest": "The thought is that of the sample with the nearest embedding among those with another right candidate.",
}
_WHOLE = {
    "swap-image": "The thoughts are those of the same query about another sample's image.",
    "shuffle": "Every thought comes from another sample, each from one of its own.",
    "reorder": "The sample's own thoughts, each moved on by one place.",
    "first-repeated": "Every thought is the sample's first one.",
    "format-only": "Think tokens see neither query nor each other: what is left is that they stand there.",
}
_BLOCKS: dict[str, tuple[str, tuple[tuple[Reader, Read], ...]]] = {
    "block.think-image": ("Think tokens do not see the image.", (("think", "image"),)),
    "block.think-text": ("Think tokens do not see the words of the query.", (("think", "text"),)),
    "block.think-query": ("Think tokens see nothing of the query.", (("think", "image"), ("think", "text"))),
    "block.think-think": ("Think tokens do not see each other.", (("think", "think"),)),
    "block.embed-think": ("Embed tokens do not see the thoughts; the decoder does.", (("embed", "think"),)),
    "block.embed-image": ("Embed tokens do not see the image.", (("embed", "image"),)),
    "block.embed-query": (
        "Embed tokens see nothing of the query: the thoughts alone.",
        (("embed", "image"), ("embed", "text")),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An edit that every sample gets."""

    name: str
    kind: str
    thought: int | None = None
    """From 0."""
    layer: int | None = None
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What the edits of one sample are made of; None where there is none."""

    own: States
    mean: States
    noise: States
    dummy: Float[np.ndarray, " width"]
    random: States | None
    nearest: States | None
    mixed: States | None
    crossed: States | None
    """Of the same query about another image."""
    hidden: tuple[int, ...]
    """As many positions of the query as there are thoughts, drawn at random."""


def plan(n_think: int, n_layers: int) -> tuple[Planned, ...]:
    """All edits, the first of which changes nothing."""
    found = [Planned(name="none", kind="none", about="Nothing is edited.")]
    for kind, about in _EACH.items():
        if n_think > 1:
            found += [Planned(name=f"{kind}.{k + 1}", kind=kind, thought=k, about=about) for k in range(n_think)]
        found.append(Planned(name=f"{kind}.all", kind=kind, about=about))
    if n_think > 1:
        keep = "All other thoughts are the mean over the samples; this one is as it was."
        found += [Planned(name=f"keep-only.{k + 1}", kind="keep-only", thought=k, about=keep) for k in range(n_think)]
        first = "Embed tokens and decoder see the first thoughts alone."
        found += [Planned(name=f"truncate.{k}", kind="truncate", thought=k, about=first) for k in range(1, n_think)]
    found += [Planned(name=f"{kind}.all", kind=kind, about=about) for kind, about in _WHOLE.items()]
    found += [Planned(name=name, kind="block", about=about) for name, (about, _) in _BLOCKS.items()]
    patch = "After this layer alone, the thoughts are set to those of the random other sample."
    found += [Planned(name=f"patch.{at}", kind="patch", layer=at, about=patch) for at in range(1, n_layers + 1)]
    control = "Control: embed tokens do not see as many random positions of the query."
    if n_think > 1:
        found.append(Planned(name="control.1", kind="control", thought=0, about=control))
    found.append(Planned(name="control.all", kind="control", about=control))
    return tuple(found)


def make_edit(planned: Planned, of: Materials) -> Edit | None:
    """The edit for one sample; None where what it is made of is lacking."""
    k, kind = planned.thought, planned.kind
    n_think = of.own.shape[1]
    thoughts = None if k is None else (k,)
    match kind:
        case "none":
            return Edit()
        case "hide":
            return Edit(hidden=tuple(range(n_think)) if k is None else (k,))
        case "truncate":
            assert k is not None
            return Edit(hidden=tuple(range(k, n_think)))
        case "control":
            return Edit(positions=of.hidden if k is None else of.hidden[:1]) if of.hidden else None
        case "block":
            return Edit(blocked=frozenset(_BLOCKS[planned.name][1]))
        case "format-only":
            return Edit(blocked=frozenset({("think", "image"), ("think", "text"), ("think", "think")}))
        case "dummy":
            return put(np.broadcast_to(of.dummy, of.own.shape), thoughts=thoughts, steps=(0,))
        case "keep-only":
            assert k is not None
            states = of.mean.copy()
            states[:, k] = of.own[:, k]
            return put(states)
        case "patch":
            assert planned.layer is not None
            return None if of.random is None else put(of.random, steps=(planned.layer,))
    states = _states(kind, of)
    return None if states is None else put(states, thoughts=thoughts)


def _states(kind: str, of: Materials) -> States | None:
    match kind:
        case "zero":
            return np.zeros_like(of.own)
        case "reorder":
            return np.roll(of.own, 1, axis=1)
        case "first-repeated":
            return np.repeat(of.own[:, :1], of.own.shape[1], axis=1)
    held = {
        "mean": of.mean,
        "noise": of.noise,
        "swap-random": of.random,
        "swap-nearest": of.nearest,
        "swap-image": of.crossed,
        "shuffle": of.mixed,
    }
    return held[kind]


def make_noise(own: States, draw: np.random.Generator) -> States:
    """Gaussian noise, each state of the length that it had."""
    noise = draw.standard_normal(own.shape).astype(np.float32)
    length = np.linalg.norm(own, axis=-1, keepdims=True)
    return noise * length / np.linalg.norm(noise, axis=-1, keepdims=True)


def places(planned: Sequence[Planned]) -> dict[str, int]:
    """Column of each edit."""
    return {one.name: place for place, one in enumerate(planned)}


def truncations(n_think: int) -> list[str]:
    """Names of the edits that leave the first 0 ... K thoughts."""
    return ["hide.all", *(f"truncate.{k}" for k in range(1, n_think)), "none"]
