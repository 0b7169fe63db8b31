"""The figures of a comparison as HTML fragments, for the report and the page: no script, every text escaped.

They take their ink from the page around them and use the classes of `render/static/comparison.css`.
"""

from collections.abc import Sequence

import numpy as np

from workbench.comparison import Comparison, Difference, Estimate, Grid, Likeness, PairComparison
from workbench.render import heat
from workbench.render.html import escape
from workbench.render.static import read_static

TITLES = {
    "hit_at_1": "Right document found first",
    "mrr": "Mean of 1 / rank of the right document",
    "thought_exact": "Thought right",
    "answer_exact": "Answer right",
    "target_exact": "Thought tells the right document",
    "token_log_probability": "Log-probability of a written token, nats",
}
"""Metrics in plain words."""
_LONG = 16
"""Letters from which on the name of a column gets room for some words in a line."""
_GROUPED = ("hit_at_1", "thought_exact", "answer_exact", "target_exact")
"""Metrics that are told group by group."""
WHAT = {
    "differences": "Differences of quality",
    "rankings": "Rankings",
    "thoughts": "States of the think tokens",
    "decoded thoughts": "Words of the thoughts",
    "embeddings and thoughts": "Likeness of embeddings and thoughts",
    "attention maps": "Attention maps",
    **TITLES,
}
"""Parts that may be refused, in plain words."""
WRITES = {"reasoning": "its reasoning", "target": "the words of the document to be found", "nothing": "nothing"}


def style(dark: str = ".dark &") -> str:
    """The sheet; `dark` is how a dark page's ancestor is written, where the sheet itself is nested in one."""
    return read_static("comparison.css").replace(".dark &", dark)


def sides_html(comparison: Comparison) -> str:
    """What each checkpoint is."""
    rows = [
        [
            f"<b>{escape(side.name)}</b>{' <small>reference</small>' if number == 0 else ''}",
            escape(side.title),
            str(side.n_think),
            str(side.n_layers),
            str(side.width),
            escape(WRITES[side.writes]),
            f"{side.read:,} of {comparison.source.n:,}",
            escape(f"{side.provenance.dtype} on {side.provenance.device}"),
        ]
        for number, side in enumerate(comparison.sides)
    ]
    head = ["checkpoint", "", "think tokens", "layers", "width", "writes", "samples read", "numbers"]
    return _table(head, rows, numbers=(2, 3, 4, 6))


def quality_html(comparison: Comparison, pair: PairComparison) -> str:
    """Metrics of both and their paired difference."""
    differences = {one.metric: one for one in pair.differences}
    rows = []
    for metric in comparison.metrics:
        values = [metric.values[side] for side in (pair.reference, pair.other)]
        if not any(values):
            continue
        found = differences.get(metric.name)
        title = f'<span title="{escape(metric.about)}">{escape(TITLES[metric.name])}</span>'
        rows.append([title, *(_estimate(one, metric.name) for one in values), *_difference(found, metric.name)])
    if not rows:
        return '<p class="cp-soft">There is nothing to measure quality by: the data name neither right documents nor answers.</p>'
    names = [escape(comparison.sides[side].name) for side in (pair.reference, pair.other)]
    head = ["", *names, "difference", f"samples where {names[1]} is higher", "lower"]
    about = (
        "In brackets 95% intervals; those of the difference are of the same samples under both (paired bootstrap), so they can "
        "be far narrower than the others. An interval of the difference without 0 in it is a difference beyond chance."
    )
    return f'<p class="cp-soft">{about}</p>{_table(head, rows, numbers=(1, 2, 3, 4, 5))}'


def groups_html(comparison: Comparison, pair: PairComparison) -> str:
    """Quality of each group of samples, a table for each metric that both have."""
    names = [escape(comparison.sides[side].name) for side in (pair.reference, pair.other)]
    head = [escape(comparison.grouped_by), "samples", *names, "difference", f"{names[1]} is higher at", "lower"]
    tables = []
    for metric in (one.metric for one in pair.differences if one.metric in _GROUPED):
        rows = []
        for group in pair.groups:
            values = next((one.values for one in group.metrics if one.name == metric), None)
            found = next((one for one in group.differences if one.metric == metric), None)
            if values is not None:
                told = [_estimate(one, metric) for one in values]
                rows.append([escape(group.name), f"{group.n:,}", *told, *_difference(found, metric)])
        if rows:
            # The first stands open; further ones would push what follows out of sight.
            mark = "" if tables else " open"
            table = _table(head, rows, numbers=tuple(range(1, 7)))
            tables.append(f"<details{mark}><summary>{escape(TITLES[metric])}</summary>{table}</details>")
    if not tables:
        return ""
    about = (
        "The same for the samples of each kind alone. Among many intervals some leave out 0 by chance: one in twenty of "
        "differences that are none."
    )
    return f'<p class="cp-soft">{about}</p>{"".join(tables)}'


def likeness_html(pair: PairComparison) -> str:
    """How alike embeddings and thoughts are, neighbours first."""
    if not pair.likeness:
        return ""
    first = pair.likeness[0]
    rows = [
        [
            escape(_space(one)),
            _first_figure(one.overlap),
            f"{one.overlap_chance:.2f}",
            _p(one.overlap_p),
            _two(one.cka),
            _two(one.cka_chance),
            _p(one.cka_p),
            f"{one.residual:.2f}",
            f"{one.residual_chance:.2f}",
        ]
        for one in pair.likeness
    ]
    about = (
        f"Read the first column first: the share of a sample's {first.neighbours} nearest neighbours that are the same under both "
        f"checkpoints, measured on {first.n:,} samples. CKA (debiased, linear) compares the whole spread and is decided by few "
        "strong directions. Unexplained is what is left when one space is turned, scaled and shifted onto the other "
        "(Procrustes): less is more alike. Each stands beside what it reads when samples are shuffled; p is of that shuffle, for "
        "each row by itself."
    )
    head = ["", "neighbours kept", "by chance", "p", "CKA", "by chance", "p", "unexplained", "by chance"]
    return f'<p class="cp-soft">{about}</p>{_table(head, rows, numbers=tuple(range(1, 9)))}'


def grids_html(pair: PairComparison, names: tuple[str, str]) -> str:
    """Layers, single think tokens, and matched ones by depth, as tables of colours."""
    told = (
        ("Layer by layer", "Mean of the think tokens' states after each layer.", pair.layers),
        ("Think token by think token", "States at the last layer.", pair.steps),
        ("Matched think tokens at every depth", _matched(pair), pair.depths),
    )
    parts = []
    for title, about, grid in told:
        if grid is None or not grid.cols:
            continue
        tables = (
            _heat(f"Neighbours kept, {grid.overlap_chance:.2f} by chance", grid, grid.overlap, grid.overlap_chance),
            _heat("CKA, 0 by chance", grid, grid.cka, 0.0),
        )
        where = f"Rows: {names[0]}; columns: {names[1]}."
        parts.append(
            f'<h4>{title}</h4><p class="cp-soft">{escape(f"{about} {where}")}</p><div class="cp-heats">{"".join(tables)}</div>'
        )
    return "".join(parts)


def agreement_html(pair: PairComparison) -> str:
    """How far the rankings of candidates agree."""
    if not pair.agreements:
        return ""
    rows = [[escape(one.name), _estimate(one.value, ""), escape(one.about)] for one in pair.agreements]
    return _table(["", "mean over samples", ""], rows, numbers=(1,))


def looks_html(pair: PairComparison) -> str:
    """Whether both look at the same places of an image."""
    if not pair.looks:
        return ""
    rows = [
        [
            escape(_token(one.think)),
            _first_figure(one.agreement),
            "<small>not defined</small>" if one.chance is None else _two(one.chance),
            "" if one.p is None else _p(one.p),
        ]
        for one in pair.looks
    ]
    about = (
        f"Rank correlation (Spearman) of both checkpoints' attention on the patches of the same image, mean over "
        f"{pair.looks[0].n:,} samples; 1 is the same order of patches. By chance: the same with the other checkpoint's map of "
        "another image. What is there already is what both do on any image, such as looking at its middle; only what is above "
        "it is looking at the same things."
    )
    head = ["", "same places", "by chance", "p"]
    return f'<p class="cp-soft">{about}</p>{_table(head, rows, numbers=(1, 2, 3))}'


def refused_html(pair: PairComparison) -> str:
    """What could not be compared, and why."""
    if not pair.refused:
        return ""
    rows = (f"<li><b>{escape(WHAT.get(one.what, one.what))}</b>: {escape(one.why)}</li>" for one in pair.refused)
    return f'<ul class="cp-notes">{"".join(rows)}</ul>'


def notes_html(notes: Sequence[str], *, quiet: bool = False) -> str:
    """Remarks as a list; quiet ones say how something was made, the others what to be careful about."""
    kind = "cp-notes cp-quiet" if quiet else "cp-notes"
    return f'<ul class="{kind}">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>' if notes else ""


def arrow_html(reference: int | None, other: int | None) -> str:
    """How a rank moved: up is better."""
    if reference is None or other is None:
        return ""
    if other == reference:
        return "<small>=</small>"
    kind, sign = ("up", "▲") if other < reference else ("down", "▼")
    return f'<span class="cp-{kind}">{sign} {abs(reference - other):,}</span>'


def scale_html(high: float) -> str:
    """The colour scale of attention maps."""
    return (
        f'<div class="cp-scale"><span>0%</span><i style="background:{heat.css_gradient()}"></i><span>{high:.1%}</span>'
        "<span>of a token's attention on one patch; one scale for both checkpoints</span></div>"
    )


def shares_html(high: float, *, signed: bool) -> str:
    """The colour scale of attribution maps."""
    low, palette = (f"-{high:.1%}", "diverging") if signed else ("0%", "viridis")
    sign = "; below 0 the patch lowers the number" if signed else ""
    return (
        f'<div class="cp-scale"><span>{low}</span><i style="background:{heat.css_gradient(palette)}"></i><span>{high:.1%}</span>'
        f"<span>of a whole map on one patch{sign}; one scale for both checkpoints</span></div>"
    )


def _matched(pair: PairComparison) -> str:
    if pair.matched == "position":
        return "Both have equally many think tokens, so each goes with the one at its place."
    return (
        "The checkpoints have different numbers of think tokens, so they were matched: each with one of the other, such that the "
        "neighbours kept at the last layer sum to the most (Hungarian method). What is left over has no counterpart."
    )


def _space(one: Likeness) -> str:
    if one.of == "embedding":
        return "Embeddings"
    if one.of == "thoughts":
        return "Thoughts, averaged, last layer"
    return f"{_token(one.think)}, last layer"


def _token(think: tuple[int, ...]) -> str:
    """A think token with its counterpart; the embed token where no think tokens are named."""
    if not think:
        return "Embedding"
    a, b = think
    return f"Thought {a}" if a == b else f"Thought {a} and thought {b}"


def _estimate(found: Estimate | None, metric: str) -> str:
    if found is None:
        return "<small>not defined</small>"
    return f"{_value(found.value, metric)} ({_value(found.low, metric)} to {_value(found.high, metric)})"


def _difference(found: Difference | None, metric: str) -> list[str]:
    if found is None:
        return ["<small>not compared</small>", "", ""]
    change = found.change
    beyond = "" if change.low <= 0 <= change.high else "cp-up" if change.value > 0 else "cp-down"
    shown = _value(change.value, metric, sign=True)
    ends = f"({_value(change.low, metric, sign=True)} to {_value(change.high, metric, sign=True)})".replace(
        " points", ""
    )
    return [f'<span class="{beyond}">{shown}</span> {ends}', f"{found.higher:,}", f"{found.lower:,}"]


def _value(value: float, metric: str, *, sign: bool = False) -> str:
    if metric in ("hit_at_1", "thought_exact", "answer_exact", "target_exact"):
        return f"{value * 100:{'+' if sign else ''}.1f}{' points' if sign else '%'}"
    return f"{value:{'+' if sign else ''}.3f}"


def _p(value: float) -> str:
    return f"{value:.3f}"


def _first_figure(found: Estimate) -> str:
    """The figure of a row that is to be read first."""
    return f"<b>{_two(found.value)}</b> ({_two(found.low)} to {_two(found.high)})"


def _two(value: float) -> str:
    """Two decimals, and no minus before a 0."""
    return f"{value:z.2f}"


def _heat(title: str, grid: Grid, numbers: np.ndarray, chance: float) -> str:
    rgb = heat.colours(np.maximum(numbers, chance), low=chance, high=1.0)
    head = "<th></th>" + "".join(f"<th>{escape(_short(name))}</th>" for name in grid.cols)
    rows = []
    for name, values, colours in zip(grid.rows, numbers, rgb, strict=True):
        cells = "".join(
            f'<td style="background:rgb({",".join(map(str, one))});color:{heat.ink(one)}">{_two(value)}</td>'
            for value, one in zip(values.tolist(), colours, strict=True)
        )
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    table = f'<div class="cp-wide"><table class="cp-heat"><tr>{head}</tr>{"".join(rows)}</table></div>'
    return f"<div><small>{escape(title)}</small>{table}</div>"


def _short(name: str) -> str:
    return name.removeprefix("layer ").removeprefix("think ")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int]) -> str:
    """Cells are HTML already."""

    def cell(place: int, text: str) -> str:
        return f'<td class="cp-number">{text}</td>' if place in numbers else f"<td>{text}</td>"

    body = "".join(f"<tr>{''.join(cell(place, text) for place, text in enumerate(row))}</tr>" for row in rows)
    # A long name may break, but not after every word: the row of names would become a tower.
    top = "".join(f'<th class="cp-named">{name}</th>' if len(name) > _LONG else f"<th>{name}</th>" for name in head)
    return f'<div class="cp-wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
