"""A map of latents as one HTML file: no server, nothing fetched, opens from disk and keeps what the page can do."""

import dataclasses
import html
import json
from collections.abc import Mapping
from typing import Any

from workbench.assets import read_vendored
from workbench.latent_map import LatentMap
from workbench.render.map_payload import describe_map, map_arrays, pack, sample_rows
from workbench.render.static import read_static

THUMBNAIL_BUDGET = 12 * 2**20
"""Bytes of JPEG that a file embeds; samples behind it come without their pictures, and the file says so."""

_FRAME = """
body{margin:0;background:#f4f6f9;font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
body.dark{background:#0b0f14;color-scheme:dark}
main{max-width:1560px;margin:0 auto;padding:20px}
@media (max-width:700px){main{padding:10px}}
"""
# Scripts of this file alone run (regl writes its own, hence eval), nothing is fetched, and pictures are those that it holds.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "worker-src blob:; base-uri 'none'; form-action 'none'"
)


def map_html(latent_map: LatentMap, *, thumbnail_budget: int = THUMBNAIL_BUDGET) -> str:
    """The file's text.

    Args:
        latent_map: what it shows; texts in it are shown as text, whatever they hold.
        thumbnail_budget: bytes of thumbnails that are embedded.
    """
    samples, note = _samples(latent_map, thumbnail_budget)
    shown = dataclasses.replace(latent_map, notes=(*latent_map.notes, note)) if note else latent_map
    texts = {column.name: column.values.tolist() for column in latent_map.columns if column.kind == "text"}
    title = html.escape(latent_map.title)
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_FRAME}{style()}</style></head>",
        '<body><main><div class="mp-root" data-testid="map"><p>The map needs JavaScript, which this viewer does not run.</p></div></main>',
        _data("map-head", describe_map(shown)),
        _data("map-arrays", pack(map_arrays(latent_map, neighbours=True))),
        _data("map-samples", {"samples": samples, "texts": texts}),
        f"<script>{engine()}</script>",
        f"<script>(() => {{\n{script()}\n{read_static('map_file.js')}\n}})();</script>",
        "</body></html>\n",
    ]
    return "\n".join(parts)


def engine() -> str:
    """The vendored script that paints points; sets the global `ReglScatterplot`."""
    return read_vendored("regl-scatterplot", "regl-scatterplot.js")


def script() -> str:
    """The component's own scripts, for the page and for a file."""
    return f"{read_static('elements.js')}\n{read_static('map')}"


def style(dark: str = ".dark") -> str:
    """The component's sheet; `dark` is how a dark page's ancestor is written, where the sheet itself is nested in one."""
    return read_static("map.css").replace(".dark &", dark)


def _samples(latent_map: LatentMap, budget: int) -> tuple[list[dict[str, Any]], str]:
    left, held, rows = budget, 0, []
    with_picture = sum(bool(sample.thumbnail) for sample in latent_map.samples)
    for sample in latent_map.samples:
        left -= len(sample.thumbnail)
        keep = bool(sample.thumbnail) and left >= 0
        held += keep
        rows.extend(sample_rows([sample], thumbnails=keep))
    if held == with_picture:
        return rows, ""
    return rows, (
        f"To keep this file small, it holds the pictures of {held:,} of {with_picture:,} samples "
        f"({budget / 2**20:.0f} MB); the page Map shows all of them."
    )


def _data(name: str, content: Mapping[str, Any]) -> str:
    # ASCII alone, and no "<" that could end the script or open a comment in it.
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'
