"""Lines, bars and points as small inline SVG: sharp at any size, no script, readable on light and dark pages."""

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

from workbench.render.values import Series, number

# Tol's bright palette: distinct with the common colour blindnesses, visible on white and on near-black.
PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999999")
_WIDTH, _HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 10, 34
_MOST_LABELS = 16


def bars(found: Series, *, units: str, x: str) -> str:
    """Bars grouped by x, one colour for each series, from zero."""
    low, high = _ends(found.values, zero=True)
    group = (_WIDTH - _LEFT - _RIGHT) / max(1, len(found.x))
    each = group * 0.8 / max(1, len(found.names))
    parts = [_frame(low, high, units), _ticks(found.x, [_LEFT + group * (i + 0.5) for i in range(len(found.x))], x)]
    for s, name in enumerate(found.names):
        for i, label in enumerate(found.x):
            value = float(found.values[s, i])
            if not np.isfinite(value):
                continue
            top, foot = sorted((_y(value, low, high), _y(0.0, low, high)))
            left = _LEFT + group * (i + 0.1) + each * s
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{each:.1f}" height="{max(0.5, foot - top):.1f}" '
                f'fill="{_colour(s)}">{_tip(label, name, value, units)}</rect>'
            )
    return _svg(parts, f"bars of {units} by {x}") + _legend(found.names)


def lines(found: Series, *, units: str, x: str) -> str:
    """One line for each series over evenly spaced x; a line is broken where its value is not finite."""
    low, high = _ends(found.values, zero=False)
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(found.x) - 1)
    places = [_LEFT + step * i for i in range(len(found.x))]
    parts = [_frame(low, high, units), _ticks(found.x, places, x)]
    for s, name in enumerate(found.names):
        path, pen = [], "M"
        for place, value in zip(places, found.values[s].tolist(), strict=True):
            if not np.isfinite(value):
                pen = "M"
                continue
            path.append(f"{pen}{place:.1f} {_y(value, low, high):.1f}")
            pen = "L"
        dashes = ' stroke-dasharray="6 4"' if _is_dashed(s) else ""
        parts.append(f'<path d="{"".join(path)}" fill="none" stroke="{_colour(s)}" stroke-width="2"{dashes}/>')
        parts += [
            f'<circle cx="{place:.1f}" cy="{_y(value, low, high):.1f}" r="3" fill="{_colour(s)}">'
            f"{_tip(label, name, value, units)}</circle>"
            for place, label, value in zip(places, found.x, found.values[s].tolist(), strict=True)
            if np.isfinite(value)
        ]
    return _svg(parts, f"lines of {units} over {x}") + _legend(found.names, dashed=True)


def curves(found: Mapping[str, Sequence[tuple[float, float]]], *, units: str, x: str) -> str:
    """One line for each name through its (x, y) places, over an axis of numbers that all share."""
    every = np.array([place for places in found.values() for place in places], dtype=float).reshape(-1, 2)
    (x_low, x_high), (low, high) = _ends(every[:, 0], zero=False), _ends(every[:, 1], zero=False)
    across = lambda value: _LEFT + (value - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT - 12)  # noqa: E731
    marks = round_marks(x_low, x_high)
    parts = [_frame(low, high, units), _ticks([number(mark) for mark in marks], [across(mark) for mark in marks], x)]
    for s, (name, places) in enumerate(found.items()):
        drawn = [(across(one), _y(other, low, high), one, other) for one, other in sorted(places)]
        path = "L".join(f"{left:.1f} {top:.1f}" for left, top, _, _ in drawn)
        parts.append(f'<path d="M{path}" fill="none" stroke="{_colour(s)}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="{_colour(s)}">{_tip(f"{x} {number(one)}", name, other, units)}</circle>'
            for left, top, one, other in drawn
        ]
    return _svg(parts, f"lines of {units} over {x}") + _legend(tuple(found))


def points(places: np.ndarray, names: Sequence[str], groups: Sequence[str], *, units: str, axes: Sequence[str]) -> str:
    """Points at `places` = (point, 2), coloured by group."""
    known = tuple(dict.fromkeys(groups))
    (x_low, x_high), (y_low, y_high) = _ends(places[:, 0], zero=False), _ends(places[:, 1], zero=False)
    parts = [_frame(y_low, y_high, f"{axes[1]}, {units}"), _ticks((), (), axes[0])]
    for (px, py), name, group in zip(places.tolist(), names, groups, strict=True):
        if np.isfinite(px) and np.isfinite(py):
            across = _LEFT + (px - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
            parts.append(
                f'<circle cx="{across:.1f}" cy="{_y(py, y_low, y_high):.1f}" r="4" fill="{_colour(known.index(group))}" '
                f'fill-opacity="0.8"><title>{html.escape(f"{name} {group}".strip())}</title></circle>'
            )
    return _svg(parts, f"{len(places)} points") + _legend(known)


def _colour(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _is_dashed(index: int) -> bool:
    """Every second time that the colours are through."""
    return index // len(PALETTE) % 2 == 1


def _ends(shown: np.ndarray, *, zero: bool) -> tuple[float, float]:
    finite = shown[np.isfinite(shown)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if zero:
        low, high = min(0.0, low), max(0.0, high)
    return (low, high) if high > low else (low, low + 1.0)


def round_marks(low: float, high: float) -> list[float]:
    """Round numbers between the ends of an axis, two to five of them; `high` must be above `low`."""
    least = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))
    # A mark at an end must not be lost to the last bit.
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [count * step for count in range(first, last + 1)]


def _y(value: float, low: float, high: float) -> float:
    return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _tip(label: str, name: str, value: float, units: str) -> str:
    return f"<title>{html.escape(' '.join(filter(None, (label, name))))}: {number(value)} {html.escape(units)}</title>"


def _frame(low: float, high: float, units: str) -> str:
    rows = []
    for value in round_marks(low, high):
        y = _y(value, low, high)
        rows.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity="0.15"/>')
        rows.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
    middle = (_HEIGHT - _BOTTOM) / 2
    rows.append(
        f'<text transform="translate(11 {middle:.0f}) rotate(-90)" text-anchor="middle">{html.escape(units[:34])}</text>'
    )
    return "".join(rows)


def _ticks(names: Sequence[str], places: Sequence[float], title: str) -> str:
    every = max(1, -(-len(names) // _MOST_LABELS))
    shown = [
        f'<text x="{place:.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{html.escape(name[:12])}</text>'
        for i, (name, place) in enumerate(zip(names, places, strict=True))
        if i % every == 0
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return "".join(shown) + f'<text x="{middle}" y="{_HEIGHT - 4}" text-anchor="middle">{html.escape(title)}</text>'


def _svg(parts: Sequence[str], label: str) -> str:
    return (
        f'<svg class="ts-chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(label)}" '
        f'fill="currentColor" font-size="11">{"".join(parts)}</svg>'
    )


def _legend(names: Sequence[str], *, dashed: bool = False) -> str:
    if len(names) < 2:
        return ""
    entries = (
        f'<span><i style="background:{_swatch(i) if dashed else _colour(i)}"></i>{html.escape(name)}</span>'
        for i, name in enumerate(names)
    )
    return f'<div class="ts-legend">{"".join(entries)}</div>'


def _swatch(index: int) -> str:
    colour = _colour(index)
    return f"repeating-linear-gradient(90deg,{colour} 0 4px,transparent 4px 6px)" if _is_dashed(index) else colour
