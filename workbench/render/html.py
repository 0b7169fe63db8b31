"""Panels as HTML fragments: no script, no network, every text escaped, because decoded text is untrusted.

Fragments use the classes of `STYLE` and take their ink from the page around them, so that they sit on light and dark
pages alike; `.dark` on any ancestor (as Gradio sets it) turns the few fixed colours.
"""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
from PIL import Image

from workbench.render import heat, svg, values
from workbench.types import Measure, ProbeResult
from workbench.views import Bars, Heatmap, Lines, Note, Overlay, Panel, Scatter, Table, Words

_SIDE = 256
"""Longest side of a picture in a fragment, pixels."""
_OPACITY = 0.6
_DOUBT, _ABOVE, _BELOW = "230,120,20", "214,60,60", "60,110,220"
"""Washes laid under words: doubtful, above zero, below zero. See-through, so that the page's own ink stays readable."""

STYLE = """
.ts{--ts-soft:#59636e;--ts-line:#d1d9e0;--ts-warn:#9a6700;line-height:1.5}
.dark .ts,.ts.dark{--ts-soft:#9aa4af;--ts-line:#3d444d;--ts-warn:#d8a53a}
.ts h4{margin:.2em 0 .4em;font-size:1em}
.ts .ts-words span{padding:.1em .25em;border-radius:.25em;white-space:pre-wrap;overflow-wrap:anywhere}
.ts .ts-wide,.ts.ts-wide{overflow-x:auto}
.ts .ts-tall{overflow:auto;max-height:26em}
.ts table{border-collapse:collapse;font-size:.86em}
.ts th,.ts td{padding:.25em .55em;border:1px solid var(--ts-line);text-align:left;vertical-align:top}
.ts th{font-weight:600}.ts td{overflow-wrap:anywhere}
.ts .ts-number{text-align:right;font-variant-numeric:tabular-nums}
.ts .ts-heat td{text-align:center;border-color:transparent;white-space:nowrap}
.ts .ts-heat small{opacity:.8}
.ts .ts-maps{display:flex;flex-wrap:wrap;gap:.7em}
.ts figure{margin:0;width:min(10.5em,44%)}
.ts figure img{width:100%;height:auto;display:block;border-radius:.3em}
.ts figcaption{font-size:.82em;text-align:center;overflow-wrap:anywhere}
.ts .ts-scale{display:flex;flex-wrap:wrap;align-items:center;gap:.5em;font-size:.82em;margin:.5em 0;color:var(--ts-soft)}
.ts .ts-scale i{display:inline-block;width:9em;height:.8em;border-radius:.2em}
.ts .ts-chart{width:100%;max-width:46em;height:auto}
.ts .ts-legend{display:flex;flex-wrap:wrap;gap:.3em 1em;font-size:.82em}
.ts .ts-legend i{display:inline-block;width:.8em;height:.8em;margin-right:.35em;border-radius:.2em}
.ts .ts-soft{color:var(--ts-soft);font-size:.86em}
.ts .ts-warning{border-left:.25em solid var(--ts-warn);padding-left:.7em;color:var(--ts-warn)}
""".strip()


def panel_html(panel: Panel, result: ProbeResult, images: Sequence[Image.Image] | None = None) -> str:
    """Draw one panel of a result as an HTML fragment; overlays lie on `images`, or stand alone without them."""
    match panel:
        case Note():
            kind = "ts-warning" if panel.kind == "warning" else "ts-soft"
            body = f'<p class="{kind}">{escape(panel.text)}</p>'
        case Words():
            body = _words(result.measure(panel.measure))
        case Table():
            body = _table([result.measure(name) for name in panel.measures])
        case Heatmap():
            body = _heatmap(panel, result)
        case Overlay():
            body = _overlay(panel, result.measure(panel.measure), images or ())
        case Bars():
            measure = result.measure(panel.measure)
            body = svg.bars(values.series(measure, panel), units=measure.units, x=panel.x)
        case Lines():
            measure = result.measure(panel.measure)
            body = svg.lines(values.series(measure, panel), units=measure.units, x=panel.x)
        case Scatter():
            body = _scatter(panel, result)
        case _:
            assert_never(panel)
    title = getattr(panel, "title", "")
    return f'<div class="ts">{f"<h4>{escape(title)}</h4>" if title else ""}{body}</div>'


def checks_html(result: ProbeResult) -> str:
    """The checks that a result was put to, as a table."""
    if not result.checks:
        return ""
    rows = "".join(
        f"<tr><td>{'passed' if check.passed else '<b>not passed</b>'}</td><td>{escape(check.name)}</td>"
        f'<td class="ts-number">{values.number(check.value)}</td>'
        f'<td class="ts-number">{"" if check.tolerance is None else values.number(check.tolerance)}</td>'
        f"<td>{escape(check.about)}</td></tr>"
        for check in result.checks
    )
    head = "<tr><th></th><th>check</th><th>value</th><th>limit</th><th>meaning</th></tr>"
    return f'<div class="ts ts-wide"><table>{head}{rows}</table></div>'


def escape(text: str) -> str:
    """Text that HTML shows as it is, in an element or in a quoted attribute."""
    return html.escape(values.printable(text))


def png_uri(image: Image.Image) -> str:
    """The picture as a data address, for `src`."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def thumbnail(image: Image.Image, side: int = _SIDE) -> Image.Image:
    """The picture in RGB with its longer side at `side` pixels, and never a side of none."""
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.convert("RGB").resize(size, Image.Resampling.BICUBIC)


def _words(measure: Measure) -> str:
    words = values.labels(measure, measure.dims[0])
    name = escape(measure.name.replace("_", " "))
    spans = " ".join(
        f'<span style="{_wash(measure, float(value))}" title="{name} {values.number(value)} {escape(measure.units)}">'
        f"{html.escape(word)}</span>"
        for word, value in zip(words, measure.values, strict=True)
    )
    return f'<p class="ts-words">{spans}</p>{_words_scale(measure)}'


def _wash(measure: Measure, value: float) -> str:
    if measure.units == "probability":
        colour, strength = _DOUBT, 1 - value
    else:
        most = max(abs(end) for end in values.limits(measure)) or 1.0
        colour, strength = (_ABOVE if value > 0 else _BELOW), abs(value) / most
    return f"background:rgba({colour},{0.75 * float(np.nan_to_num(strength)):.3f})"


def _words_scale(measure: Measure) -> str:
    low, high = values.limits(measure)
    if measure.units == "probability":
        low, high, left, right = 1.0, 0.0, (_DOUBT, 0.0), (_DOUBT, 0.75)
    else:
        left = (_BELOW, 0.75 if low < 0 else 0.0)
        right = (_ABOVE, 0.75 if high > 0 else 0.0)
    clear = f",rgba({_ABOVE},0)" if low < 0 < high else ""
    background = f"linear-gradient(90deg,rgba({left[0]},{left[1]}){clear},rgba({right[0]},{right[1]}))"
    return _scale(low, high, measure.units, background)


def _table(measures: Sequence[Measure]) -> str:
    first = measures[0].dims[0]
    head = f"<th>{escape(first)}</th>" + "".join(
        f'<th title="{escape(m.about)}">{html.escape(values.heading(m))}</th>' for m in measures
    )
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th>{''.join(_entry(measure, i) for measure in measures)}</tr>"
        for i, name in enumerate(values.labels(measures[0], first))
    )
    return f'<div class="ts-tall"><table><tr>{head}</tr>{rows}</table></div>'


def _entry(measure: Measure, index: int) -> str:
    shown = " ".join(html.escape(values.number(value)) for value in np.ravel(measure.values[index])[:8])
    return f"<td>{shown}</td>" if measure.values.dtype.kind == "U" else f'<td class="ts-number">{shown}</td>'


def _heatmap(panel: Heatmap, result: ProbeResult) -> str:
    measure = result.measure(panel.measure)
    numbers = values.matrix(measure, panel.rows, panel.cols)
    words = None if panel.words is None else values.matrix(result.measure(panel.words), panel.rows, panel.cols)
    low, high = values.limits(measure)
    palette: heat.Palette = "diverging" if measure.signed else "viridis"
    rgb = heat.colours(numbers, low=low, high=high, palette=palette)
    row_names, col_names = values.labels(measure, panel.rows), values.labels(measure, panel.cols)
    head = f"<th>{escape(panel.rows)}</th>" + "".join(f"<th>{html.escape(name)}</th>" for name in col_names)
    rows = []
    for i, row in enumerate(row_names):
        cells = []
        for j, col in enumerate(col_names):
            tip = "\n".join([f"{panel.rows} {row}, {panel.cols} {col}", *_ranks(panel, result, i, j)])
            shown = values.number(numbers[i, j])
            if words is not None:
                shown = f"{html.escape(values.token(words[i, j]))} <small>{shown}</small>"
            paint = f"background:rgb({','.join(map(str, rgb[i, j]))});color:{heat.ink(rgb[i, j])}"
            cells.append(f'<td style="{paint}" title="{html.escape(tip)}">{shown}</td>')
        rows.append(f"<tr><th>{html.escape(row)}</th>{''.join(cells)}</tr>")
    scale = _scale(low, high, measure.units, heat.css_gradient(palette))
    return f'<div class="ts-wide"><table class="ts-heat"><tr>{head}</tr>{"".join(rows)}</table></div>{scale}'


def _ranks(panel: Heatmap, result: ProbeResult, row: int, col: int) -> list[str]:
    """The further words of a cell, for its tooltip, when both measures have an axis `rank`."""
    numbers = result.measure(panel.measure)
    words = result.measure(panel.words) if panel.words else numbers
    axes = {panel.rows, panel.cols, "rank"}
    if words is numbers or set(words.dims) != axes or set(numbers.dims) != axes:
        return []
    order = (panel.rows, panel.cols, "rank")
    places = [np.transpose(m.values, [m.dims.index(dim) for dim in order])[row, col] for m in (words, numbers)]
    pairs = zip(*(place.tolist() for place in places), strict=False)
    return [f"{rank}. {values.token(word)} {values.number(value)}" for rank, (word, value) in enumerate(pairs, start=1)]


def _overlay(panel: Overlay, measure: Measure, images: Sequence[Image.Image]) -> str:
    palette: heat.Palette = "diverging" if measure.signed else "viridis"
    base = thumbnail(images[panel.image]) if panel.image < len(images) else None
    gradient = heat.css_gradient(palette)
    figures = []
    for found in values.maps(measure, panel):
        facts: dict[str, Any] = {"low": found.low, "high": found.high, "palette": palette}
        if base is None:
            rows, cols = found.values.shape
            drawn = heat.picture(
                found.values, (_SIDE * cols // max(rows, cols), _SIDE * rows // max(rows, cols)), **facts
            )
        else:
            drawn = heat.overlay(base, found.values, opacity=_OPACITY, **facts)
        own = "" if panel.scale == "shared" else _scale(found.low, found.high, "", gradient)
        name = html.escape(found.name)
        alt = escape(f"{measure.name.replace('_', ' ')} of {found.name}")
        figures.append(f'<figure><img src="{png_uri(drawn)}" alt="{alt}"><figcaption>{name}{own}</figcaption></figure>')
    scale = f'<p class="ts-soft">{escape(measure.units)}; every map has its own scale</p>'
    if panel.scale == "shared":
        scale = _scale(*values.limits(measure), measure.units, gradient)
    return f'<div class="ts-maps">{"".join(figures)}</div>{scale}'


def _scatter(panel: Scatter, result: ProbeResult) -> str:
    measure = result.measure(panel.measure)
    found = values.points(measure, panel, result)
    return svg.points(found.places, found.names, found.groups, units=measure.units, axes=found.axes)


def _scale(low: float, high: float, units: str, background: str) -> str:
    return (
        f'<div class="ts-scale"><span>{values.number(low)}</span><i style="background:{background}"></i>'
        f"<span>{values.number(high)}</span><span>{escape(units)}</span></div>"
    )
