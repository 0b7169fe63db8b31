"""A comparison as one HTML file: pictures inside, no script, nothing fetched. What slides and sorts does so by CSS alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from workbench.comparison import Change, Comparison, PairComparison, SampleView, Standing
from workbench.render import comparison_layers as layers
from workbench.render import comparison_maps as maps
from workbench.render import comparison_parts as parts
from workbench.render.html import escape, png_uri, thumbnail
from workbench.render.static import read_static

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser itself refuses scripts and the network, should anything ever slip through the escaping."""
_LISTED = 50
_RIGHT = ' <span class="cp-right">the right one</span>'
_STYLE = """
:root{color-scheme:light dark}
body{margin:0 auto;max-width:76em;padding:1.2em;font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff}
h1{font-size:1.5em;margin:.2em 0}h2{font-size:1.25em;margin:1.6em 0 .3em}h3{font-size:1.05em;margin:1.2em 0 .3em!important}
summary{cursor:pointer;padding:.35em 0;overflow-wrap:anywhere}
details.cp-sample{border:1px solid var(--cp-line);border-radius:10px;padding:.3em 1em;margin:.6em 0}
details.cp-sample:target{outline:2px solid var(--cp-accent)}
a{color:var(--cp-accent)}
.cp-shown{display:flex;flex-wrap:wrap;gap:.6em;margin:.5em 0}.cp-shown img{max-height:13em;max-width:100%;border-radius:.3em}
.cp-tabs>input{position:absolute;opacity:0}
.cp-tabs>label{display:inline-block;padding:.25em .8em;margin:0 .3em .5em 0;border:1px solid var(--cp-line);border-radius:2em;cursor:pointer;font-size:.9em}
.cp-tabs>div{display:none}
.cp-tabs>input:checked+label{border-color:var(--cp-accent);box-shadow:0 0 0 1px var(--cp-accent) inset}
.cp-tabs>input:focus-visible+label{outline:2px solid var(--cp-accent)}
.cp-tabs>input:nth-of-type(1):checked~div:nth-of-type(1),.cp-tabs>input:nth-of-type(2):checked~div:nth-of-type(2),
.cp-tabs>input:nth-of-type(3):checked~div:nth-of-type(3){display:block}
.cp .cp-long{max-height:24em;overflow:auto}
.cp-slides{display:flex;flex-wrap:wrap;gap:12px}
.cp-slide{position:relative}
.cp-slide>.cp-over{position:absolute;inset:0 auto 0 0;width:50%;min-width:16px;max-width:100%;overflow:hidden;resize:horizontal;
border-right:2px solid #fff;box-shadow:1px 0 0 #000}
@media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#14171a}
.cp{--cp-soft:#a3b0c2;--cp-line:#3d444d;--cp-gone:#5c2a22;--cp-new:#14472f;--cp-up:#7fd3a4;--cp-down:#f5a99b;--cp-accent:#7aa7ff;--cp-paper:#14171a}}
""".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """A sample that the report shows in full, with its pictures decoded."""

    view: SampleView
    pictures: tuple[Image.Image, ...]


def comparison_html(comparison: Comparison, shown: Sequence[ShownSample]) -> str:
    """Make the whole document.

    Args:
        comparison: everything but single samples.
        shown: samples in full, the first of each pair opened; of the others the report lists what changed.
    """
    source = comparison.source
    names = " and ".join(side.name for side in comparison.sides)
    title = f"Thinkscope: {names} compared"
    about = f"{source.title}, split {source.split}: {source.n:,} samples, {source.n_candidates:,} candidates."
    body = [_pair(comparison, number, shown) for number in range(len(comparison.pairs))]
    looks = "".join(_background(one) for one in _once(shown))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{parts.style('.dark')}\n{read_static('fade.css')}\n{_STYLE}\n{looks}</style></head>"
        f'<body class="cp"><header><h1>{escape(names)}</h1><p class="cp-soft">{escape(about)}</p>'
        f"{parts.sides_html(comparison)}{parts.remarks_html(comparison)}</header>"
        f"{''.join(body)}{_origin(comparison)}</body></html>\n"
    )


def _pair(comparison: Comparison, number: int, shown: Sequence[ShownSample]) -> str:
    pair = comparison.pairs[number]
    names = comparison.sides[pair.reference].name, comparison.sides[pair.other].name
    mine = [one for one in shown if one.view.pair == number]
    sections = (
        ("Not compared", parts.refused_html(pair)),
        ("Quality", parts.quality_html(comparison, pair)),
        (f"Quality by {comparison.grouped_by}", parts.groups_html(comparison, pair)),
        ("Samples that changed most", _changed(comparison, number, {one.view.sample for one in mine})),
        ("Samples side by side", _samples(comparison, pair, names, mine)),
        ("How alike they are", parts.likeness_html(pair)),
        ("Do they rank alike?", parts.agreement_html(pair)),
        ("Do they look at the same places?", parts.looks_html(pair)),
        ("Layers and think tokens", layers.grids_html(pair, names)),
    )
    body = "".join(f"<h3>{escape(title)}</h3>{part}" for title, part in sections if part)
    return f"<section><h2>{escape(names[1])} against {escape(names[0])}</h2>{body}</section>"


def _changed(comparison: Comparison, number: int, full: set[int]) -> str:
    pair = comparison.pairs[number]
    lists = changed_lists(pair)
    tabs, bodies = [], []
    for place, (title, changes) in enumerate(lists):
        name = f"p{number}t{place}"
        chosen = " checked" if place == 0 else ""
        tabs.append(
            f'<input type="radio" name="p{number}" id="{name}"{chosen}><label for="{name}">{title} ({len(changes):,})</label>'
        )
        more = f'<p class="cp-soft">The first {_LISTED} of {len(changes):,}.</p>' if len(changes) > _LISTED else ""
        rows = "".join(_change(comparison, number, change, full) for change in changes[:_LISTED])
        words = "<th>words changed</th>" if _has_words(pair) else ""
        head = f"<tr><th>sample</th><th>question</th><th>rank</th><th></th>{words}<th>neighbours changed</th></tr>"
        table = f'<div class="cp-long cp-wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
        bodies.append(f"<div>{more}{table if changes else '<p class=cp-soft>None.</p>'}</div>")
    about = (
        "Ranks are of the right document. Samples with a link are shown in full below; the page Compare of "
        "thinkscope app opens every one of them."
    )
    # Labels first, so that the boxes behind them can be chosen by a rule.
    return f'<p class="cp-soft">{about}</p><div class="cp-tabs">{"".join(tabs)}{"".join(bodies)}</div>'


def changed_lists(pair: PairComparison) -> tuple[tuple[str, list[Change]], ...]:
    """Samples whose right document fell, or rose, and those whose thought changed, each the most changed first.

    The last list is left out where the words of thoughts are not compared.
    """
    fell = sorted((one for one in pair.changes if (one.gained or 0) < 0), key=lambda one: one.gained or 0)
    rose = sorted((one for one in pair.changes if (one.gained or 0) > 0), key=lambda one: -(one.gained or 0))
    said = sorted((one for one in pair.changes if one.words), key=lambda one: -(one.words or 0))
    ranks = (("Rank lost", fell), ("Rank gained", rose))
    return (*ranks, ("Thought changed", said)) if _has_words(pair) else ranks


def _has_words(pair: PairComparison) -> bool:
    return any(one.words is not None for one in pair.changes)


def _change(comparison: Comparison, number: int, change: Change, full: set[int]) -> str:
    sample = comparison.samples[change.sample]
    name = escape(sample.id)
    if change.sample in full:
        name = f'<a href="#{_anchor(number, change.sample)}">{name}</a>'
    ranks = "" if change.rank_other is None else f"{change.rank_reference:,} → {change.rank_other:,}"
    words = f'<td class="cp-number">{_share(change.words)}</td>' if _has_words(comparison.pairs[number]) else ""
    return (
        f'<tr><td class="cp-id">{name}</td><td>{escape(sample.text)}</td><td class="cp-number">{ranks}</td>'
        f"<td>{parts.arrow_html(change.rank_reference, change.rank_other)}</td>"
        f'{words}<td class="cp-number">{_share(change.neighbours)}</td></tr>'
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _anchor(pair: int, sample: int) -> str:
    return f"p{pair}s{sample}"


def _samples(comparison: Comparison, pair: PairComparison, names: tuple[str, str], shown: Sequence[ShownSample]) -> str:
    if not shown:
        return ""
    told = f"{len(shown):,} of {len(pair.changes):,} samples in full: the first, and those that changed most."
    if any(one.view.images and not one.view.apart for one in shown):
        told += " Drag the lower right corner of a picture's left half to slide from one checkpoint to the other."
    about = f'<p class="cp-soft">{told}</p>'
    return about + "".join(_sample(comparison, one, names, is_open=place == 0) for place, one in enumerate(shown))


def _sample(comparison: Comparison, one: ShownSample, names: tuple[str, str], *, is_open: bool) -> str:
    view = one.view
    sample = comparison.samples[view.sample]
    pictures = "".join(f'<img src="{png_uri(thumbnail(picture))}" alt="">' for picture in one.pictures)
    body = [
        f'<div class="cp-shown">{pictures}</div>' if pictures else "",
        f'<p class="cp-soft">Right answer: {escape(sample.answer)}</p>' if sample.answer else "",
        _thoughts(comparison, view, names),
        _standings(view.standings, names),
        maps.maps_html(view, names),
    ]
    return (
        f'<details class="cp-sample" id="{_anchor(view.pair, view.sample)}"{" open" if is_open else ""}>'
        f"<summary><b>{escape(sample.id)}</b> {escape(sample.text)}</summary>{''.join(body)}</details>"
    )


def _thoughts(comparison: Comparison, view: SampleView, names: tuple[str, str]) -> str:
    pair, sample = comparison.pairs[view.pair], comparison.samples[view.sample]
    texts = [sample.thoughts[side] for side in (pair.reference, pair.other)]
    if not any(text is not None for text in texts):
        return ""
    columns = []
    writes = [comparison.sides[side].writes for side in (pair.reference, pair.other)]
    for name, kind, text, other, tag in zip(names, writes, texts, ("new", "gone"), ("del", "ins"), strict=True):
        if text is None:
            said = '<p class="cp-soft">Writes no text.</p>'
        elif view.diff:
            kept = [piece for piece in view.diff if piece.kind != other]
            words = (
                escape(piece.text) if piece.kind == "same" else f"<{tag}>{escape(piece.text)}</{tag}>" for piece in kept
            )
            said = f'<p class="cp-text">{" ".join(words)}</p>'
        else:
            said = f'<p class="cp-text">{escape(text) or "(no words)"}</p>'
        what = "" if text is None else f" <small>writes {escape(parts.WRITES[kind])}</small>"
        columns.append(f'<div><p class="cp-side">{escape(name)}{what}</p>{said}</div>')
    return f'<h4>What they wrote</h4><div class="cp-two">{"".join(columns)}</div>'


def _standings(standings: Sequence[Standing], names: tuple[str, str]) -> str:
    if not standings:
        return ""
    rows = "".join(
        f"<tr><td>{escape(one.text)}{_RIGHT if one.is_target else ''}</td>"
        f'<td class="cp-number">{one.rank_reference:,} <small>{one.score_reference:.3f}</small></td>'
        f'<td class="cp-number">{one.rank_other:,} <small>{one.score_other:.3f}</small></td>'
        f"<td>{parts.arrow_html(one.rank_reference, one.rank_other)}</td></tr>"
        for one in standings
    )
    head = f"<tr><th>candidate</th><th>rank, cosine: {escape(names[0])}</th><th>{escape(names[1])}</th><th></th></tr>"
    return f'<h4>Candidates</h4><div class="cp-wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _background(one: ShownSample) -> str:
    return "".join(
        f".i{maps.look(one.view, number)}{{background-image:url({png_uri(thumbnail(picture))})}}\n"
        for number, picture in enumerate(one.pictures)
    )


def _once(shown: Sequence[ShownSample]) -> list[ShownSample]:
    return list({one.view.sample: one for one in shown}.values())


def _origin(comparison: Comparison) -> str:
    rows = [
        f"<tr><th>{escape(side.name)}</th><td>{escape(side.provenance.checkpoint)}</td>"
        f"<td>{escape(side.provenance.weights_sha256)}</td></tr>"
        for side in comparison.sides
    ]
    data = (
        f"<tr><th>data</th><td>{escape(comparison.source.data)}</td><td>{escape(comparison.source.revision)}</td></tr>"
    )
    head = (
        "<tr><th></th><th>name of the folder, or data</th><th>content (SHA-256 of weights, revision of data)</th></tr>"
    )
    return (
        f'<section><h2>Where these numbers come from</h2><div class="cp-wide"><table><thead>{head}</thead>'
        f"<tbody>{''.join(rows)}{data}</tbody></table></div></section>"
    )
