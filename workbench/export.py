"""An inspection as a file to keep or to send: JSON for programs, one HTML page with its pictures for people."""

from dataclasses import asdict
from typing import Any

from workbench.inspection import Inspection, readings_of
from workbench.store import to_json
from workbench.types import ImageRef

SCHEMA = "thinkscope.inspection"
VERSION = 1
"""Raised when a key changes its meaning or goes; new keys may come at any time."""


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """The inspection as plain JSON values. Images are named by hash, not held; log-probabilities and entropies in nats."""
    thought = inspection.thought
    lens = inspection.results.get("lens")
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "sample": {
            "id": inspection.sample.id,
            "role": inspection.sample.role,
            "text": inspection.sample.text,
            "images": [_image(image) for image in inspection.sample.images],
        },
        "checkpoint": {
            "name": inspection.card.name,
            "title": inspection.card.title,
            "knows": inspection.card.knows,
            "metrics": {name: asdict(metric) for name, metric in inspection.card.metrics.items()},
        },
        "thought": None
        if thought is None
        else {
            "text": thought.text,
            "tokens": [
                {"text": text, "log_probability": log}
                for text, log in zip(thought.tokens, thought.log_probabilities, strict=True)
            ],
            "finish": thought.finish,
            "context": thought.context,
        },
        "think_tokens": [] if lens is None else [asdict(reading) for reading in readings_of(lens)],
        "embedding": inspection.trace.embedding.tolist(),
        "ranking": [
            {
                "rank": ranked.rank,
                "id": ranked.candidate.id,
                "text": ranked.candidate.text,
                "image": None if ranked.candidate.image is None else _image(ranked.candidate.image),
                "score": ranked.score,
            }
            for ranked in inspection.ranking
        ],
        "results": {name: to_json(result) for name, result in inspection.results.items()},
        "skipped": dict(inspection.skipped),
        "notes": list(inspection.notes),
        "seconds": dict(inspection.seconds),
        "provenance": to_json(inspection.trace.provenance),
    }


def _image(image: ImageRef) -> dict[str, Any]:
    return {"name": image.name, "sha256": image.sha256, "width": image.width, "height": image.height}
