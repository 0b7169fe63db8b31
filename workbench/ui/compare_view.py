"""A comparison, and one sample of it, as the page's script takes them. The script enters every text as text."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.comparing.document import comparison_json
from workbench.comparing.making import Compared
from workbench.comparing.opening import open_sample
from workbench.comparing.report import comparison_html
from workbench.comparison import Card, Change, PairComparison, ReadAs, SampleView
from workbench.errors import BadInput
from workbench.images import open_image
from workbench.render import comparison_parts as parts
from workbench.render.comparison_html import cells_by_image
from workbench.ui.desk import Desk
from workbench.ui.pictures import data_uri

_TEXT = 300
"""Characters of a question that the list shows."""


def fetch_comparison(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but single samples. Figures are HTML fragments of ours, in which every text is escaped."""
    compared = desk.comparisons.get(asked.get("comparison"))
    comparison = compared.comparison
    return {
        "sides": parts.sides_html(comparison),
        "notes": parts.notes_html(comparison.notes),
        "title": f"{comparison.source.title}, split {comparison.source.split}: {comparison.source.n:,} samples, "
        f"{comparison.source.n_candidates:,} candidates",
        "names": [side.name for side in comparison.sides],
        "pairs": [_pair(compared, pair) for pair in comparison.pairs],
    }


def fetch_sample(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """One sample under the reference and another checkpoint.

    Raises BadInput for an id or a pair that there is not.
    """
    compared = desk.comparisons.get(asked.get("comparison"))
    pair, sample = asked.get("pair"), asked.get("sample")
    if isinstance(pair, bool) or not isinstance(pair, int):
        raise BadInput("There is no such pair of checkpoints.")
    place = compared.comparison.place_of(sample) if isinstance(sample, str) else None
    if place is None:
        raise BadInput(f"There is no sample '{str(sample)[:100]}' among those that were compared.")
    return _sample(compared, open_sample(compared, place, pair))


def save_comparison(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The report as a file for the browser to save: html or json."""
    compared, kind = desk.comparisons.get(asked.get("comparison")), asked.get("kind")
    if kind == "html":
        first = asked.get("sample")
        text = comparison_html(compared, first=first if isinstance(first, str) else None)
        return {"name": "comparison.html", "type": "text/html", "text": text}
    if kind != "json":
        raise BadInput("A comparison is saved as 'html' or 'json'.")
    text = json.dumps(comparison_json(compared.comparison), ensure_ascii=False, allow_nan=False)
    return {"name": "comparison.json", "type": "application/json", "text": text}


def _pair(compared: Compared, pair: PairComparison) -> dict[str, Any]:
    comparison = compared.comparison
    names = comparison.sides[pair.reference].name, comparison.sides[pair.other].name
    return {
        "names": names,
        "refused": parts.refused_html(pair),
        "quality": parts.quality_html(comparison, pair),
        "likeness": parts.likeness_html(pair),
        "agreement": parts.agreement_html(pair),
        "grids": parts.grids_html(pair, names),
        "changes": [_change(compared, change) for change in pair.changes],
    }


def _change(compared: Compared, change: Change) -> dict[str, Any]:
    sample = compared.comparison.samples[change.sample]
    text = sample.text
    return {
        "id": sample.id,
        "text": text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…",
        "ranks": [change.rank_reference, change.rank_other],
        "gained": change.gained,
        "words": change.words,
        "neighbours": change.neighbours,
    }


def _sample(compared: Compared, view: SampleView) -> dict[str, Any]:
    comparison = compared.comparison
    sample, pair = comparison.samples[view.sample], comparison.pairs[view.pair]
    return {
        "id": sample.id,
        "text": sample.text,
        "answer": sample.answer,
        "thoughts": [sample.thoughts[side] for side in (pair.reference, pair.other)],
        "diff": [[piece.kind, piece.text] for piece in view.diff],
        "standings": [
            {
                "text": one.text,
                "right": one.is_target,
                "ranks": [one.rank_reference, one.rank_other],
                "scores": [one.score_reference, one.score_other],
            }
            for one in view.standings
        ],
        "cards": [_card(card) for card in view.cards],
        "images": [
            {"src": data_uri(open_image(ref)), "name": ref.name, "width": ref.width, "height": ref.height}
            for ref in view.images
        ],
        "maps": [_maps(view, side) for side in (0, 1)],
        "highs": [view.high, view.high] if not view.apart else [_top(one) for one in view.maps],
        "apart": view.apart,
    }


def _card(card: Card) -> dict[str, Any]:
    return {
        "label": card.label,
        "rows": [card.reference, card.other],
        "reads": [_reads(card.read_reference), _reads(card.read_other)],
    }


def _reads(read: ReadAs | None) -> list[tuple[str, float]]:
    if read is None:
        return []
    return [
        (word.strip() or "␣", round(likely, 4)) for word, likely in zip(read.words, read.probabilities, strict=True)
    ]


def _maps(view: SampleView, side: int) -> list[list[dict[str, Any]]]:
    """For each row of attention, for each image, its cells."""
    return [
        [
            {
                "rows": one.shape[0],
                "cols": one.shape[1],
                "cells": [float(f"{cell:.4g}") for cell in one.ravel().tolist()],
            }
            for one in cells_by_image(row, view.grids[side])
        ]
        if view.grids[side]
        else []
        for row in view.maps[side]
    ]


def _top(maps: np.ndarray) -> float:
    return float(maps.max()) if maps.size else 0.0
