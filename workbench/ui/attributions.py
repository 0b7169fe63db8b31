"""What happens when somebody asks the Explore page what made a word, a think token or the embedding."""

import base64
import inspect
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.attribution import DEFAULT_METHOD, AttributionProbe, maps_of, methods, remarks_of
from workbench.embedder import Embedder
from workbench.errors import BadInput, UnknownName
from workbench.explaining import map_checks
from workbench.explanation import Explanation, sentences_of, shares_of, values_of
from workbench.images import open_image
from workbench.inspection import Inspection
from workbench.probe import Parameter, build, missing, parameters, probe_of
from workbench.render.html import panel_html, thumbnail
from workbench.stages import Progress
from workbench.targets import parse_target, words_of
from workbench.types import DecodedThought, ProbeResult
from workbench.ui.controls import typed
from workbench.ui.desk import Desk
from workbench.views import Bars, Note
from workbench.words import join_pieces

_MAX_TARGET = 2_000
"""Characters of a target's text; a candidate's name may be long."""
_CONTENT_TYPES = {"json": "application/json", "html": "text/html", "png": "image/png"}


def offer(inspection: Inspection, model: Embedder) -> dict[str, Any]:
    """The methods that the page offers for a result; one that cannot run carries the reason."""
    image = None if inspection.trace.grids else "There is no image, so there are no pixels to find."
    offered = [
        {
            "name": name,
            "title": method.title,
            "about": _first_sentence(method),
            "reason": image or missing(method, model),
            "fields": [_field(parameter) for parameter in parameters(method)],
        }
        for name, method in methods().items()
    ]
    usable = [method["name"] for method in offered if method["reason"] is None]
    default = DEFAULT_METHOD if DEFAULT_METHOD in usable else next(iter(usable), None)
    reason = image or (None if usable else "No attribution method can run on this checkpoint.")
    return {"methods": offered, "default": default, "reason": reason}


def word_numbers(thought: DecodedThought | None) -> list[int | None]:
    """For each word as the page shows it, the number by which a target names it; None for one of punctuation alone."""
    if thought is None:
        return []
    words = words_of(thought.tokens)
    return [
        next((number for number, word in enumerate(words, start=1) if word.start in pieces), None)
        for _, pieces in join_pieces(thought.tokens)
    ]


def start_attribution(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Begin to attribute a target of a shown result. Raises WorkbenchError for what can be told to be wrong at once."""
    inspection = desk.shelf.get(asked.get("id"))
    target, method = _target(asked), method_of(asked)
    checks = [check() for check in map_checks().values()] if asked.get("test") is True else []

    def work(progress: Progress, cancelled: Any) -> Mapping[str, Any]:
        found = desk.session.attribute(
            inspection.sample,
            target,
            method,
            checkpoint=str(inspection.card.path),
            candidates=[row.candidate for row in inspection.ranking],
            thought=inspection.thought,
            checks=checks,
            progress=progress,
            cancelled=cancelled,
        )
        _hold_to(inspection, found)
        return describe(found, desk.shelf.put_explanation(found))

    return desk.jobs.start(work)


def describe(explanation: Explanation, key: str) -> dict[str, Any]:
    """An explanation as the page's script takes it: words, numbers and packed maps."""
    result = explanation.result
    shares, planes, begin = shares_of(result), [], 0
    for grid in explanation.trace.grids:
        part = shares[:, begin : begin + grid.n_tokens].reshape(len(shares), grid.frames, -1).sum(axis=1)
        planes.append(base64.b64encode(part.astype("<f2").tobytes()).decode("ascii"))
        begin += grid.n_tokens
    first = maps_of(result)[0]
    gaps = values_of(result, "completeness_gap")
    return {
        "key": key,
        "target": explanation.target,
        "labels": list(explanation.labels),
        "method": methods()[result.probe].title,
        "level": result.parameters.get("level", "tokens"),
        "signed": first.signed,
        "units": first.units,
        "values": [_number(value) for value in values_of(result, "value") or ()],
        "gaps": None if gaps is None else [_number(gap) for gap in gaps],
        "planes": planes,
        "sentences": list(sentences_of(result)),
        "checks": _verdicts(result),
        "notes": [*remarks_of(result), *explanation.notes],
        "seconds": explanation.seconds["total"],
        "tests": _tests(explanation),
        "skipped": dict(explanation.skipped),
    }


def export_explanation(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON, HTML or PNG file of a shown map, for the browser to save."""
    import json

    from workbench.export.documents import explanation_html, explanation_json, explanation_png

    explanation, kind = desk.shelf.get_explanation(asked.get("key")), asked.get("kind")
    if kind not in _CONTENT_TYPES:
        raise BadInput("A map is saved as 'json', 'html' or 'png'.")
    found = {"type": _CONTENT_TYPES[kind], "name": f"thinkscope-{asked['key']}.{kind}"}
    if kind == "png":
        return found | {"base64": base64.b64encode(explanation_png(explanation)).decode("ascii")}
    text = explanation_html(explanation) if kind == "html" else json.dumps(explanation_json(explanation))
    return found | {"text": text}


def _tests(explanation: Explanation) -> list[dict[str, Any]]:
    """What the tests of the map found: verdicts as sentences, and figures drawn by the report's renderer."""
    if not explanation.judged:
        return []
    images, found = [thumbnail(open_image(ref)) for ref in explanation.sample.images], []
    for result in explanation.judged.values():
        probe = probe_of(result)
        # The page lists all checks itself, and bars of one target are a check's number once more.
        panels = [panel for panel in probe.view(result) if not isinstance(panel, Note | Bars)]
        drawn = "".join(panel_html(panel, result, images) for panel in panels)
        found.append({"title": probe.title, "checks": _verdicts(result), "html": drawn})
    return found


def _verdicts(result: ProbeResult) -> list[dict[str, Any]]:
    return [{"name": check.name, "passed": check.passed, "about": check.about} for check in result.checks]


def _target(asked: Mapping[str, Any]) -> str:
    target = asked.get("target")
    if not isinstance(target, str) or len(target) > _MAX_TARGET:
        raise BadInput(f"A target is a text of at most {_MAX_TARGET:,} characters.")
    parse_target(target)
    return target


def method_of(asked: Mapping[str, Any]) -> AttributionProbe:
    """The attribution method that a page asked for, with its settings; all of it is foreign. Raises WorkbenchError."""
    name, known = asked.get("method") or DEFAULT_METHOD, methods()
    if not isinstance(name, str) or name not in known:
        raise UnknownName("attribution method", str(name)[:100], known)
    given = asked.get("settings") or {}
    if not isinstance(given, Mapping):
        raise BadInput("The settings of a method are named values.")
    kinds = {parameter.name: parameter for parameter in parameters(known[name])}
    values = {key: typed(kinds[key], value) if key in kinds else value for key, value in given.items()}
    method = build(known[name], values)
    assert isinstance(method, AttributionProbe)
    return method


def _hold_to(inspection: Inspection, explanation: Explanation) -> None:
    """A checkpoint that was trained again into its folder is another model than the one whose thought is shown."""
    if explanation.trace.provenance.checkpoint_sha256 != inspection.trace.provenance.checkpoint_sha256:
        raise BadInput("The checkpoint has changed since this thought was read; press 'Read the thought' again.")


def _field(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "type": parameter.type.__name__,
        "default": parameter.default,
        "choices": list(parameter.choices),
        "help": parameter.control.help,
        "low": parameter.control.low,
        "high": parameter.control.high,
    }


def _first_sentence(method: type) -> str:
    text = " ".join((inspect.getdoc(method) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.;:])\s", text, maxsplit=1)[0]


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
