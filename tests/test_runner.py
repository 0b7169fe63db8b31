"""The walk of one sample, with a model whose every answer is known."""

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from workbench import runner
from workbench.embedder import DecodesThoughts, Embedder, EmbedderInfo, Keep, ReadsVocabulary
from workbench.errors import BadCheckpoint, BadInput, OutOfMemory, Unsupported
from workbench.probe import Control, ModelProbe, Probe, Subject, TraceProbe
from workbench.ranking import Ranker
from workbench.runner import Candidate, Session, make_sample
from workbench.types import (
    DecodedThought,
    Encoded,
    Measure,
    ProbeResult,
    Provenance,
    Sample,
    TextScore,
    TokenTable,
    Trace,
)
from workbench.views import Panel

PROVENANCE = Provenance(
    checkpoint="fake", weights_sha256="0" * 64, family="fake", format="fake", dtype="float32", device="cpu"
)
INFO = EmbedderInfo(
    name="fake",
    n_layers=2,
    n_heads=1,
    n_think=3,
    width=4,
    dim=2,
    n_parameters=1,
    think_tokens=("<t0>", "<t1>", "<t2>"),
    contexts=("latents_only",),
    max_tokens=100,
    provenance=PROVENANCE,
)


class Fake(Embedder, DecodesThoughts):
    """Embeds a text of the form "angle 30" at that angle; writes the query back as its thought."""

    def __init__(self) -> None:
        self.info = INFO
        self.traced: list[str] = []
        self.embedded: list[str] = []
        self.decoded: list[str] = []
        self.delay = 0.0

    def prepare(self, sample: Sample) -> Encoded:
        if "too long" in sample.text:
            raise BadInput("This is longer than the model takes.")
        ids = np.arange(5)
        tokens = TokenTable(
            ids=ids, texts=("a", "b", "c", "d", "e"), kinds=("text", "think", "think", "think", "embed")
        )
        return Encoded(sample=sample, inputs={}, tokens=tokens, grids=(), think=slice(1, 4), embed=4)

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        time.sleep(self.delay)
        self.traced += [encoded.sample.text for encoded in batch]
        return [self._trace(encoded) for encoded in batch]

    def _trace(self, encoded: Encoded) -> Trace:
        vector = _vector(encoded.sample.text)
        return Trace(
            sample=encoded.sample,
            tokens=encoded.tokens,
            grids=encoded.grids,
            think=encoded.think,
            embed=encoded.embed,
            latents=np.zeros((2, 3, 4), np.float32),
            attention=np.full((2, 1, 4, 5), 0.2, np.float32),
            embedding=vector,
            stepwise=np.repeat(vector[None], 4, axis=0),
            knockout=np.repeat(vector[None], 3, axis=0),
            provenance=PROVENANCE,
            continuation=object(),
        )

    def embed(self, batch: Sequence[Encoded]) -> np.ndarray:
        self.embedded += [encoded.sample.text for encoded in batch]
        return np.stack([_vector(encoded.sample.text) for encoded in batch])

    def decode(
        self,
        traces: Sequence[Trace],
        *,
        context: Any = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[DecodedThought]:
        self.decoded += [trace.sample.text for trace in traces]
        assert all(trace.continuation is not None for trace in traces)
        return [
            DecodedThought(
                text=f"I see {t.sample.text}",
                tokens=("I see ", t.sample.text),
                token_ids=(1, 2),
                log_probabilities=(-0.5, -0.25),
                context="latents_only",
                finish="end",
            )
            for t in traces
        ]

    def score(
        self, traces: Sequence[Trace], texts: Sequence[str], *, context: Any = None, thoughts_from: Any = None
    ) -> list[TextScore]:
        return [
            TextScore(tokens=(text, "<end>"), log_probabilities=(-1.0, 0.0), likeliest=(False, True)) for text in texts
        ]


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


def test_hidden_thoughts_are_ranked_at_no_further_pass(fake: Fake) -> None:
    candidates = [
        Candidate(id=name, text=f"angle {angle}") for name, angle in (("same", 30), ("near", 40), ("far", 90))
    ]
    [trace] = fake.trace([fake.prepare(make_sample([], "angle 30"))])
    knockout = np.stack([_vector("angle 30"), _vector("angle 80"), _vector("angle 38")])
    trace = replace(trace, knockout=knockout, stepwise=np.repeat(_vector("angle 90")[None], 4, axis=0))
    ranker = Ranker()
    ranking, _ = ranker.rank(fake, trace.embedding, candidates)
    before = list(fake.embedded), list(fake.traced)
    found = ranker.hide(fake, trace, ranking)
    assert (fake.embedded, fake.traced) == before
    assert [(one.thought, one.first, one.rank_of_first) for one in found] == [
        (1, "same", 1),
        (2, "far", 3),
        (3, "near", 2),
        (None, "far", 3),
    ]
    assert found[0].margin == pytest.approx(1 - np.cos(np.radians(10)), abs=1e-6)
    assert found[1].margin == pytest.approx(np.cos(np.radians(50)) - np.cos(np.radians(10)), abs=1e-6)
    assert found[1].change == pytest.approx(1 - np.cos(np.radians(50)), abs=1e-6)
    assert ranker.hide(fake, trace, ()) == ()


def test_a_copy_of_the_first_candidate_takes_no_place_from_it_when_thoughts_are_hidden(fake: Fake) -> None:
    twice = [Candidate(id=name, text=f"angle {angle}") for name, angle in (("same", 30), ("copy", 30), ("far", 90))]
    [trace] = fake.trace([fake.prepare(make_sample([], "angle 30"))])
    knockout = np.stack([_vector("angle 40"), _vector("angle 80"), _vector("angle 30")])
    trace = replace(trace, knockout=knockout, stepwise=np.repeat(_vector("angle 31")[None], 4, axis=0))
    ranker = Ranker()
    ranking, _ = ranker.rank(fake, trace.embedding, twice)
    found = ranker.hide(fake, trace, ranking)
    assert [(one.first, one.rank_of_first) for one in found] == [("same", 1), ("far", 2), ("same", 1), ("same", 1)]
    # Where there is nothing else, nothing can come before it, and nothing is said.
    for alone in (twice[:1], twice[:2]):
        ranking, _ = ranker.rank(fake, trace.embedding, alone)
        assert ranker.hide(fake, trace, ranking) == ()


def test_candidates_are_prepared_a_few_at_a_time(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = 0

    def count(sample: Sample) -> Any:
        nonlocal prepared
        prepared += 1
        return prepare(sample)

    prepare, embed = fake.prepare, fake.embed
    held: list[int] = []
    monkeypatch.setattr(fake, "prepare", count)
    monkeypatch.setattr(fake, "length", lambda sample: len(sample.text))
    monkeypatch.setattr(fake, "embed", lambda batch: (held.append(prepared), embed(batch))[1])
    many = [Candidate(id=str(number), text=f"angle {number}") for number in range(40)]
    ranking, _ = Ranker().rank(fake, _vector("angle 3"), many)
    assert ranking[0].candidate.id == "3"
    assert held == [16, 32, 40]


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


def _vector(text: str) -> np.ndarray:
    digits = "".join(letter for letter in text if letter.isdigit())
    angle = np.radians(float(digits or "0"))
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


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
