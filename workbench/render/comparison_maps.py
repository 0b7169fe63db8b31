"""Maps of one sample under two checkpoints: attention, and attribution where it was made, each on one scale for both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from workbench.comparison import Attributed, Card, ReadAs, SampleView
from workbench.render import comparison_parts as parts
from workbench.render import heat
from workbench.render.html import escape, png_uri
from workbench.types import PatchGrid
from workbench.words import tell_token

_OPACITY = 0.8
_SLIDE = 264
"""Width of a picture that slides, pixels: both of its halves must keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What is laid over the images: a map for each row of each side."""

    view: SampleView
    maps: tuple[np.ndarray, np.ndarray]
    highs: tuple[float, float]
    signed: bool = False
    gaps: tuple[Sequence[float | None], Sequence[float | None]] = ((), ())
    words: bool = True
    """Whether cards say what a think token reads as."""


def maps_html(view: SampleView, names: tuple[str, str]) -> str:
    """The think tokens with what they read as and attend to, and what the patches add to them."""
    if not cards_of(view):
        return ""
    layer = _Layer(view=view, maps=view.maps, highs=highs(view, None))
    subject, _ = subject_of(view)
    attend = "they attend" if any(thinking(view)) else "it attends"
    title = f"{subject} and what {attend} to" if view.images else subject
    scale = parts.scale_html(view.high) if view.images and not view.apart else ""
    told = lone(view, names)
    about = (f'<p class="cp-soft">{escape(told)}</p>' if told else "") + scale
    return _section(layer, names, title, about) + (_attributed(view, view.attributed, names) if view.attributed else "")


def thinking(view: SampleView) -> tuple[bool, bool]:
    """Which of both have think tokens."""
    thoughts = view.cards[:-1]  # the last is the embeddings'
    return any(card.reference is not None for card in thoughts), any(card.other is not None for card in thoughts)


def cards_of(view: SampleView) -> Sequence[Card]:
    """The cards that have something to show: the embedding's holds maps alone."""
    return view.cards if view.images else view.cards[:-1]


def subject_of(view: SampleView) -> tuple[str, str]:
    """What the cards are of, to begin a title, and the word that stands for it."""
    return ("Think tokens", "them") if any(thinking(view)) else ("The embedding", "it")


def lone(view: SampleView, names: tuple[str, str]) -> str:
    """A sentence where only one of both has think tokens, which its cards then need not say one by one; else empty."""
    has = thinking(view)
    return "" if has[0] == has[1] else f"Only {names[has.index(True)]} has think tokens."


def highs(view: SampleView, found: Attributed | None) -> tuple[float, float]:
    """The top of each side's colour scale: the same where their maps may lie over each other. None: of attention."""
    if found is not None:
        return (found.high_of(0), found.high_of(1)) if view.apart else (found.high, found.high)
    if view.apart:
        return _top(view.maps[0]), _top(view.maps[1])
    return view.high, view.high


def _top(maps: np.ndarray) -> float:
    return float(maps.max()) if maps.size else 0.0


def _attributed(view: SampleView, found: Attributed, names: tuple[str, str]) -> str:
    layer = _Layer(
        view=view, maps=found.maps, highs=highs(view, found), signed=found.signed, gaps=found.gaps, words=False
    )
    notes = parts.notes_html(found.notes, quiet=True)
    scale = "" if view.apart else parts.shares_html(found.high, signed=found.signed)
    title = f"What the patches add to {subject_of(view)[1]}: {found.title}"
    return _section(layer, names, title, f"{notes}{scale}")


def _section(layer: _Layer, names: tuple[str, str], title: str, about: str) -> str:
    view = layer.view
    cards = f'<div class="cp-cards">{"".join(_card(layer, card, names) for card in cards_of(view))}</div>'
    if not view.images:
        return f"<h4>{escape(title)}</h4>{about}{cards}"
    if view.apart:
        about += f'<p class="cp-soft">{escape(view.apart)} Each has a colour scale of its own.</p>'
    slides = "" if view.apart else "".join(_slide(layer, card) for card in view.cards)
    sliding = (
        f"<details><summary>Slide from {escape(names[0])} (left) to {escape(names[1])} (right)</summary>"
        f'<div class="cp-slides">{slides}</div></details>'
        if slides
        else ""
    )
    return f"<h4>{escape(title)}</h4>{about}{cards}{sliding}"


def _card(layer: _Layer, card: Card, names: tuple[str, str]) -> str:
    rows = (card.reference, card.other)
    reads = (card.read_reference, card.read_other) if layer.words else (None, None)
    alone = bool(lone(layer.view, names))
    halves = "".join(
        f'<div><p class="cp-name">{escape(name)}</p>{_pictures(layer, side, row)}{_reads(read)}{_gap(layer, side, row)}</div>'
        if row is not None
        else f'<div><p class="cp-name">{escape(name)}</p><p class="cp-soft">Has no counterpart.</p></div>'
        for side, (name, row, read) in enumerate(zip(names, rows, reads, strict=True))
        if row is not None or not alone
    )
    return f'<div class="cp-card"><b>{escape(card.label)}</b><div class="cp-halves">{halves}</div></div>'


def _reads(read: ReadAs | None) -> str:
    if read is None:
        return ""
    return "".join(
        f'<div class="cp-read"><span>{escape(tell_token(word))}</span><span>{likely:.0%}</span></div>'
        for word, likely in zip(read.words, read.probabilities, strict=True)
    )


def _gap(layer: _Layer, side: int, row: int) -> str:
    gap = layer.gaps[side][row] if row < len(layer.gaps[side]) else None
    return "" if gap is None else f"<small>{gap:.1%} unexplained</small>"


def _pictures(layer: _Layer, side: int, row: int, width: int | None = None) -> str:
    """The sample's images with a row's map over each."""
    maps, view = layer.maps[side], layer.view
    if not maps.size or row >= len(maps) or not np.isfinite(maps[row]).all():
        return ""
    found = []
    for number, cells in enumerate(cells_by_image(maps[row], view.grids[side])):
        ref = view.images[number]
        size = f"width:{width}px;" if width else ""
        found.append(
            f'<div class="cp-picture i{look(view, number)}" style="{size}aspect-ratio:{ref.width}/{ref.height}">'
            f'<img src="{png_uri(_over(cells, layer.highs[side], signed=layer.signed))}" alt=""></div>'
        )
    return "".join(found)


def _over(cells: Float[np.ndarray, "rows cols"], high: float, *, signed: bool) -> Image.Image:
    """A map to lay over its image: what is near 0 is nearly clear, so that the image stays to be seen, as in Explore."""
    strength = np.clip(np.abs(cells) / high, 0, 1) if high > 0 else np.zeros_like(cells)
    clear = (255 * _OPACITY * (0.05 + 0.95 * strength**0.7)).round().astype(np.uint8)
    if signed:
        end = high or 1.0  # a scale without width would be all at its low end, which is a colour
        rgb = heat.colours(cells, low=-end, high=end, palette="diverging")
    else:
        rgb = heat.colours(cells, low=0.0, high=high)
    return Image.fromarray(np.dstack([rgb, clear]), "RGBA")


def cells_by_image(
    row: Float[np.ndarray, " cells"], grids: Sequence[PatchGrid]
) -> list[Float[np.ndarray, "rows cols"]]:
    """A row of a map as one for each image, frames averaged."""
    ends = np.cumsum([grid.n_tokens for grid in grids])[:-1]
    return [
        part.reshape(grid.frames, grid.rows, grid.cols).mean(axis=0)
        for part, grid in zip(np.split(row, ends), grids, strict=True)
    ]


def _slide(layer: _Layer, card: Card) -> str:
    if card.reference is None or card.other is None:
        return ""
    under, over = _pictures(layer, 1, card.other, _SLIDE), _pictures(layer, 0, card.reference, _SLIDE)
    if not under or not over:
        return ""
    return (
        f'<figure style="width:{_SLIDE}px"><small>{escape(card.label)}</small>'
        f'<div class="cp-slide">{under}<div class="cp-over">{over}</div></div></figure>'
    )


def look(view: SampleView, image: int) -> str:
    """Name of the rule that holds an image once for all the maps that lie on it."""
    return f"{view.sample}x{image}"
