"""An audit as one HTML file: no script, nothing fetched."""

from workbench.audit import Audit
from workbench.render import audit_parts as parts
from workbench.render.comparison_parts import notes_html
from workbench.render.html import escape
from workbench.render.static import read_static

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser itself refuses scripts and the network, should anything ever slip through the escaping."""
_STYLE = """
:root{color-scheme:light dark}
body{margin:0 auto;max-width:80em;padding:1.2em;font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff}
h1{font-size:1.5em;margin:.2em 0}h3{font-size:1.15em;margin:1.6em 0 .3em!important}
@media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#14171a}
.cp{--cp-soft:#a3b0c2;--cp-line:#3d444d;--cp-up:#7fd3a4;--cp-down:#f5a99b;--cp-accent:#7aa7ff;--cp-paper:#14171a}}
""".strip()


def audit_html(audit: Audit) -> str:
    """Make the whole document."""
    source, side = audit.source, audit.checkpoint
    title = f"Thinkscope: audit of {side.name}"
    think = f"{side.n_think} think token{'' if side.n_think == 1 else 's'}"
    if side.tells == "target":
        think += " whose text tells the words of the target"
    about = (
        f"{side.title or side.name}, {think}, {side.n_layers} layers. {source.title}, split {source.split}: "
        f"{source.n:,} samples, {source.n_candidates:,} candidates."
    )
    body = "".join(
        f'<section><h3>{escape(name)}</h3><p class="cp-soft">{escape(said)}</p>{part}</section>'
        for name, said, part in sections(audit)
        if part
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{parts.style('.dark')}\n{read_static('fade.css')}\n{_STYLE}</style></head>"
        f'<body class="cp"><header><h1>Audit of {escape(side.name)}</h1><p class="cp-soft">{escape(about)}</p>'
        f"{parts.verdict_html(audit)}{notes_html(audit.notes)}</header>{body}</body></html>\n"
    )


def sections(audit: Audit) -> tuple[tuple[str, str, str], ...]:
    """Title, a sentence, and the figure of each section; no figure where there is nothing to show."""
    return (
        (
            "All thoughts edited",
            "What the ranking of the right candidate does when something else stands in the place of the thoughts. Means over "
            "the samples with 95% intervals, changes paired. Cosine is the least of it: ranks are what counts.",
            parts.whole_html(audit),
        ),
        (
            "Each thought by itself",
            "'Hidden' is the direct effect on the embedding; all else is seen by later thoughts too.",
            parts.singles_html(audit),
        ),
        ("How many thoughts are needed", "The embedding sees the first k thoughts alone.", parts.budget_html(audit)),
        (
            "By task",
            "Share of the Hit@1 above chance that is lost when this is put in the thoughts' place.",
            parts.tasks_html(audit),
        ),
        ("Attention cut", "Who may no longer see whom.", parts.blocks_html(audit)),
        (
            "Another sample's thoughts, one layer at a time",
            "The states are set after this layer alone; the layers behind go on from them.",
            parts.patches_html(audit),
        ),
        (
            "Decoded text and what a reader could find with it",
            "Each measure is explained below its name.",
            parts.measures_html(audit),
        ),
        (
            "How the thoughts lie",
            "After each layer; shares of variance are of pairs of samples whose queries and images were exchanged.",
            parts.geometry_html(audit),
        ),
        ("Not tested", "What this audit cannot answer, and why.", parts.not_tested_html(audit)),
        ("How to make it again", "The same command gives the same numbers.", parts.origin_html(audit)),
    )
