"""What a panel asks of a result: axes in the order it names, labels, colour limits, numbers and safe text.

Every renderer reads results through here, so that the same panel shows the same numbers everywhere.
"""

import math
import unicodedata
from dataclasses import dataclass

import numpy as np

from workbench.types import Measure, ProbeResult
from workbench.views import Bars, Lines, Overlay, Scatter
from workbench.words import tell_token


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Numbers over x for each series; `names` is one empty string when there is a single series."""

    names: tuple[str, ...]
    x: tuple[str, ...]
    values: np.ndarray
    """(series, x)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMap:
    """One map over the patches of an image."""

    name: str
    values: np.ndarray
    """(rows, cols)"""
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Named points of the plane."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    axes: tuple[str, ...]
    places: np.ndarray
    """(point, 2)"""


def labels(measure: Measure, dim: str) -> tuple[str, ...]:
    """Labels of an axis as text; an axis without labels is counted from 1."""
    if dim in measure.coords:
        return tuple(printable(str(label)) for label in measure.coords[dim])
    return tuple(str(i + 1) for i in range(measure.values.shape[_axis(measure, dim)]))


def matrix(measure: Measure, rows: str, cols: str) -> np.ndarray:
    """The values as (rows, cols); an axis `rank` is cut to its first entry. Raises ValueError for any further axis."""
    values, dims = measure.values, list(measure.dims)
    if "rank" in dims and "rank" not in (rows, cols):
        values = np.take(values, 0, axis=dims.index("rank"))
        dims.remove("rank")
    if set(dims) != {rows, cols}:
        raise ValueError(
            f"measure '{measure.name}' has the axes {measure.dims}, but a heatmap of {rows} and {cols} is asked"
        )
    return values if dims == [rows, cols] else values.T


def series(measure: Measure, panel: Lines | Bars) -> Series:
    """The values of a Lines or Bars panel as (series, x)."""
    if panel.series is None:
        if measure.dims != (panel.x,):
            raise ValueError(
                f"measure '{measure.name}' has the axes {measure.dims}, but the panel names only {panel.x}"
            )
        return Series(names=("",), x=labels(measure, panel.x), values=measure.values[None])
    values = matrix(measure, panel.series, panel.x)
    return Series(names=labels(measure, panel.series), x=labels(measure, panel.x), values=values)


def maps(measure: Measure, panel: Overlay) -> tuple[NamedMap, ...]:
    """The maps of an overlay, each with its colour limits; a further axis (frames) becomes maps of its own."""
    if measure.dims[-2:] != ("rows", "cols"):
        raise ValueError(
            f"measure '{measure.name}' has the axes {measure.dims}, but an overlay needs rows and cols last"
        )
    values = np.moveaxis(measure.values, _axis(measure, panel.each), 0)
    further = [dim for dim in measure.dims[:-2] if dim != panel.each]
    found = []
    for name, entry in zip(labels(measure, panel.each), values, strict=True):
        for place in np.ndindex(entry.shape[:-2]):
            where = "".join(f", {dim} {i + 1}" for dim, i in zip(further, place, strict=True))
            low, high = limits(measure, values if panel.scale == "shared" else entry[place])
            found.append(NamedMap(name=name + where, values=entry[place], low=low, high=high))
    return tuple(found)


def points(measure: Measure, panel: Scatter, result: ProbeResult) -> Points:
    """The points of a scatter, with the labels of its `colour` measure as groups."""
    point = next((dim for dim in measure.dims if dim != panel.coordinate), "")
    places = matrix(measure, point, panel.coordinate)
    if places.shape[1] != 2:
        raise ValueError(f"measure '{measure.name}' has {places.shape[1]} coordinates, but a scatter needs two")
    colour = None if panel.colour is None else result.measure(panel.colour)
    groups = ("",) * len(places) if colour is None else tuple(number(value) for value in colour.values)
    return Points(names=labels(measure, point), groups=groups, axes=labels(measure, panel.coordinate), places=places)


def limits(measure: Measure, values: np.ndarray | None = None) -> tuple[float, float]:
    """Ends of the colour scale: 0 to 1 for probabilities, symmetric for signed numbers, else always with 0 in it.

    Zero is kept in the scale so that a map without signal looks like one.
    """
    shown = measure.values if values is None else values
    finite = shown[np.isfinite(shown)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if measure.signed:
        most = max(abs(low), abs(high))
        return -most, most
    if measure.units == "probability":
        return 0.0, 1.0
    return min(0.0, low), max(0.0, high)


def heading(measure: Measure) -> str:
    """The measure's name with its units, and the units once when both are one word."""
    name = measure.name.replace("_", " ")
    return printable(name if name == measure.units else f"{name} ({measure.units})")


def number(value: object) -> str:
    """A number in at most three significant digits, or the text itself."""
    if isinstance(value, (bool, np.bool_, str)):
        return printable(str(value))
    if isinstance(value, (int, np.integer)):
        return str(value)
    if isinstance(value, (float, np.floating)):
        return _decimal(float(value))
    return printable(str(value))


def token(value: object) -> str:
    """An entry of a vocabulary, as people read it."""
    return printable(tell_token(str(value)))


def printable(text: str) -> str:
    r"""Text without anything that acts on a terminal or turns the reading direction; such characters become `\x1b`.

    Decoded text is untrusted: a model, or its tokenizer, can write escape sequences.
    """
    return "".join(character if _is_harmless(character) else _spelt(character) for character in text)


def _decimal(value: float) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    brief = f"{value:.3g}"
    return brief if "e" not in brief or abs(value) < 1 else f"{value:,.0f}" if abs(value) < 1e7 else brief


def _is_harmless(character: str) -> bool:
    # Cf holds the joiners that scripts and emoji need; only the marks that change direction or hide text are taken out.
    if character in "\u200c\u200d":
        return True
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _spelt(character: str) -> str:
    if character in "\n\r\u2028\u2029":
        return "↵"
    if character == "\t":
        return " "
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _axis(measure: Measure, dim: str) -> int:
    if dim not in measure.dims:
        raise ValueError(f"measure '{measure.name}' has no axis '{dim}', only {measure.dims}")
    return measure.dims.index(dim)
