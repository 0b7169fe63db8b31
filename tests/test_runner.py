"""The walk of one sample, with a model whose every answer is known."""

import threading
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from angles import Fake
from PIL import Image

from workbench import runner
from workbench.embedder import DecodesThoughts, ReadsVocabulary
from workbench.errors import BadCheckpoint, BadInput, OutOfMemory, Unsupported
from workbench.probe import Control, ModelProbe, Probe, Subject, TraceProbe
from workbench.runner import Candidate, Session, make_sample
from workbench.types import (
    Measure,
    ProbeResult,
    Trace,
)
from workbench.views import Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Length(TraceProbe):
    """Counts tokens."""

    name: ClassVar[str] = "length"
    title: ClassVar[str] = "Length"
    version: ClassVar[int] = 1
    reference: ClassVar[str] = "none"
    times: Annotated[int, Control(help="Multiplies the count.")] = 1

    def measure(self, trace: Trace) -> ProbeResult:
        return _result(self, trace, float(len(trace.tokens.ids) * self.times))

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Others(ModelProbe):
    """Counts the controls."""

    name: ClassVar[str] = "others"
    title: ClassVar[str] = "Others"
    version: ClassVar[int] = 1
    reference: ClassVar[str] = "none"
    needs: ClassVar[tuple[type, ...]] = (DecodesThoughts,)

    def measure(self, subject: Subject, model: Any) -> ProbeResult:
        return _result(self, subject.trace, float(len(subject.others)))

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader(Others):
    """Needs what the fake lacks."""

    name: ClassVar[str] = "reader"
    title: ClassVar[str] = "Reader"
    needs: ClassVar[tuple[type, ...]] = (ReadsVocabulary,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuses(Length):
    """Cannot take this sample."""

    name: ClassVar[str] = "refuses"

    def measure(self, trace: Trace) -> ProbeResult:
        raise Unsupported("There is no image to look at.")


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def session(fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Session:
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "config.json").write_text("{}")
    monkeypatch.setattr(runner, "_bundled_samples", lambda: tuple(make_sample([], f"angle {i}") for i in range(6)))
    made = Session()
    monkeypatch.setattr(made, "model", lambda checkpoint: fake)
    monkeypatch.setattr(runner, "resolve_checkpoint", lambda checkpoint: tmp_path / "fake")
    return made


def test_inspection_holds_thought_results_and_ranking(session: Session, fake: Fake) -> None:
    candidates = [
        Candidate(id="far", text="angle 90"),
        Candidate(id="near", text="angle 40"),
        Candidate(id="same", text="angle 30"),
    ]
    found = session.inspect(make_sample([], "angle 30"), probes=[Length(times=2), Others()], candidates=candidates)
    assert found.thought is not None
    assert found.thought.text == "I see angle 30"
    assert _value(found.results["length"]) == 10
    assert _value(found.results["others"]) == 4
    assert [(ranked.rank, ranked.candidate.id) for ranked in found.ranking] == [(1, "same"), (2, "near"), (3, "far")]
    assert found.ranking[1].score == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    assert found.skipped == {}
    assert found.trace.continuation is None
    assert found.seconds["total"] >= found.seconds["trace"] >= 0
    assert found.card.name == "fake"


def test_memory_that_runs_out_is_one_sentence(session: Session, monkeypatch: pytest.MonkeyPatch, fake: Fake) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(fake, "trace", fail)
    with pytest.raises(OutOfMemory, match="Memory ran out; take a smaller image"):
        session.inspect(make_sample([], "angle 30"), probes=[])


def test_controls_leave_the_sample_itself_out(session: Session, fake: Fake) -> None:
    session.inspect(make_sample([], "angle 2"), probes=[Others()])
    assert fake.traced == ["angle 2", "angle 0", "angle 1", "angle 3", "angle 4"]


def test_controls_are_traced_once_and_only_for_probes_that_ask_the_model(session: Session, fake: Fake) -> None:
    session.inspect(make_sample([], "one"), probes=[Length()])
    assert fake.traced == ["one"]
    session.inspect(make_sample([], "two"), probes=[Others()])
    session.inspect(make_sample([], "three"), probes=[Others()])
    assert fake.traced == ["one", "two", "angle 0", "angle 1", "angle 2", "angle 3", "three"]


def test_a_changed_parameter_measures_again_but_does_not_trace_again(session: Session, fake: Fake) -> None:
    sample = make_sample([], "one")
    first = session.inspect(sample, probes=[Length(times=1)])
    second = session.inspect(sample, probes=[Length(times=3)])
    assert (_value(first.results["length"]), _value(second.results["length"])) == (5, 15)
    assert fake.traced == ["one"]
    assert fake.decoded == ["one"]


def test_candidates_are_embedded_once_for_a_checkpoint(session: Session, fake: Fake) -> None:
    candidates = [Candidate(id="a", text="angle 1"), Candidate(id="b", text="angle 2")]
    session.inspect(make_sample([], "one"), probes=[], candidates=candidates)
    session.inspect(make_sample([], "two"), probes=[], candidates=[*candidates, Candidate(id="c", text="angle 3")])
    assert fake.embedded == ["angle 1", "angle 2", "angle 3"]


def test_equal_candidates_keep_their_order_and_both_rank(session: Session) -> None:
    candidates = [Candidate(id="b", text="angle 1"), Candidate(id="a", text="angle 1")]
    found = session.inspect(make_sample([], "one"), probes=[], candidates=candidates)
    assert [ranked.candidate.id for ranked in found.ranking] == ["b", "a"]


def test_a_candidate_that_cannot_be_embedded_is_left_out_with_its_reason(session: Session) -> None:
    candidates = [Candidate(id="a", text="too long"), Candidate(id="b", text="angle 2")]
    found = session.inspect(make_sample([], "one"), probes=[], candidates=candidates)
    assert [ranked.candidate.id for ranked in found.ranking] == ["b"]
    assert found.notes == ("Candidate 'a' was left out: This is longer than the model takes.",)


def test_probes_that_cannot_run_are_skipped_with_their_reason(session: Session) -> None:
    found = session.inspect(make_sample([], "one"), probes=[Reader(), Refuses(), Length()])
    assert list(found.results) == ["length"]
    assert "needs a model that reads its hidden states as words" in found.skipped["reader"]
    assert found.skipped["refuses"] == "There is no image to look at."


def test_a_probe_given_twice_is_refused(session: Session) -> None:
    with pytest.raises(BadInput, match=r"length, length"):
        session.inspect(make_sample([], "one"), probes=[Length(), Length(times=2)])


def test_two_threads_that_ask_for_the_same_thing_compute_it_once(session: Session, fake: Fake) -> None:
    fake.delay = 0.05
    sample, found = make_sample([], "one"), []
    threads = [
        threading.Thread(target=lambda: found.append(session.inspect(sample, probes=[Length()]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert fake.traced == ["one"]


def test_a_failure_is_not_remembered(session: Session, fake: Fake) -> None:
    sample = make_sample([], "too long")
    for _ in range(2):
        with pytest.raises(BadInput, match="longer than the model takes"):
            session.inspect(sample, probes=[])
    fake.prepare = lambda sample: Fake.prepare(fake, replace(sample, text="short"))  # type: ignore[method-assign]
    assert session.inspect(sample, probes=[]).thought is not None


def test_progress_rises_to_one_and_names_what_is_done(session: Session) -> None:
    heard: list[tuple[float, str]] = []
    session.inspect(
        make_sample([], "one"), probes=[Length()], progress=lambda done, message: heard.append((done, message))
    )
    shares = [done for done, _ in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert "Probe: Length" in [message for _, message in heard]


def test_an_equal_sample_from_another_file_gets_its_own_paths(session: Session, fake: Fake, tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        Image.new("RGB", (8, 4), "red").save(path)
    session.inspect(make_sample([paths[0]], "one"), probes=[])
    paths[0].unlink()
    found = session.inspect(make_sample([paths[1]], "one"), probes=[])
    assert found.sample.images[0].path == paths[1]
    assert found.trace.sample.images[0].path == paths[1]
    assert fake.traced == ["one"]


def test_what_was_done_to_an_image_is_told(session: Session) -> None:
    buffer = BytesIO()
    Image.new("RGBA", (8, 4), (255, 0, 0, 10)).save(buffer, "PNG")
    found = session.inspect(make_sample([buffer.getvalue()], "one"), probes=[])
    assert found.notes == ("image: transparent, shown on white",)


def test_an_unknown_checkpoint_is_one_sentence() -> None:
    with pytest.raises(BadCheckpoint, match="There is no checkpoint 'nowhere'"):
        Session().inspect(make_sample([], "one"), checkpoint="nowhere")


def _result(probe: Probe, trace: Trace, value: float) -> ProbeResult:
    measure = Measure(name="value", values=np.array(value, np.float32), dims=(), units="tokens")
    return ProbeResult(
        probe=probe.name,
        version=probe.version,
        sample_id=trace.sample.id,
        parameters=asdict(probe),  # type: ignore[call-overload]
        measures=(measure,),
        checks=(),
        provenance=trace.provenance,
    )


def _value(result: ProbeResult) -> float:
    return float(result.measure("value").values)
