"""An inspection or an explanation as a file to keep or to send: JSON for programs, HTML or a picture for people."""

from dataclasses import asdict
from typing import Any

from workbench.embedder import EmbedderInfo
from workbench.explanation import Explanation, sentences_of, values_of
from workbench.images import open_image
from workbench.inspection import Inspection, readings_of
from workbench.probe import probe_of
from workbench.render import sheet
from workbench.render.report import Section, report_html
from workbench.store import to_json
from workbench.telling import about_text, name_of_text
from workbench.types import DecodedThought, ImageRef, ProbeResult

SCHEMA = "thinkscope.inspection"
EXPLANATION_SCHEMA = "thinkscope.explanation"
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
            "tells": _tells(inspection.info),
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
            "about": about_text(inspection.info, thought.context),
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
        "hidden": [asdict(one) for one in inspection.hidden],
        "results": {name: to_json(result) for name, result in inspection.results.items()},
        "skipped": dict(inspection.skipped),
        "notes": list(inspection.notes),
        "seconds": dict(inspection.seconds),
        "provenance": to_json(inspection.trace.provenance),
    }


def inspection_html(inspection: Inspection) -> str:
    """The inspection as one HTML page with its pictures inside; text of the model and of files is escaped.

    Raises BadInput when an image has gone or changed since it was inspected.
    """
    titles = {"decode": name_of_text(inspection.info).capitalize()}
    sections = [_section(result, title=titles.get(name)) for name, result in inspection.results.items()]
    return report_html(
        f"Thinkscope: {inspection.card.title}",
        sections,
        inspection.trace.provenance,
        query=inspection.sample.text,
        images=[open_image(image) for image in inspection.sample.images],
        facts=_facts(inspection),
    )


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """The explanation as plain JSON values; maps are in `result`, one measure for each image, with their units."""
    result, thought = explanation.result, explanation.thought
    return {
        "schema": EXPLANATION_SCHEMA,
        "version": VERSION,
        "sample": {
            "id": explanation.sample.id,
            "role": explanation.sample.role,
            "text": explanation.sample.text,
            "images": [_image(image) for image in explanation.sample.images],
        },
        "checkpoint": {
            "name": explanation.card.name,
            "title": explanation.card.title,
            "tells": _tells(explanation.info),
        },
        "thought": None if thought is None else thought.text,
        "thought_about": None if thought is None else about_text(explanation.info, thought.context),
        "target": explanation.target,
        "method": {"name": result.probe, "version": result.version, "parameters": dict(result.parameters)},
        "targets": _targets(explanation),
        "checks": [to_json(check) for check in result.checks],
        "result": to_json(result),
        "judged": {name: to_json(found) for name, found in explanation.judged.items()},
        "skipped": dict(explanation.skipped),
        "notes": list(explanation.notes),
        "seconds": dict(explanation.seconds),
        "provenance": to_json(result.provenance),
    }


def explanation_html(explanation: Explanation) -> str:
    """The explanation as one HTML page with its pictures inside. Raises BadInput when an image has gone or changed."""
    result = explanation.result
    title = f"{probe_of(result).title}: {explanation.target}"
    sections = [_section(result, title=title, about=" ".join(sentences_of(result)))]
    sections += [_section(result) for result in explanation.judged.values()]
    facts = _text_facts(explanation.info, explanation.thought)
    facts |= {row["label"]: _value_text(row) for row in _targets(explanation)}
    facts |= {f"note {number}": note for number, note in enumerate(explanation.notes, start=1)}
    facts |= {f"{name} was skipped": reason for name, reason in explanation.skipped.items()}
    return report_html(
        f"Thinkscope: which patches made it, {explanation.card.title}",
        sections,
        explanation.result.provenance,
        query=explanation.sample.text,
        images=[open_image(image) for image in explanation.sample.images],
        facts=facts,
    )


def explanation_png(explanation: Explanation) -> bytes:
    """The maps over their images as a PNG, a row for each target. Raises BadInput when an image has gone or changed."""
    return sheet.explanation_png(explanation.result, [open_image(image) for image in explanation.sample.images])


def _section(result: ProbeResult, *, title: str | None = None, about: str = "") -> Section:
    probe = probe_of(result)
    return Section(title=title or probe.title, panels=probe.view(result), result=result, about=about)


def _targets(explanation: Explanation) -> list[dict[str, Any]]:
    result = explanation.result
    found = {name: values_of(result, name) for name in ("value", "baseline_value", "completeness_gap")}
    return [
        {"label": label} | {name: None if numbers is None else numbers[i] for name, numbers in found.items()}
        for i, label in enumerate(explanation.labels)
    ]


def _value_text(row: dict[str, Any]) -> str:
    text = f"value {row['value']:.4g}"
    if row["completeness_gap"] is not None:
        text += f", of which the map leaves {row['completeness_gap']:.1%} unexplained"
    return text


def _facts(inspection: Inspection) -> dict[str, str]:
    facts = _text_facts(inspection.info, inspection.thought)
    if inspection.card.knows:
        facts["the checkpoint knows"] = inspection.card.knows
    for name, metric in inspection.card.metrics.items():
        interval = f"{metric.value:.1%} (95% interval {metric.low:.1%} to {metric.high:.1%}, n {metric.n})"
        facts[f"measured: {name.replace('_', ' ')}"] = interval
    for ranked in inspection.ranking[:10]:
        shown = ranked.candidate.text or (ranked.candidate.image.name if ranked.candidate.image else "")
        facts[f"candidate {ranked.rank}"] = f"{shown} (cosine {ranked.score:.3f})"
    for number, note in enumerate(inspection.notes, start=1):
        facts[f"note {number}"] = note
    for name, reason in inspection.skipped.items():
        facts[f"{name} was skipped"] = reason
    return facts


def _text_facts(info: EmbedderInfo, thought: DecodedThought | None) -> dict[str, str]:
    if thought is None:
        return {}
    return {name_of_text(info): thought.text, "what this text is": about_text(info, thought.context)}


def _tells(info: EmbedderInfo) -> str | None:
    return info.tells if info.contexts else None


def _image(image: ImageRef) -> dict[str, Any]:
    return {"name": image.name, "sha256": image.sha256, "width": image.width, "height": image.height}
