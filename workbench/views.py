"""What to show of a result. Panels name measures and axis roles; they hold no arrays, renderers draw them.

A new renderer is one function over `Panel`; a new probe only returns panels.
"""

from dataclasses import dataclass
from typing import Literal

Scale = Literal["shared", "each"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """A matrix of numbers, optionally with a word in each cell."""

    measure: str
    rows: str
    cols: str
    words: str | None = None
    """String measure of the same axes (a further axis `rank` is cut to its first entry)."""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """Maps over the sample's images: the last two axes of the measure are (rows, cols) of one image's grid."""

    measure: str
    image: int
    each: str
    """Axis along which there is one map each (`row`: think tokens, then the embed token)."""
    scale: Scale = "shared"
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A text whose words are coloured by a number: `measure` has one axis whose coordinates are the words."""

    measure: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Lines over `x`, one for each entry of `series` when given."""

    measure: str
    x: str
    series: str | None = None
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """One bar for each entry of `x`, grouped by `series` when given."""

    measure: str
    x: str
    series: str | None = None
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """Points: the measure's axis `coordinate` has the entries x and y."""

    measure: str
    coordinate: str
    colour: str | None = None
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Measures that share their first axis, as columns."""

    measures: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A plain sentence."""

    text: str
    kind: Literal["info", "warning"] = "info"


Panel = Heatmap | Overlay | Words | Lines | Bars | Scatter | Table | Note
