"""The figures of a comparison as HTML fragments, for the report and the page: no script, every text escaped.

They take their ink from the page around them and use the classes of `render/static/comparison.css`.
"""

from collections.abc import Sequence

from workbench.comparison import Comparison, Difference, Estimate, Likeness, Look, PairComparison
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
FEW = 10
"""Samples below which no difference is called beyond chance: an interval drawn from so few is too narrow."""
_FEW_TOLD = f"Over fewer than {FEW} samples such an interval is too narrow to be trusted, so no difference is coloured."
_LONG = 16
"""Letters from which on the name of a column gets room for some words in a line."""
_GROUPED = ("hit_at_1", "thought_exact", "answer_exact", "target_exact")
"""Metrics that are told group by group."""
WHAT = {
    "differences": "Differences of quality",
    "rankings": "Rankings",
    "thoughts": "States of the think tokens",
    "decoded thoughts": "Decoded thoughts word by word",
    "embeddings and thoughts": "Likeness of embeddings and thoughts",
    "attention maps": "Attention maps",
    **TITLES,
}
"""Parts that may be refused, in plain words."""
LIKENESS = ("", "neighbours kept", "by chance", "p", "CKA", "by chance", "p", "unexplained", "by chance")
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
    return table_html(head, rows, numbers=(2, 3, 4, 6))


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
        rows.append([title, *_estimates(values, found, metric.name), *_difference(found, metric.name)])
    if not rows:
        why = "no right document is known or could be read, and no text of theirs can be held against an answer of the data."
        return f'<p class="cp-soft">There is nothing to measure quality by: {why}</p>'
    names = [escape(comparison.sides[side].name) for side in (pair.reference, pair.other)]
    head = ["", *names, "difference", "samples", f"samples where {names[1]} is higher", "lower"]
    about = (
        "In brackets 95% intervals; those of the difference are of the same samples under both (paired bootstrap), so they can "
        "be far narrower than the others. An interval of the difference without 0 in it is a difference beyond chance. "
        f"{_FEW_TOLD}"
    )
    return f'<p class="cp-soft">{about}</p>{table_html(head, rows, numbers=range(1, 7))}'


def groups_html(comparison: Comparison, pair: PairComparison) -> str:
    """Quality of each group of samples, a table for each metric that both have."""
    names = [escape(comparison.sides[side].name) for side in (pair.reference, pair.other)]
    head = [escape(comparison.grouped_by), *names, "difference", "samples", f"{names[1]} is higher at", "lower"]
    tables = []
    for metric in (one.metric for one in pair.differences if one.metric in _GROUPED):
        rows = []
        for group in pair.groups:
            values = next((one.values for one in group.metrics if one.name == metric), None)
            found = next((one for one in group.differences if one.metric == metric), None)
            if values is not None:
                told = _estimates(values, found, metric)
                change, n, *sides = _difference(found, metric)
                # A column of its own for the few groups of which a row could not be read would not fit beside the others.
                read = f"{group.n:,}" if found is None or found.change.n == group.n else f"{n} of {group.n:,}"
                rows.append([escape(group.name), *told, change, read, *sides])
        if rows:
            # The first stands open; further ones would push what follows out of sight.
            mark = "" if tables else " open"
            table = table_html(head, rows, numbers=range(1, 7))
            tables.append(f"<details{mark}><summary>{escape(TITLES[metric])}</summary>{table}</details>")
    if not tables:
        return ""
    about = (
        "The same for the samples of each kind alone. Among many intervals some leave out 0 by chance: one in twenty of "
        f"differences that are none. {_FEW_TOLD}"
    )
    return f'<p class="cp-soft">{about}</p>{"".join(tables)}'


def likeness_html(pair: PairComparison) -> str:
    """How alike embeddings and thoughts are, neighbours first."""
    if not pair.likeness:
        return ""
    first = pair.likeness[0]
    rows = [[escape(_space(one)), *likeness_cells(one)] for one in pair.likeness]
    about = (
        f"Read the first column first: the share of a sample's {first.neighbours} nearest neighbours that are the same under both "
        f"checkpoints, measured on {first.n:,} samples. CKA (debiased, linear) compares the whole spread and is decided by few "
        "strong directions. Unexplained is what is left when one space is turned, scaled and shifted onto the other "
        "(Procrustes): less is more alike. Each stands beside what it reads when samples are shuffled; p is of that shuffle, for "
        "each row by itself."
    )
    if pair.matched == "likeness":
        about += (
            " Pairs of think tokens were chosen by their neighbours, and the best of many reads high by chance too; so theirs is "
            "the chance of a best match: the tokens are matched anew in each shuffle."
        )
    return f'<p class="cp-soft">{about}</p>{table_html(LIKENESS, rows, numbers=range(1, 9))}'


def likeness_cells(one: Likeness) -> list[str]:
    """The figures of a row under the head `LIKENESS`, whose first cell is its name."""
    return [
        _first_figure(one.overlap),
        f"{one.overlap_chance:.2f}",
        p_value(one.overlap_p),
        two_decimals(one.cka),
        two_decimals(one.cka_chance),
        p_value(one.cka_p),
        f"{one.residual:.2f}",
        f"{one.residual_chance:.2f}",
    ]


def agreement_html(pair: PairComparison) -> str:
    """How far the rankings of candidates agree."""
    if not pair.agreements:
        return ""
    rows = [[escape(one.name), _estimate(one.value, ""), escape(one.about)] for one in pair.agreements]
    return table_html(["", f"mean over {pair.agreements[0].value.n:,} samples", ""], rows, numbers=(1,))


def looks_html(pair: PairComparison) -> str:
    """Whether both look at the same places of an image."""
    if not pair.looks:
        return ""
    rows = [
        [
            escape(_token(one.think)),
            _first_figure(one.agreement),
            _chance(one),
            "" if one.p is None else p_value(one.p),
        ]
        for one in pair.looks
    ]
    about = (
        f"Rank correlation (Spearman) of both checkpoints' attention on the patches of the same image, mean over "
        f"{pair.looks[0].n:,} samples; 1 is the same order of patches. By chance: the same with the other checkpoint's map of "
        "another image. What is there already is what both do on any image, such as looking at its middle; only what is above "
        "it is looking at the same things."
    )
    if 0 < pair.looks[0].chance_n < pair.looks[0].n:
        about += (
            f" Chance and p are of the {pair.looks[0].chance_n:,} samples whose image is cut like another one; how far these alone "
            "agree stands beside them."
        )
    head = ["", "same places", "by chance", "p"]
    return f'<p class="cp-soft">{about}</p>{table_html(head, rows, numbers=(1, 2, 3))}'


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


def remarks_html(comparison: Comparison) -> str:
    """Which checkpoints are not in the comparison, and its notes."""
    absent = (f"'{one.what}' was not compared. {one.why}" for one in comparison.refused)
    return notes_html((*absent, *comparison.notes))


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


def _chance(one: Look) -> str:
    if one.chance is None or one.chance_agreement is None:
        return "<small>not defined</small>"
    beside = (
        "" if one.chance_n == one.n else f" <small>where they agree at {two_decimals(one.chance_agreement)}</small>"
    )
    return f"{two_decimals(one.chance)}{beside}"


def _estimate(found: Estimate | None, metric: str) -> str:
    if found is None:
        return "<small>not defined</small>"
    return f"{_value(found.value, metric)} ({_value(found.low, metric)} to {_value(found.high, metric)})"


def _estimates(values: Sequence[Estimate | None], found: Difference | None, metric: str) -> list[str]:
    """Values of one row; each says of how many samples it is, where these are not the same for all of the row."""
    numbers = {one.n for one in values if one is not None} | ({found.change.n} if found is not None else set())
    told = [_estimate(one, metric) for one in values]
    if found is not None and len(numbers) == 1:
        return told
    return [f"{text} <small>of {one.n:,}</small>" if one else text for text, one in zip(told, values, strict=True)]


def _difference(found: Difference | None, metric: str) -> list[str]:
    if found is None:
        return ["<small>not compared</small>", "", "", ""]
    change = found.change
    unsure = change.n < FEW or change.low <= 0 <= change.high
    beyond = "" if unsure else "cp-up" if change.value > 0 else "cp-down"
    shown = _value(change.value, metric, sign=True)
    ends = f"({_value(change.low, metric, sign=True)} to {_value(change.high, metric, sign=True)})".replace(
        " points", ""
    )
    told = f'<span class="{beyond}">{shown}</span> {ends}'
    return [told, f"{change.n:,}", f"{found.higher:,}", f"{found.lower:,}"]


def _value(value: float, metric: str, *, sign: bool = False) -> str:
    if metric in ("hit_at_1", "thought_exact", "answer_exact", "target_exact"):
        return f"{value * 100:{'+' if sign else ''}.1f}{' points' if sign else '%'}"
    return f"{value:{'+' if sign else ''}.3f}"


def p_value(value: float) -> str:
    """As tables show it."""
    return f"{value:.3f}"


def _first_figure(found: Estimate) -> str:
    """The figure of a row that is to be read first."""
    return f"<b>{two_decimals(found.value)}</b> ({two_decimals(found.low)} to {two_decimals(found.high)})"


def two_decimals(value: float) -> str:
    """Two decimals, and no minus before a 0."""
    return f"{value:z.2f}"


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int]) -> str:
    """A table; cells are HTML already, `numbers` the columns that hold figures."""

    def cell(place: int, text: str) -> str:
        return f'<td class="cp-number">{text}</td>' if place in numbers else f"<td>{text}</td>"

    body = "".join(f"<tr>{''.join(cell(place, text) for place, text in enumerate(row))}</tr>" for row in rows)
    # A long name may break, but not after every word: the row of names would become a tower.
    top = "".join(f'<th class="cp-named">{name}</th>' if len(name) > _LONG else f"<th>{name}</th>" for name in head)
    return f'<div class="cp-wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
