"""The figures of an audit as HTML fragments, for the report and the page: no script, every text escaped.

They take their ink from the page around them and use the classes of `render/static/comparison.css` and `audit.css`.
"""

from collections.abc import Sequence

import numpy as np

from workbench.audit import MEASURES, Audit, EditFigures, Geometry, about_measures
from workbench.comparison import Estimate
from workbench.render import svg
from workbench.render.comparison_parts import style as comparison_style
from workbench.render.html import escape
from workbench.render.static import read_static
from workbench.render.values import Series

KINDS = {
    "used": "The thoughts are used",
    "decorative": "The thoughts are decoration",
    "one_token": "One thought does it all",
    "task_dependent": "It depends on the task",
    "image_blind": "The thoughts do not see the image",
    "collapsed": "The thoughts have collapsed",
    "decoder_guesses": "The decoder guesses",
    "partly": "The thoughts are used in part",
    "inconclusive": "Nothing can be said",
}
"""Verdicts in plain words."""
TITLES = {
    "none": "nothing",
    "hide": "hidden",
    "zero": "zero",
    "mean": "the mean thought",
    "noise": "noise",
    "dummy": "another learned token",
    "swap-random": "another sample's (random)",
    "swap-nearest": "another sample's (nearest)",
    "swap-image": "same query, another image",
    "shuffle": "each another sample's",
    "reorder": "moved on by one place",
    "first-repeated": "the first one, repeated",
    "format-only": "think tokens that see nothing",
    "keep-only": "all others the mean",
    "control": "control: other positions hidden",
}
_SINGLES = ("hide", "zero", "mean", "noise", "dummy", "swap-random", "swap-nearest", "keep-only")
_RANKS = ("hit_at_1", "hit_change", "ndcg_change", "rank_change", "margin_change")
_TEXTS = ("embedding_change", "log_probability_change", "text_kept", "words_changed", "fluency", "toward", "follows")
_HEADS = {
    "hit_at_1": "Hit@1",
    "hit_change": "change",
    "ndcg_change": "nDCG@10, change",
    "rank_change": "rank, change",
    "margin_change": "margin, change",
    "embedding_change": "1 - cosine",
    "log_probability_change": "own text, nats per token",
    "text_kept": "text stays",
    "words_changed": "words changed",
    "fluency": "fluency, nats per token",
    "toward": "toward the other",
    "follows": "text follows the other",
}


def style(dark: str = ".dark &") -> str:
    """The sheet; `dark` as in `comparison_parts.style`."""
    return f"{comparison_style(dark)}\n{read_static('audit.css').replace('.dark &', dark)}"


def verdict_html(audit: Audit) -> str:
    """The verdict, its strength, and what it rests on."""
    verdict = audit.verdict
    evidence = "".join(f"<li>{escape(one)}</li>" for one in verdict.evidence)
    also = "".join(f"<li>Also: {escape(KINDS[kind])}.</li>" for kind in verdict.also)
    return (
        f'<div class="au-verdict au-{verdict.kind}"><p class="au-kind">{escape(KINDS[verdict.kind])}'
        f'<span>evidence: {verdict.strength}</span></p><p class="au-sentence">{escape(verdict.sentence)}</p>'
        f"<ul>{evidence}{also}</ul></div>"
    )


def whole_html(audit: Audit) -> str:
    """What edits of all thoughts do to rankings and texts."""
    chosen = [one for one in audit.edits if one.thought is None and one.kind not in ("block", "patch", "none")]
    return edit_table([*(one for one in audit.edits if one.kind == "none"), *chosen])


def blocks_html(audit: Audit) -> str:
    """What cut attention does."""
    return edit_table([one for one in audit.edits if one.kind == "block"], about=True)


def patches_html(audit: Audit) -> str:
    """What the other sample's thoughts do after one layer alone."""
    return edit_table([one for one in audit.edits if one.kind == "patch"])


def edit_table(edits: Sequence[EditFigures], *, about: bool = False) -> str:
    """A row for each edit, a column for each measure that one of them has."""
    names = [name for name in (*_RANKS, *_TEXTS) if any(name in one.measures for one in edits)]
    if not names:
        return ""
    rows = [
        [
            f'<span title="{escape(one.about)}">{escape(one.about if about else _title(one))}</span>',
            *(
                figure(one.measures.get(name), sign=name.endswith("change") and name != "embedding_change")
                for name in names
            ),
        ]
        for one in edits
    ]
    return _table(["thoughts are", *(_headed(name) for name in names)], rows)


def singles_html(audit: Audit) -> str:
    """Hit@1 when a single thought is edited, or all but one."""
    n_think = audit.checkpoint.n_think
    chart = _chart(audit, n_think)
    rows = []
    for kind in _SINGLES:
        found = [audit.edit(f"{kind}.{k + 1}") for k in range(n_think)]
        if any(one is not None and "hit_change" in one.measures for one in found):
            cells = [figure(None if one is None else one.measures.get("hit_change"), sign=True) for one in found]
            rows.append([escape(TITLES[kind]), *cells])
    if not rows:
        return ""
    head = ["change of Hit@1 when thought", *(str(k + 1) for k in range(n_think))]
    return f'<div class="au-chart">{chart}</div>{_table(head, rows)}'


def _chart(audit: Audit, n_think: int) -> str:
    kinds = [kind for kind in ("hide", "mean", "swap-random", "keep-only") if audit.edit(f"{kind}.1")]

    def lost(kind: str, k: int) -> float:
        one = audit.edit(f"{kind}.{k}")
        found = one.measures.get("hit_change") if one is not None else None
        return -found.value if found is not None else float("nan")

    values = np.array([[lost(kind, k + 1) for k in range(n_think)] for kind in kinds])
    found = Series(
        names=tuple(TITLES[kind] for kind in kinds), x=tuple(str(k + 1) for k in range(n_think)), values=values
    )
    return svg.bars(found, units="Hit@1 lost", x="thought that is edited")


def budget_html(audit: Audit) -> str:
    """Hit@1 against the number of thoughts seen, and the adaptive policies."""
    budget = audit.budget
    if budget is None or not budget.hit_at_1:
        return ""
    steps = tuple(str(k) for k in range(len(budget.hit_at_1)))
    # A task may be called "all" too.
    curves = [("all", budget.hit_at_1), *((one.task, one.curve) for one in audit.tasks)]
    values = np.array([[one.value for one in some] for _, some in curves])
    names = tuple(name for name, _ in curves)
    chart = svg.lines(Series(names=names, x=steps, values=values), units="Hit@1", x="thoughts seen")
    few = "Not even with one thought fewer is Hit@1 sure to be within 0.01 of that of all."
    if budget.enough is not None:
        few = f"With {budget.enough} thoughts Hit@1 is, with its paired interval, within 0.01 below that of all."
    table = _table(
        ["thoughts seen", *steps],
        [[escape(name), *(figure(one) for one in some)] for name, some in curves],
    )
    return f'<div class="au-chart">{chart}</div><p>{few}</p>{table}{_policies(audit)}'


def _policies(audit: Audit) -> str:
    assert audit.budget is not None
    if not audit.budget.policies:
        return ""
    n_think = audit.checkpoint.n_think
    rows = [
        [
            f"{one.tolerance:.0%}",
            " / ".join(f"{at:.4f}" if at <= 1 else "never" for at in one.thresholds),
            figure(one.hit_at_1),
            figure(one.hit_change, sign=True),
            figure(one.thoughts),
            f"{1 - one.thoughts.value / n_think:.0%}",
        ]
        for one in audit.budget.policies
    ]
    chosen = (
        f"{audit.budget.n_fitted:,} samples of the split {escape(audit.budget.fitted_on)}, where it may lose this much Hit@1, and "
        "measured on the audited ones."
        if audit.budget.fitted_on
        else "one half of the samples, where it may lose this much Hit@1, and measured on the other half; both ways."
    )
    about = f"Stop at the first thought whose embedding agrees with the next one's to the threshold, which is chosen on {chosen}"
    head = ["may lose", "threshold, cosine", "Hit@1", "change", "thoughts taken", "saved"]
    points = [
        ["never stops" if one.quantile == 1 else f"{one.quantile:.0%}", figure(one.thoughts), figure(one.hit_at_1)]
        for one in audit.budget.points
    ]
    more = _table(["threshold, quantile of the cosines", "thoughts taken", "Hit@1"], points)
    drawn = {
        "the same number for every sample": [(k, one.value) for k, one in enumerate(audit.budget.hit_at_1)],
        "adaptive, as the threshold rises": [(one.thoughts.value, one.hit_at_1.value) for one in audit.budget.points],
    }
    chart = svg.curves(drawn, units="Hit@1", x="thoughts taken, mean over samples")
    return (
        f"<h4>Adaptive budget</h4><p class='cp-soft'>{about}</p>{_table(head, rows)}"
        "<p class='cp-soft'>Adaptive stopping pays where its line lies above the other's.</p>"
        f'<div class="au-chart">{chart}</div><details><summary>The points of the line, with intervals</summary>{more}</details>'
    )


def tasks_html(audit: Audit) -> str:
    """Shares lost by task."""
    if not audit.tasks:
        return ""
    names = [name for name in ("mean.all", "swap-random.all", "swap-image.all", "hide.all") if name in audit.shares]
    rows = [
        [escape(one.task), f"{one.n:,}", figure(one.hit_at_1), *(figure(one.shares.get(name)) for name in names)]
        for one in audit.tasks
    ]
    head = ["task", "samples", "Hit@1", *(f"lost: {escape(TITLES[name.removesuffix('.all')])}" for name in names)]
    return _table(head, rows)


def measures_html(audit: Audit) -> str:
    """Figures of no single edit, each with what it is."""
    about = about_measures(audit.checkpoint.tells)
    rows = [
        [f"{escape(name)}<br><small>{escape(about.get(name, ''))}</small>", figure(one), f"{one.n:,}"]
        for name, one in audit.measures.items()
    ]
    return _table(["measure", "value", "samples"], rows)


def geometry_html(audit: Audit) -> str:
    """How thoughts lie, layer by layer."""
    rows = [
        [
            str(one.layer),
            figure(one.spread),
            figure(one.cosine_samples),
            figure(one.cosine_positions),
            figure(one.effective_rank),
            *(figure(found) for found in _by(one)),
        ]
        for one in audit.geometry
    ]
    head = ["layer", "varies over samples", "cosine, samples", "cosine, positions", "effective rank"]
    return _table([*head, "by query", "by image", "by position", "by both"], rows)


def _by(one: Geometry) -> tuple[Estimate | None, ...]:
    return one.by_query, one.by_image, one.by_position, one.by_both


def not_tested_html(audit: Audit) -> str:
    """What could not be answered, with the reason."""
    rows = "".join(f"<li><b>{escape(one.what)}</b>: {escape(one.why)}</li>" for one in audit.not_tested)
    return f'<ul class="cp-notes">{rows}</ul>' if rows else ""


def origin_html(audit: Audit) -> str:
    """How to make it again, and from what."""
    origin = audit.checkpoint.provenance
    rows = [
        ["command", f"<code>{escape(audit.command)}</code>"],
        ["seed", str(audit.seed)],
        ["checkpoint, SHA-256", f"<code>{escape(origin.checkpoint_sha256)}</code>"],
        ["weights, SHA-256", f"<code>{escape(origin.weights_sha256)}</code>"],
        ["data, revision", f"<code>{escape(audit.source.revision)}</code>"],
        ["numbers", escape(f"{origin.dtype} on {origin.device}")],
        ["versions", escape(", ".join(f"{name} {at}" for name, at in origin.versions.items()))],
        ["thresholds", escape(", ".join(f"{name} {at:g}" for name, at in audit.thresholds.items()))],
    ]
    return _table(["", ""], rows)


def figure(found: Estimate | None, *, sign: bool = False) -> str:
    """A mean with its 95% interval."""
    if found is None:
        return "<small>-</small>"
    plus = "+" if sign else ""
    return f"{found.value:{plus}z.3f}<br><small>{found.low:{plus}z.3f} to {found.high:{plus}z.3f}</small>"


def _title(one: EditFigures) -> str:
    return f"set after layer {one.layer}" if one.kind == "patch" else TITLES.get(one.kind, one.name)


def _headed(name: str) -> str:
    return f'<span title="{escape(MEASURES[name])}">{escape(_HEADS[name])}</span>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already; the first of a row says what it is of."""
    body = "".join(
        f"<tr><td>{row[0]}</td>{''.join(f'<td class=cp-number>{cell}</td>' for cell in row[1:])}</tr>" for row in rows
    )
    top = "".join(f"<th>{name}</th>" for name in head)
    return f'<div class="cp-wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
