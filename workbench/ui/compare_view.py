"""A comparison, and one sample of it, as the page's script takes them. The script enters every text as text."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from workbench.attribution import DEFAULT_METHOD, methods
from workbench.comparing.attributing import attribute_samples
from workbench.comparing.document import comparison_json
from workbench.comparing.making import Compared
from workbench.comparing.opening import open_sample
from workbench.comparing.report import comparison_html
from workbench.comparison import Attributed, Card, Change, PairComparison, ReadAs, SampleView
from workbench.errors import BadInput
from workbench.images import open_image
from workbench.render import comparison_layers as layers
from workbench.render import comparison_parts as parts
from workbench.render.comparison_maps import cards_of, cells_by_image, highs, lone, subject_of, thinking
from workbench.stages import Progress
from workbench.types import PatchGrid
from workbench.ui.attributions import method_of
from workbench.ui.compare_work import place_of, setup_of
from workbench.ui.desk import Desk
from workbench.ui.pictures import data_uri
from workbench.words import tell_token

_TEXT = 300
"""Characters of a question that the list shows."""


def fetch_comparison(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but single samples. Figures are HTML fragments of ours, in which every text is escaped."""
    compared = desk.comparisons.get(asked.get("comparison"))
    comparison = compared.comparison
    return {
        "sides": parts.sides_html(comparison),
        "notes": parts.remarks_html(comparison),
        "title": f"{comparison.source.title}, split {comparison.source.split}: {comparison.source.n:,} samples, "
        f"{comparison.source.n_candidates:,} candidates",
        "names": [side.name for side in comparison.sides],
        "grouped_by": comparison.grouped_by,
        "pairs": [_pair(desk, compared, pair) for pair in comparison.pairs],
        "methods": [[name, method.title] for name, method in methods().items()],
        "method": DEFAULT_METHOD,
    }


def fetch_sample(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """One sample under the reference and another checkpoint. Raises BadInput for an id or a pair that there is not."""
    compared = desk.comparisons.get(asked.get("comparison"))
    pair, sample = place_of(compared, asked)
    return _sample(compared, open_sample(compared, sample, pair))


def start_maps(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Begin to attribute one sample under the reference and another checkpoint; what is made is kept beside the readings.

    Raises:
        WorkbenchError: for what can be told to be wrong at once.
    """
    compared = desk.comparisons.get(asked.get("comparison"))
    pair, sample = place_of(compared, asked)
    found = compared.comparison.pairs[pair]
    method = method_of(asked)

    def work(progress: Progress, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        sides = (found.reference, found.other)
        attribute_samples(compared, [sample], method, setup_of(desk), sides=sides, tell=progress, cancelled=cancelled)
        view = open_sample(compared, sample, pair, method=method)
        if view.attributed is None:
            raise BadInput(f"Sample '{asked.get('sample')}' has no image, so there are no patches to attribute to.")
        return _attributed(view, view.attributed)

    return desk.jobs.start(work)


def save_comparison(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The report as a file for the browser to save: html or json."""
    compared, kind = desk.comparisons.get(asked.get("comparison")), asked.get("kind")
    if kind == "html":
        first = asked.get("sample")
        first = first if isinstance(first, str) else None
        method = method_of(asked) if asked.get("method") else None
        text = comparison_html(compared, first=first, method=method)
        return {"name": "comparison.html", "type": "text/html", "text": text}
    if kind != "json":
        raise BadInput("A comparison is saved as 'html' or 'json'.")
    text = json.dumps(comparison_json(compared.comparison), ensure_ascii=False, allow_nan=False)
    return {"name": "comparison.json", "type": "application/json", "text": text}


def _pair(desk: Desk, compared: Compared, pair: PairComparison) -> dict[str, Any]:
    comparison = compared.comparison
    names = comparison.sides[pair.reference].name, comparison.sides[pair.other].name
    path = compared.chosen[pair.other].path
    return {
        "names": names,
        # The name that the page offers is the one that addresses hold; a checkpoint's own may be another.
        "offered": next((name for name, folder in desk.checkpoints.items() if folder == path), names[1]),
        "refused": parts.refused_html(pair),
        "quality": parts.quality_html(comparison, pair),
        "groups": parts.groups_html(comparison, pair),
        "likeness": parts.likeness_html(pair),
        "agreement": parts.agreement_html(pair),
        "looks": parts.looks_html(pair),
        "grids": layers.grids_html(pair, names),
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
    names = comparison.sides[pair.reference].name, comparison.sides[pair.other].name
    subject, pronoun = subject_of(view)
    return {
        "id": sample.id,
        "text": sample.text,
        "answer": sample.answer,
        "thoughts": [sample.thoughts[side] for side in (pair.reference, pair.other)],
        "writes": [parts.WRITES[comparison.sides[side].writes] for side in (pair.reference, pair.other)],
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
        "title": f"{subject}, and the patches behind {pronoun}" if view.images else subject,
        "thinks": any(thinking(view)),
        "lone": lone(view, names),
        "cards": [_card(card) for card in cards_of(view)],
        "images": [
            {"src": data_uri(open_image(ref)), "name": ref.name, "width": ref.width, "height": ref.height}
            for ref in view.images
        ],
        "maps": [_maps(one, grids) for one, grids in zip(view.maps, view.grids, strict=True)],
        "highs": highs(view, None),
        "apart": view.apart,
    }


def _attributed(view: SampleView, found: Attributed) -> dict[str, Any]:
    return {
        "method": found.method,
        "title": found.title,
        "signed": found.signed,
        "maps": [_maps(one, grids) for one, grids in zip(found.maps, view.grids, strict=True)],
        "highs": highs(view, found),
        "gaps": found.gaps,
        "notes": found.notes,
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
    return [(tell_token(word), round(likely, 4)) for word, likely in zip(read.words, read.probabilities, strict=True)]


def _maps(maps: np.ndarray, grids: Sequence[PatchGrid]) -> list[list[dict[str, Any]]]:
    """For each row, for each image, its cells; nothing for a row without a map."""
    return [
        [
            {
                "rows": one.shape[0],
                "cols": one.shape[1],
                "cells": [float(f"{cell:.4g}") for cell in one.ravel().tolist()],
            }
            for one in cells_by_image(row, grids)
        ]
        if grids and np.isfinite(row).all()
        else []
        for row in maps
    ]
