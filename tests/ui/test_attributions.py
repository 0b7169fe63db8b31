"""What the page is sent when somebody asks what made a word."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explained import ExplainedModel, Flying, PlantedCheck, PlantedMap

from workbench.errors import BadInput, UnknownName
from workbench.probe import PROBES
from workbench.types import DecodedThought
from workbench.ui import attributions, handlers
from workbench.ui.desk import Desk

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def view(desk: Desk, picture: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A shown result of the planted model, whose session can attribute; the picture has 3 rows of 5 patches."""
    planted = desk.session.planted  # pyright: ignore[reportAttributeAccessIssue]
    able = type("Able", (type(planted), ExplainedModel), {})
    monkeypatch.setattr(planted, "__class__", able)
    PROBES.names()
    for probe in (PlantedMap, Flying, PlantedCheck):
        monkeypatch.setitem(PROBES._entries, probe.name, probe)
    asked = handlers.Asked(
        image={"path": str(picture), "orig_name": "picture.png"},
        query="red square left",
        checkpoint="planted-checkpoint",
        listed="red\nblue left",
    )
    return json.loads(handlers.read_thought(desk, asked, [], [], lambda done, message: None))


@pytest.fixture
def ask(desk: Desk, view: dict[str, Any]) -> Ask:
    def start(**given: Any) -> dict[str, Any]:
        asked = {"id": view["id"], "target": "words", "method": "planted_map", **given}
        return attributions.start_attribution(desk, asked)

    return start


def test_words_are_numbered_as_targets_name_them(view: dict[str, Any]) -> None:
    assert [(word["text"], word["number"]) for word in view["thought"]["words"]] == [
        ("red", 1),
        ("square", 2),
        ("left", 3),
    ]


def test_punctuation_is_no_word() -> None:
    pieces = (" a", " ,", " red", "-", "ish", ".", " end")
    thought = DecodedThought(
        text="".join(pieces),
        tokens=pieces,
        token_ids=tuple(range(7)),
        log_probabilities=(0.0,) * 7,
        context="latents_only",
        finish="end",
    )
    assert attributions.word_numbers(thought) == [1, None, 2, 3]
    assert attributions.word_numbers(None) == []


def test_methods_that_cannot_run_say_why(view: dict[str, Any]) -> None:
    offered = {method["name"]: method for method in view["attribution"]["methods"]}
    assert offered["planted_map"]["reason"] is None
    assert "needs a model that Flies" in offered["flying"]["reason"]
    assert [field["name"] for field in offered["planted_map"]["fields"]] == ["level", "steps"]
    assert view["attribution"]["reason"] is None
    assert view["attribution"]["default"] in offered


def test_without_an_image_the_panel_says_so(desk: Desk, view: dict[str, Any]) -> None:
    asked = handlers.Asked(image=None, query="red", checkpoint="planted-checkpoint")
    offer = json.loads(handlers.read_thought(desk, asked, [], [], lambda done, message: None))["attribution"]
    assert offer["reason"] == "There is no image, so there are no pixels to find."
    assert offer["default"] is None


def test_maps_of_all_words_come_as_shares(ask: Ask) -> None:
    answer = ask()["answer"]
    assert answer["labels"] == ["word 1: red", "word 2: square", "word 3: left"]
    [plane] = answer["planes"]
    maps = np.frombuffer(base64.b64decode(plane), dtype="<f2").reshape(3, 15)
    np.testing.assert_array_equal(maps, np.eye(3, 15))
    assert answer["gaps"] == [0.0, pytest.approx(0.1), pytest.approx(0.2)]
    assert answer["values"] == [1, 2, 3]
    assert answer["signed"] is True
    assert answer["tests"] == []


def test_the_page_names_a_candidate_by_its_text(ask: Ask) -> None:
    assert ask(target="embedding:cosine:blue left")["answer"]["labels"] == ["embedding: cosine"]
    assert ask(target="think:effect")["answer"]["labels"][3] == "think 4: effect on contrast"


def test_a_test_of_the_map_is_shown_with_it(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributions, "map_checks", lambda: {"planted_check": PlantedCheck})
    [found] = ask(target="word:2", test=True)["answer"]["tests"]
    assert found["title"] == "Planted check"
    assert found["checks"] == [{"name": "count", "passed": True, "about": "a map of 1 targets"}]


def test_a_map_is_saved_in_three_forms(ask: Ask, desk: Desk) -> None:
    key = ask()["answer"]["key"]
    found = {
        kind: attributions.export_explanation(desk, {"key": key, "kind": kind}) for kind in ("json", "html", "png")
    }
    assert json.loads(found["json"]["text"])["targets"][1]["label"] == "word 2: square"
    assert found["html"]["text"].startswith("<!doctype html")
    assert base64.b64decode(found["png"]["base64"]).startswith(b"\x89PNG")
    assert found["png"]["name"] == f"thinkscope-{key}.png"
    for asked in ({"key": key, "kind": "exe"}, {"key": "0" * 16, "kind": "json"}, {}):
        with pytest.raises(BadInput):
            attributions.export_explanation(desk, asked)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"target": "eyes"}, "There is no target 'eyes'"),
        ({"target": None}, "A target is a text"),
        ({"target": "x" * 3000}, "at most 2,000"),
        ({"method": "grad"}, "no attribution method named 'grad'"),
        ({"settings": {"steps": 0}}, "between 1 and 100"),
        ({"settings": {"stepps": 1}}, "Did you mean 'steps'"),
        ({"settings": [1]}, "named values"),
        ({"id": "0" * 16}, "no longer in memory"),
    ],
)
def test_what_can_be_told_at_once_is(ask: Ask, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises((BadInput, UnknownName), match=sentence):
        ask(**given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"target": "word:9"}, "There is no word 9"),
        ({"target": "word:1/red"}, "compared with itself"),
        ({"method": "flying"}, "needs a model that Flies"),
    ],
)
def test_what_the_model_must_be_asked_for_comes_as_an_error(ask: Ask, given: dict[str, Any], sentence: str) -> None:
    assert sentence in ask(**given)["error"]


def test_numbers_of_the_browser_make_no_second_question(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlantedMap, "calls", [])
    ask(settings={"steps": 5})
    ask(settings={"steps": 5.0})
    assert len(PlantedMap.calls) == 1


def test_a_checkpoint_trained_again_is_not_taken_for_the_old_one(ask: Ask, desk: Desk, view: dict[str, Any]) -> None:
    from dataclasses import replace

    inspection = desk.shelf.get(view["id"])
    provenance = replace(inspection.trace.provenance, checkpoint_sha256="another")
    desk.shelf._kept[view["id"]] = replace(inspection, trace=replace(inspection.trace, provenance=provenance))
    assert "The checkpoint has changed" in ask()["error"]
