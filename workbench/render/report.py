"""One self-contained HTML file of an inspection: pictures inside, no script, nothing fetched from anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from workbench.render.html import STYLE, checks_html, escape, panel_html, png_uri, thumbnail
from workbench.types import ProbeResult, Provenance
from workbench.views import Panel

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser itself refuses scripts and the network, should anything ever slip through the escaping."""

_PAGE_STYLE = """
:root{color-scheme:light dark}
body{margin:0 auto;max-width:62em;padding:1.2em;font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff}
h1{font-size:1.5em}h2{font-size:1.2em;margin:1.8em 0 .4em}
header img{max-height:16em;max-width:100%;border-radius:.3em;margin-right:.5em}
blockquote{margin:.6em 0;padding-left:.8em;border-left:.25em solid #8884;white-space:pre-wrap;overflow-wrap:anywhere}
section>*{margin:.8em 0}summary{cursor:pointer}
@media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#14171a}
.ts{--ts-soft:#9aa4af;--ts-line:#3d444d;--ts-warn:#d8a53a}}
""".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One probe's part of a report."""

    title: str
    panels: tuple[Panel, ...]
    result: ProbeResult
    about: str = ""
    """A sentence or two under the title, in plain words."""


def report_html(
    title: str,
    sections: Sequence[Section],
    provenance: Provenance,
    *,
    query: str = "",
    images: Sequence[Image.Image] = (),
    facts: Mapping[str, str] | None = None,
) -> str:
    """Make the whole document.

    Args:
        title: heading of the page.
        sections: what was measured, in order.
        provenance: of the model, shown at the end with each section's parameters.
        query: the text that was asked, shown as it is.
        images: the sample's pictures, in its order; overlays lie on them.
        facts: further named facts for the head (candidates found, quality of the checkpoint).
    """
    pictures = "".join(
        f'<img src="{png_uri(thumbnail(image, 384))}" alt="image {i}">' for i, image in enumerate(images, start=1)
    )
    asked = f"<blockquote>{escape(query)}</blockquote>" if query else ""
    body = "".join(_section(section, images) for section in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}\n{_PAGE_STYLE}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>{pictures}{asked}{_facts(facts or {})}</header>"
        f"{body}{_origin(provenance, sections)}</body></html>\n"
    )


def _section(section: Section, images: Sequence[Image.Image]) -> str:
    about = f"<p>{escape(section.about)}</p>" if section.about else ""
    panels = "".join(panel_html(panel, section.result, images) for panel in section.panels)
    checks = checks_html(section.result)
    checks = f"<details><summary>Checks</summary>{checks}</details>" if checks else ""
    return f"<section><h2>{escape(section.title)}</h2>{about}{panels}{checks}</section>"


def _facts(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f'<div class="ts ts-wide"><table>{rows}</table></div>'


def _origin(provenance: Provenance, sections: Sequence[Section]) -> str:
    facts = {
        "checkpoint": provenance.checkpoint,
        "weights (SHA-256)": provenance.weights_sha256,
        "family": provenance.family,
        "format": provenance.format,
        "numbers": f"{provenance.dtype} on {provenance.device}",
        "seed": "none" if provenance.seed is None else str(provenance.seed),
        "image processor": _listed(provenance.processor),
        "data": provenance.data_revision or "none",
        "versions": _listed(provenance.versions),
    }
    for section in sections:
        facts[f"probe {section.result.probe}, version {section.result.version}"] = _listed(section.result.parameters)
    return f"<section><h2>Where these numbers come from</h2>{_facts(facts)}</section>"


def _listed(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items()) or "none"
