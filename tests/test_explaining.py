"""The walk of one attribution: made once, shared, cancelled alone, refused with one sentence."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from explained import ExplainedModel, Flying, PlantedCheck, PlantedMap, in_threads
from planted import PlantedModel, planted_sample

from workbench import runner
from workbench.errors import BadInput, Cancelled, Unsupported, WorkbenchError
from workbench.explanation import sentences_of, shares_of, values_of
from workbench.probe import PROBES, probe_of, traced_probes
from workbench.runner import Candidate, Session, default_probes

SAMPLE = planted_sample((" red", " cir", "cle", " left"), sizes=((50, 30), (20, 40)))
CANDIDATES = [Candidate(id="a", text="one"), Candidate(id="b", text="two")]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Session:
    (tmp_path / "config.json").write_text("{}")
    made = Session()
    monkeypatch.setattr(made, "model", lambda checkpoint: ExplainedModel())
    monkeypatch.setattr(runner, "resolve_checkpoint", lambda checkpoint: tmp_path)
    return made


@pytest.fixture(autouse=True)
def planted_map(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[PlantedMap]]:
    monkeypatch.setattr(PlantedMap, "calls", [])
    monkeypatch.setattr(PlantedMap, "between", lambda step: None)
    yield PlantedMap


def test_all_words_are_one_question_and_are_asked_once(session: Session) -> None:
    heard: list[float] = []
    found = session.attribute(SAMPLE, "words", PlantedMap(), progress=lambda done, _: heard.append(done))
    assert found.labels == ("word 1: red", "word 2: circle", "word 3: left")
    assert found.thought is not None and found.thought.text == " red circle left"
    assert found.trace.continuation is None
    assert values_of(found.result, "value") == (1.0, 2.0, 3.0)
    assert values_of(found.result, "nothing") is None
    assert heard == sorted(heard) and heard[-1] == 1
    session.attribute(SAMPLE, " words ", PlantedMap())
    assert len(PlantedMap.calls) == 1
    session.attribute(SAMPLE, "words", PlantedMap(steps=5))
    session.attribute(SAMPLE, "word:2", PlantedMap())
    assert PlantedMap.calls[1:] == [found.labels, ("word 2: circle",)]


def test_a_map_that_is_not_of_words_stands_beside_the_text_of_who_asks(session: Session) -> None:
    first = session.attribute(SAMPLE, "think", PlantedMap())
    assert first.thought is not None
    short = replace(first.thought, text=" red", tokens=(" red",), token_ids=first.thought.token_ids[:1])
    again = session.attribute(SAMPLE, "think", PlantedMap(), thought=short)
    assert len(PlantedMap.calls) == 1
    assert again.thought == short


def test_shares_run_over_all_images(session: Session) -> None:
    shares = shares_of(session.attribute(SAMPLE, "words", PlantedMap()).result)
    assert shares.shape == (3, 15 + 8)
    assert abs(shares).sum(axis=1).tolist() == [1, 1, 1]


def test_threads_that_ask_the_same_share_it(session: Session) -> None:
    found: list[Any] = []
    for thread in in_threads(*[lambda: found.append(session.attribute(SAMPLE, "think", PlantedMap()))] * 3):
        thread.join(60)
    assert len(found) == 3
    assert len(PlantedMap.calls) == 1


def test_a_cancelled_one_is_not_remembered(session: Session) -> None:
    with pytest.raises(Cancelled, match="nothing of it was kept"):
        session.attribute(SAMPLE, "words", PlantedMap(), cancelled=lambda: bool(PlantedMap.calls))
    assert session.attribute(SAMPLE, "words", PlantedMap()).labels[0] == "word 1: red"
    assert len(PlantedMap.calls) == 2


def test_who_cancels_takes_nobody_along(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, left = threading.Event(), threading.Event()

    def between(step: int) -> None:
        reached.set()
        assert left.wait(60)

    monkeypatch.setattr(PlantedMap, "between", between)
    outcomes: dict[str, Any] = {}

    def ask(name: str, cancelled: Any) -> None:
        try:
            outcomes[name] = session.attribute(SAMPLE, "words", PlantedMap(), cancelled=cancelled)
        except WorkbenchError as error:
            outcomes[name] = error

    [first] = in_threads(lambda: ask("leaves", left.is_set))
    assert reached.wait(60)
    waiting = threading.Event()
    [second] = in_threads(lambda: ask("stays", lambda: waiting.set() or False))
    assert waiting.wait(60)
    left.set()
    for thread in (first, second):
        thread.join(60)
    assert isinstance(outcomes["leaves"], Cancelled)
    assert outcomes["stays"].labels[0] == "word 1: red"


def test_an_inspection_does_not_wait_for_the_end_of_a_long_method(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    reached = threading.Event()

    def between(step: int) -> None:
        reached.set()
        end = threading.Event()
        # Until the inspection has lined up behind this.
        while step == 0 and len(session._busy._waiting) < 2 and not end.wait(0.01):
            pass

    monkeypatch.setattr(PlantedMap, "between", between)
    [long] = in_threads(lambda: order.append(session.attribute(SAMPLE, "words", PlantedMap()).target))
    assert reached.wait(60)
    other = planted_sample((" blue",), id="other", sizes=())
    [short] = in_threads(lambda: order.append(session.inspect(other, probes=[], others=[]).sample.id))
    for thread in (short, long):
        thread.join(60)
    assert order == ["other", "words"]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("word", "names no word"),
        ("word:9", "There is no word 9: the decoded thought has 3 words"),
        ("word:0", "counts from 1"),
        ("word:1/red", "compared with itself"),
        ("think:9", "There is no think token 9: this checkpoint has 4"),
        ("embedding", "compares with candidates"),
        ("eyes", "There is no target 'eyes'"),
    ],
)
def test_a_target_that_names_nothing_is_one_sentence(session: Session, target: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as caught:
        session.attribute(SAMPLE, target, PlantedMap())
    assert "\n" not in str(caught.value)


def test_what_cannot_run_says_why(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unsupported, match="Flying needs a model that Flies; 'planted' does not"):
        session.attribute(SAMPLE, "words", Flying())
    with pytest.raises(Unsupported, match="There is no image"):
        session.attribute(planted_sample(sizes=()), "words", PlantedMap())
    monkeypatch.setattr(session, "model", lambda checkpoint: PlantedModel())
    with pytest.raises(Unsupported, match="needs a model that has gradients"):
        session.attribute(SAMPLE, "words", PlantedMap())


def test_candidates_are_named_by_text_or_id(session: Session) -> None:
    for name in ("two", "b"):
        found = session.attribute(SAMPLE, f"embedding:cosine:{name}", PlantedMap(), candidates=CANDIDATES)
        assert found.labels == ("embedding: cosine",)
    with pytest.raises(BadInput, match="There is no candidate 'three'"):
        session.attribute(SAMPLE, "embedding:cosine:three", PlantedMap(), candidates=CANDIDATES)


@pytest.fixture(autouse=True)
def documents_think_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted model reads a sample's thought from its metadata, which candidates do not have."""
    prepare = ExplainedModel.prepare

    def prepared(self: ExplainedModel, sample: Any) -> Any:
        if "thought" in sample.metadata:
            return prepare(self, sample)
        words = {"one": (" red",), "two": (" blue",)}[sample.text]
        return prepare(self, planted_sample(words, sizes=(), text=sample.text))

    monkeypatch.setattr(ExplainedModel, "prepare", prepared)


def test_tests_of_a_map_stand_beside_it_or_say_why_not(session: Session) -> None:
    found = session.attribute(SAMPLE, "words", PlantedMap(), checks=[PlantedCheck()])
    assert found.judged["planted_check"].checks[0].about == "a map of 3 targets"
    refused = session.attribute(SAMPLE, "words", PlantedMap(), checks=[PlantedCheck(refuses=True)])
    assert refused.judged == {}
    assert refused.skipped == {"planted_check": "The truth of this sample is not known."}
    assert len(PlantedMap.calls) == 1


def test_no_inspection_runs_an_attribution(monkeypatch: pytest.MonkeyPatch) -> None:
    PROBES.names()
    for probe in (PlantedMap, PlantedCheck):
        monkeypatch.setitem(PROBES._entries, probe.name, probe)
    assert not {"planted_map", "planted_check"} & set(traced_probes())
    assert not {"planted_map", "planted_check"} & {probe.name for probe in default_probes()}


def test_a_result_gives_its_probe_back(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    PROBES.names()
    for probe in (PlantedMap, PlantedCheck):
        monkeypatch.setitem(PROBES._entries, probe.name, probe)
    found = session.attribute(SAMPLE, "words", PlantedMap(steps=7), checks=[PlantedCheck()])
    assert probe_of(found.result) == PlantedMap(steps=7)
    assert probe_of(found.judged["planted_check"]) == PlantedCheck()
    assert "visual tokens" in sentences_of(found.result)[0]
