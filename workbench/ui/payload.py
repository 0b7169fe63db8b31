"""An inspection as the script on the page takes it: one JSON object of words, numbers and packed maps.

The script enters every string as text, so nothing is escaped here; `<` is written as an escape only so that no reader of
the raw value mistakes it for markup.
"""

import json
import math
from typing import Any

import numpy as np
from PIL import Image

from workbench.images import open_image
from workbench.inspection import Inspection, readings_of, thought_of
from workbench.probe import parameters, probe_of
from workbench.render.html import panel_html, thumbnail
from workbench.telling import about_text, name_of_text
from workbench.types import DecodedThought, ProbeResult
from workbench.ui.attributions import word_numbers
from workbench.ui.maps import REDUCTIONS, head_maps, pack, reduced_maps, sends_heads
from workbench.ui.pictures import data_uri
from workbench.ui.sentences import card_facts, control, metric_rows, stage_name, unwritten, warnings
from workbench.views import Heatmap, Note, Overlay, Panel, Words
from workbench.words import join_pieces, tell_token

CARD_WORDS = 3
LENS_WORDS = 5
SHOWN_CANDIDATES = 10
_DRAWN = {"attention": "attention_image_", "decode": "word_probability", "lens": "probability"}
"""Measures that the page draws itself, by how their names begin."""


def to_json(inspection: Inspection, key: str, *, candidates_from: str, attribution: dict[str, Any]) -> str:
    """Describe an inspection for the page.

    Args:
        inspection: what to show.
        key: id under which the shelf keeps it.
        candidates_from: ends the sentence "out of 240 texts ...", for example " of the Shapes world".
        attribution: the methods that are offered, as `attributions.offer` describes them.

    Raises:
        BadInput: when an image file of the sample has gone or changed.
    """
    trace, lens = inspection.trace, inspection.results.get("lens")
    pictures = [open_image(ref) for ref in inspection.sample.images]
    view = {
        "id": key,
        "layers": trace.attention.shape[0],
        "heads": trace.attention.shape[1],
        "warnings": warnings(inspection),
        "thought": _thought(inspection),
        "unwritten": unwritten(inspection),
        "images": _images(inspection, pictures),
        "tokens": _tokens(inspection),
        "lens": None if lens is None else _lens(lens),
        "ranking": _ranking(inspection, candidates_from),
        "attribution": attribution,
        "more": _more(inspection, pictures),
        "card": {
            "title": inspection.card.title,
            "description": inspection.card.description,
            "knows": inspection.card.knows,
            "metrics": metric_rows(inspection.card),
            "facts": card_facts(inspection),
        },
        "seconds": [[stage_name(name), seconds] for name, seconds in inspection.seconds.items()],
    }
    return json.dumps(view, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def head_planes(inspection: Inspection, head: int) -> list[str]:
    """One head's packed maps, one entry for each image."""
    maps = head_maps(inspection.trace, head)
    return [pack(maps, grid) for grid in inspection.trace.grids]


def _thought(inspection: Inspection) -> dict[str, Any] | None:
    result = inspection.results.get("decode")
    if result is None:
        return None if inspection.thought is None else _unmeasured(inspection, inspection.thought)
    confidence = result.measure("word_probability")
    words = confidence.coords.get("word", ())
    found = {measure.name: measure for measure in result.measures}
    dependence = found.get("image_dependence")
    # The words are scored again for the control; a tokenizer that cuts them otherwise gives other words.
    matches = dependence is not None and dependence.coords.get("word") == words
    numbers = word_numbers(inspection.thought)
    return {
        "words": [
            {
                "text": str(word),
                "number": numbers[i] if i < len(numbers) else None,
                "p": _number(confidence.values[i]),
                "dependence": _number(dependence.values[i]) if matches and dependence is not None else None,
            }
            for i, word in enumerate(words)
        ],
        "name": name_of_text(inspection.info),
        "about": about_text(inspection.info, thought_of(result).context),
        "control": control(result, writes_first=inspection.info.writes_first),
    }


def _unmeasured(inspection: Inspection, thought: DecodedThought) -> dict[str, Any]:
    """The text that the model wrote by itself where its measurement did not run, so without a control; a warning says why."""
    numbers = word_numbers(thought)
    logs = np.array(thought.log_probabilities)
    return {
        "words": [
            {"text": text, "number": numbers[i], "p": _number(np.exp(logs[list(pieces)].sum())), "dependence": None}
            for i, (text, pieces) in enumerate(join_pieces(thought.tokens))
        ],
        "name": name_of_text(inspection.info),
        "about": about_text(inspection.info, thought.context),
        "control": None,
    }


def _images(inspection: Inspection, pictures: list[Image.Image]) -> list[dict[str, Any]]:
    trace = inspection.trace
    planes = {name: reduced_maps(trace, name) for name in REDUCTIONS}
    every: dict[str, np.ndarray] = dict(planes)
    if sends_heads(trace):
        every |= {str(head): head_maps(trace, head) for head in range(trace.attention.shape[1])}
    return [
        {
            "src": data_uri(picture),
            "name": ref.name,
            "width": ref.width,
            "height": ref.height,
            "rows": grid.rows,
            "cols": grid.cols,
            "planes": {name: pack(maps, grid) for name, maps in every.items()},
        }
        for ref, picture, grid in zip(inspection.sample.images, pictures, trace.grids, strict=True)
    ]


def _tokens(inspection: Inspection) -> list[dict[str, Any]]:
    """The K think tokens, then the embed token."""
    shares, lens = _image_shares(inspection), inspection.results.get("lens")
    readings = None if lens is None else readings_of(lens)
    tokens: list[dict[str, Any]] = []
    for k in range(inspection.trace.n_think):
        spread = None if readings is None else f"spread over ≈{_short(math.exp(readings[k].entropy))} words"
        words = [] if lens is None else _words(lens, -1, k, CARD_WORDS)
        note = "" if lens is not None else "Its state cannot be read as words here."
        tokens.append({"label": f"Thought {k + 1}", "words": words, "spread": spread, "share": shares[k], "note": note})
    beside = ", beside the thoughts" if inspection.trace.n_think else ""
    note = f"What the final embedding itself looks at{beside}."
    return [*tokens, {"label": "Embedding", "words": [], "spread": None, "share": shares[-1], "note": note}]


def _image_shares(inspection: Inspection) -> list[float] | list[None]:
    result = inspection.results.get("attention")
    if result is None or not inspection.trace.grids:
        return [None] * (inspection.trace.n_think + 1)
    share = result.measure("share")
    parts = [i for i, part in enumerate(share.coords["part"]) if str(part).startswith("image")]
    return [_number(value) for value in share.values[:, parts].sum(axis=1)]


def _lens(result: ProbeResult) -> dict[str, Any]:
    coords = result.measure("entropy").coords
    n_layers, n_think = len(coords["layer"]), len(coords["think"])
    return {
        "layers": list(coords["layer"]),
        "columns": [f"Thought {k + 1}" for k in range(n_think)],
        "cells": [[_words(result, layer, k, LENS_WORDS) for k in range(n_think)] for layer in range(n_layers)],
    }


def _words(lens: ProbeResult, layer: int, think: int, most: int) -> list[tuple[str, float]]:
    words, probabilities = lens.measure("word").values, lens.measure("probability").values
    top = zip(words[layer, think, :most], probabilities[layer, think, :most], strict=True)
    return [(tell_token(str(word)), _number(p)) for word, p in top]


def _more(inspection: Inspection, pictures: list[Image.Image]) -> list[dict[str, Any]]:
    """What else the probes have to show, drawn by the report's renderer, which escapes every text."""
    images, found = [thumbnail(picture) for picture in pictures], []
    for name, result in inspection.results.items():
        probe = probe_of(result)
        panels = [panel for panel in probe.view(result) if not _is_drawn(name, panel)]
        if panels:
            drawn = "".join(panel_html(panel, result, images) for panel in panels)
            is_asked_for = any(result.parameters[p.name] != p.default for p in parameters(type(probe)))
            title = name_of_text(inspection.info).capitalize() if name == "decode" else probe.title
            found.append({"title": title, "html": drawn, "open": name not in _DRAWN or is_asked_for})
    return found


def _is_drawn(probe: str, panel: Panel) -> bool:
    """Whether the page shows this in a part of its own; warnings stand above all figures."""
    if isinstance(panel, Note):
        return panel.kind == "warning"
    return isinstance(panel, Heatmap | Overlay | Words) and panel.measure.startswith(_DRAWN.get(probe, "\0"))


def _ranking(inspection: Inspection, candidates_from: str) -> dict[str, Any] | None:
    if not inspection.ranking:
        return None
    rows = [
        {"rank": row.rank, "text": row.candidate.text or row.candidate.id, "score": _number(row.score)}
        for row in inspection.ranking[:SHOWN_CANDIDATES]
    ]
    return {"rows": rows, "total": len(inspection.ranking), "source": candidates_from, "hidden": _hidden(inspection)}


def _hidden(inspection: Inspection) -> list[dict[str, Any]]:
    """What the ranking becomes without each thought, and without all."""
    texts = {row.candidate.id: row.candidate.text or row.candidate.id for row in inspection.ranking}
    return [
        {
            "label": "all thoughts" if one.thought is None else f"Thought {one.thought}",
            "first": texts[one.first],
            "same": one.rank_of_first == 1,
            "rank": one.rank_of_first,
            "margin": _number(one.margin),
            "change": _number(one.change),
        }
        for one in inspection.hidden
    ]


def _short(count: float) -> str:
    return f"{count:.1f}" if count < 10 else f"{count:.0f}"


def _number(value: Any) -> float:
    """A float that JSON can hold, short enough not to weigh on the page."""
    return float(f"{float(value):.6g}")
