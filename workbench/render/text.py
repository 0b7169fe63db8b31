"""Panels as text for a terminal: aligned tables, words with their confidence, small maps of block characters."""

import unicodedata
from collections.abc import Sequence
from typing import assert_never

import numpy as np
from PIL import Image

from workbench.render import heat, values
from workbench.types import Measure, ProbeResult
from workbench.views import Bars, Heatmap, Lines, Note, Overlay, Panel, Scatter, Table, Words

_BLOCKS = "·░▒▓█"
_SPARKS = "▁▂▃▄▅▆▇█"
_CELL = 48
"""Longest cell of a table, characters."""
_WORD = 13
"""Longest word in a cell of a heatmap, characters; "(text start)" fits."""
_MAP_COLS = 24
"""Widest small map, patches; a larger grid is averaged down to it."""
_SURE = 0.9
_POINTS = 20
# Backgrounds of the 256-colour table, from faint to strong: doubtful words, numbers above 0, numbers below 0.
_RAMPS = {"doubt": (223, 215, 208, 202), "above": (224, 217, 210, 203), "below": (195, 153, 111, 69)}


def panel_text(
    panel: Panel,
    result: ProbeResult,
    images: Sequence[Image.Image] | None = None,  # noqa: ARG001 - every renderer has the same signature
    *,
    colour: bool = False,
    width: int = 100,
) -> str:
    """Draw one panel of a result as lines of text.

    With `colour` it holds 256-colour escapes, and nothing else in it ever acts on a terminal.
    """
    match panel:
        case Note():
            body = f"{'! ' if panel.kind == 'warning' else ''}{values.printable(panel.text)}"
        case Words():
            body = _words(result.measure(panel.measure), colour, width)
        case Table():
            body = _measures_table([result.measure(name) for name in panel.measures])
        case Heatmap():
            body = _heatmap(panel, result, colour, width)
        case Overlay():
            body = _overlay(panel, result.measure(panel.measure), colour, width)
        case Bars():
            body = _bars(panel, result.measure(panel.measure), width)
        case Lines():
            body = _lines(panel, result.measure(panel.measure))
        case Scatter():
            body = _scatter(panel, result)
        case _:
            assert_never(panel)
    title = getattr(panel, "title", "")
    return f"{values.printable(title)}\n{body}" if title else body


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of aligned columns; wide (East Asian) characters count as two, long cells are cut with an ellipsis."""
    cut = [[_cut(values.printable(cell), _CELL) for cell in row] for row in [header, *rows]]
    widths = [max(_width(row[i]) for row in cut) for i in range(len(header))]
    lines = ["  ".join(_pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def checks_text(result: ProbeResult) -> str:
    """The checks that a result was put to, one line each."""
    lines = []
    for check in result.checks:
        limit = "" if check.tolerance is None else f" (limit {values.number(check.tolerance)})"
        mark = "ok " if check.passed else "NOT"
        lines.append(f"{mark} {check.name}: {values.number(check.value)}{limit}; {values.printable(check.about)}")
    return "\n".join(lines)


def _words(measure: Measure, colour: bool, width: int) -> str:
    words = values.labels(measure, measure.dims[0])
    numbers = measure.values.tolist()
    sure = [measure.units == "probability" and v >= _SURE for v in numbers]
    if colour:
        shown = [_coloured(word, measure, v) for word, v in zip(words, numbers, strict=True)]
        return _wrapped(words, shown, width)
    shown = [
        word if is_sure else f"{word}[{values.number(v)}]"
        for word, v, is_sure in zip(words, numbers, sure, strict=True)
    ]
    text = _wrapped(shown, shown, width)
    if all(sure):
        return text
    limit = f"; words of {_SURE} and more have none" if measure.units == "probability" else ""
    return f"{text}\n[number]: {values.heading(measure)}{limit}"


def _wrapped(plain: Sequence[str], shown: Sequence[str], width: int) -> str:
    """Words in lines of at most `width`; `plain` says how wide the words are, `shown` how they look."""
    lines: list[list[str]] = [[]]
    used = 0
    for word, look in zip(plain, shown, strict=True):
        if lines[-1] and used + 1 + _width(word) > width:
            lines.append([])
            used = 0
        used += _width(word) + bool(lines[-1])
        lines[-1].append(look)
    return "\n".join(" ".join(line) for line in lines)


def _coloured(word: str, measure: Measure, value: float) -> str:
    if measure.units == "probability":
        ramp, strength = "doubt", 0.0 if value >= _SURE else max(0.25, 1 - value)
    else:
        most = max(abs(end) for end in values.limits(measure)) or 1.0
        ramp, strength = ("above" if value > 0 else "below"), abs(value) / most
    level = int(np.ceil(np.nan_to_num(strength) * 4))
    return word if level == 0 else f"\x1b[30;48;5;{_RAMPS[ramp][min(level, 4) - 1]}m{word}\x1b[0m"


def _measures_table(measures: Sequence[Measure]) -> str:
    first = measures[0].dims[0]
    names = values.labels(measures[0], first)
    header = [first, *map(values.heading, measures)]
    rows = [[name, *(_entry(measure, i) for measure in measures)] for i, name in enumerate(names)]
    return table(header, rows)


def _entry(measure: Measure, index: int) -> str:
    entry = measure.values[index]
    return " ".join(values.number(v) for v in np.ravel(entry)[:8])


def _heatmap(panel: Heatmap, result: ProbeResult, colour: bool, width: int) -> str:
    measure = result.measure(panel.measure)
    numbers = values.matrix(measure, panel.rows, panel.cols)
    words = None if panel.words is None else values.matrix(result.measure(panel.words), panel.rows, panel.cols)
    row_names, col_names = values.labels(measure, panel.rows), values.labels(measure, panel.cols)
    cells = [[_heat_cell(numbers[i, j], None if words is None else words[i, j]) for j in range(len(col_names))]
             for i in range(len(row_names))]  # fmt: skip
    cell = max([_width(c) for row in cells for c in row] + [_width(name) for name in col_names])
    head = max(_width(name) for name in (*row_names, panel.rows))
    step = max(1, (width - head) // (cell + 2))
    low, high = values.limits(measure)
    rgb = heat.colours(numbers, low=low, high=high, palette="diverging" if measure.signed else "viridis")
    lines = []
    for start in range(0, len(col_names), step):
        part = range(start, min(start + step, len(col_names)))
        lines.append("  ".join([_pad(panel.rows, head), *(_pad(col_names[j], cell) for j in part)]).rstrip())
        for i, name in enumerate(row_names):
            shown = [_pad(cells[i][j], cell) for j in part]
            shown = [_on(rgb[i, j], text) for j, text in zip(part, shown, strict=True)] if colour else shown
            lines.append("  ".join([_pad(name, head), *shown]).rstrip())
    return "\n".join([*lines, values.heading(measure)])


def _heat_cell(value: object, word: object) -> str:
    return values.number(value) if word is None else f"{_cut(values.token(word), _WORD)} {values.number(value)}"


def _overlay(panel: Overlay, measure: Measure, colour: bool, width: int) -> str:
    blocks = []
    for found in values.maps(measure, panel):
        small = _pooled(found.values)
        lines = _map_lines(small, found, colour, "diverging" if measure.signed else "viridis")
        size = max(2 * small.shape[1], _width(found.name))
        plain = 2 * small.shape[1]
        padded = [line + " " * (size - plain) for line in lines]
        blocks.append(([_pad(found.name, size), *padded], size))
    rows, row, used = [], [], 0
    for lines, size in blocks:
        if row and used + size > width:
            rows.append(row)
            row, used = [], 0
        row.append(lines)
        used += size + 2
    joined = ["\n".join("  ".join(parts).rstrip() for parts in zip(*row, strict=True)) for row in (*rows, row) if row]
    ends = "each map on its own scale"
    if panel.scale == "shared" and blocks:
        low, high = values.limits(measure)
        ends = f"{values.number(low)} '{_BLOCKS[0]}' to {values.number(high)} '{_BLOCKS[-1]}'"
    return "\n\n".join([*joined, f"{measure.units}: {ends}"])


def _map_lines(small: np.ndarray, found: values.NamedMap, colour: bool, palette: heat.Palette) -> list[str]:
    if colour:
        rgb = heat.colours(small, low=found.low, high=found.high, palette=palette)
        return ["".join(_on(cell, "  ") for cell in line) for line in rgb]
    span = found.high - found.low
    scaled = (np.nan_to_num(small, nan=found.low) - found.low) / span if span > 0 else np.zeros_like(small)
    level = np.minimum((scaled * len(_BLOCKS)).astype(int), len(_BLOCKS) - 1)
    return ["".join(_BLOCKS[i] * 2 for i in line) for line in level]


def _pooled(map_values: np.ndarray) -> np.ndarray:
    rows, cols = map_values.shape
    step = int(np.ceil(cols / _MAP_COLS))
    if step == 1:
        return map_values
    cells = [
        [map_values[i : i + step, j : j + step].mean() for j in range(0, cols, step)] for i in range(0, rows, step)
    ]
    return np.array(cells)


def _bars(panel: Bars, measure: Measure, width: int) -> str:
    found = values.series(measure, panel)
    if panel.series is not None:
        rows = [[x, *(values.number(v) for v in found.values[:, i])] for i, x in enumerate(found.x)]
        return f"{table([panel.x, *found.names], rows)}\n{values.heading(measure)}"
    most = float(np.nanmax(np.abs(found.values), initial=0)) or 1.0
    head = max(_width(x) for x in found.x)
    room = max(10, width - head - 12)
    lines = [
        f"{_pad(x, head)}  {values.number(v):>8}  {'█' * round(abs(float(np.nan_to_num(v))) / most * room)}"
        for x, v in zip(found.x, found.values[0], strict=True)
    ]
    return "\n".join([*lines, values.heading(measure)])


def _lines(panel: Lines, measure: Measure) -> str:
    found = values.series(measure, panel)
    finite = found.values[np.isfinite(found.values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    span = (high - low) or 1.0
    lines = []
    for name, line in zip(found.names, found.values, strict=True):
        level = np.rint((np.nan_to_num(line, nan=low) - low) / span * (len(_SPARKS) - 1)).astype(int)
        ends = f"{values.number(line[0])} → {values.number(line[-1])}" if len(line) else ""
        lines.append(f"{name}  {''.join(_SPARKS[i] for i in np.clip(level, 0, 7))}  {ends}".strip())
    scale = f"{values.number(low)} '{_SPARKS[0]}' to {values.number(high)} '{_SPARKS[-1]}'"
    return "\n".join([*lines, f"{values.heading(measure)} over {panel.x}: {scale}"])


def _scatter(panel: Scatter, result: ProbeResult) -> str:
    measure = result.measure(panel.measure)
    found = values.points(measure, panel, result)
    rows = [
        [name, *(values.number(v) for v in place), group]
        for name, place, group in zip(found.names, found.places, found.groups, strict=True)
    ]
    more = f"\n… and {len(rows) - _POINTS} more points" if len(rows) > _POINTS else ""
    return table(["point", *found.axes, panel.colour or ""], rows[:_POINTS]) + more


def _on(rgb: np.ndarray, text: str) -> str:
    level = np.rint(rgb / 255 * 5).astype(int)
    code = 16 + 36 * level[0] + 6 * level[1] + level[2]
    return f"\x1b[{30 if heat.ink(rgb) == '#000' else 97};48;5;{code}m{text}\x1b[0m"


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


def _pad(text: str, width: int) -> str:
    return text + " " * max(0, width - _width(text))


def _cut(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    while _width(text) > width - 1:
        text = text[:-1]
    return text + "…"
