"""The walk of one attribution: targets, objective, method. Made once for the same question, and given up when cancelled."""

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from workbench.assets import read_card
from workbench.attribution import AttributionProbe, Tick, held_text
from workbench.embedder import Differentiable, Embedder
from workbench.errors import BadInput, Cancelled, Unsupported
from workbench.explanation import Explanation
from workbench.memory import weigh_trace
from workbench.once import Once
from workbench.probe import PROBES, key_of, missing
from workbench.ranking import Ranker
from workbench.resolution import Candidates, resolve
from workbench.samples import Candidate
from workbench.stages import Progress, StageClock
from workbench.targets import Target, TargetSpec
from workbench.trust import MapCase, MapCheck
from workbench.turns import Turns
from workbench.types import DecodedThought, Encoded, ProbeResult, Sample, Trace

_BEFORE = 0.1
"""Share of the progress bar that belongs to what comes before the method."""
_STAGES = 4
_MIB = 2**20
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be attributed, and how."""

    sample: Sample
    target: str
    spec: TargetSpec
    method: AttributionProbe
    path: Path
    model: Embedder
    candidates: tuple[Candidate, ...]
    thought: DecodedThought | None
    """None: the text that the model writes by itself."""
    trace_key: Hashable

    @property
    def compares(self) -> bool:
        """Whether the target needs candidates."""
        return self.spec.about == "embedding" or self.spec.effect

    @property
    def key(self) -> Hashable:
        candidates = tuple(candidate.key for candidate in self.candidates)
        text = None if self.thought is None else (self.thought.token_ids, self.thought.context)
        about = candidates if self.compares else (), text if self.spec.about == "words" else None
        return self.path, self.trace_key, self.target, self.spec, key_of(self.method), about


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who waits for an answer: is told of progress, and may stop waiting."""

    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None

    def tell(self, done: float, message: str) -> None:
        """Pass progress on. Raises Cancelled when nobody waits any more."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled("The attribution was cancelled before it was done; nothing of it was kept.")
        if self.progress is not None:
            self.progress(done, message)

    def part(self, number: int, n_parts: int) -> "Caller":
        """The same caller, told of one of several equal parts of the work."""
        return dataclasses.replace(
            self, progress=lambda done, message: self.tell((number + min(done, 1.0)) / n_parts, message)
        )


class Explainer:
    """Answers questions and remembers the answers. Safe to share between threads.

    Args:
        turns: whose turn it is to use the model; a long method hands it on between its steps.
        ranker: embeds candidates.
        read: the trace of a question's sample and the text that goes with it; called by the holder of the turn.
    """

    def __init__(
        self, turns: Turns, ranker: Ranker, read: Callable[[Question], tuple[Trace, DecodedThought | None]]
    ) -> None:
        self._turns = turns
        self._ranker = ranker
        self._read = read
        self._encoded: Once[Encoded] = Once(max_entries=4)
        self._made: Once[Explanation] = Once(max_entries=64, max_bytes=256 * _MIB, weigh=_weigh)
        self._judged: Once[ProbeResult] = Once(max_entries=256)

    def explain(self, question: Question, checks: Sequence[MapCheck], caller: Caller) -> Explanation:
        """Answer a question and put the map to tests; a test that cannot take this map is skipped with its reason.

        Raises WorkbenchError for what cannot be attributed, Cancelled when the caller left.
        """
        first = caller.part(0, 1 + len(checks))
        found = self._once(self._made, question.key, lambda: self._make(question, first), first)
        judged: dict[str, ProbeResult] = {}
        skipped: dict[str, str] = {}
        for number, check in enumerate(checks, start=1):
            if reason := missing(type(check), question.model):
                skipped[check.name] = reason
                continue
            mine = caller.part(number, 1 + len(checks))
            key = (question.key, key_of(check))
            judge = partial(self._judge, question, found, check, mine)
            try:
                judged[check.name] = self._once(self._judged, key, judge, mine)
            except (BadInput, Unsupported) as error:
                skipped[check.name] = str(error)
        caller.tell(1.0, "Done")
        # An equal sample may name other files than the one that was remembered, and those may be gone.
        trace = dataclasses.replace(found.trace, sample=question.sample)
        # Maps that are not of words are one and the same whatever was written beside them.
        thought = found.thought if question.thought is None else question.thought
        return dataclasses.replace(
            found, sample=question.sample, trace=trace, thought=thought, judged=judged, skipped=skipped
        )

    def _once(self, memory: Once[V], key: Hashable, make: Callable[[], V], caller: Caller) -> V:
        def in_turn() -> V:
            caller.tell(0.0, "Waiting for its turn")
            with self._turns:
                return make()

        while True:
            try:
                return memory.get(
                    key, in_turn, waiting=lambda: caller.tell(0.0, "Waiting for somebody who asked the same")
                )
            except Cancelled:
                caller.tell(0.0, "Starting again")  # It was somebody else who left, unless this raises.

    def _make(self, question: Question, caller: Caller) -> Explanation:
        # Stages announce themselves below 1; at 1 the clock announces the end of everything.
        clock = StageClock(
            lambda done, message: caller.tell(_BEFORE * done if done < 1 else 1.0, message), n_stages=_STAGES
        )
        model = question.model
        refuse(question)
        with clock.stage("trace", "Reading image and query"):
            trace, thought = self._read(question)
            encoded = self._encode(question)
        with clock.stage("candidates", "Embedding the candidates"):
            candidates, remarks = self._candidates(question, trace)
        with clock.stage("target", "Finding what the target names"):
            targets = resolve(_named(question.spec, question.candidates), model, trace, thought, candidates)
        with clock.stage("attribution", question.method.title):
            context = None if thought is None else thought.context
            assert isinstance(model, Differentiable)
            objective = model.objective(
                model.hold(encoded, trace), targets, level=question.method.level, context=context
            )
            result = question.method.explain(objective, trace, self._tick(caller))
        return Explanation(
            sample=question.sample,
            target=question.target,
            targets=targets,
            trace=dataclasses.replace(trace, continuation=None),
            thought=thought,
            result=result,
            notes=(*remarks, *_caveats(targets, model)),
            seconds=clock.finish(),
            card=read_card(question.path),
            info=model.info,
        )

    def _judge(self, question: Question, found: Explanation, check: MapCheck, caller: Caller) -> ProbeResult:
        case = MapCase(
            model=question.model,
            encoded=_held(question.model, self._encode(question), found.trace),
            trace=found.trace,
            targets=found.targets,
            method=question.method,
            result=found.result,
            context=None if found.thought is None else found.thought.context,
        )
        return check.judge(case, self._tick(caller))

    def _encode(self, question: Question) -> Encoded:
        return self._encoded.get(question.trace_key, lambda: question.model.prepare(question.sample))

    def _candidates(self, question: Question, trace: Trace) -> tuple[Candidates | None, tuple[str, ...]]:
        if not question.compares or not question.candidates:
            return None, ()
        return self._ranker.compared(question.model, trace.embedding, question.candidates)

    def _tick(self, caller: Caller) -> Tick:
        def tick(done: float, message: str) -> None:
            caller.tell(_BEFORE + (1 - _BEFORE) * min(max(done, 0.0), 1.0), message)
            self._turns.give_way()

        return tick


def map_checks() -> dict[str, type[MapCheck]]:
    """The registered tests of maps by name."""
    return {name: probe for name, probe in PROBES.items() if issubclass(probe, MapCheck)}


def refuse(question: Question) -> None:
    """Raise Unsupported when it is known beforehand that the method cannot run."""
    if not question.sample.images:
        raise Unsupported("There is no image, and an attribution says which patches of an image matter; give one.")
    if reason := missing(type(question.method), question.model):
        raise Unsupported(reason)


def _named(spec: TargetSpec, candidates: Sequence[Candidate]) -> TargetSpec:
    """A candidate may be asked for by its id too; targets know it by its text."""
    by_id = {candidate.id: candidate.text or candidate.id for candidate in candidates}
    if spec.candidate is None or spec.candidate in by_id.values():
        return spec
    return dataclasses.replace(spec, candidate=by_id.get(spec.candidate, spec.candidate))


def _held(model: Embedder, encoded: Encoded, trace: Trace) -> Encoded:
    return model.hold(encoded, trace) if isinstance(model, Differentiable) else encoded


def _caveats(targets: Sequence[Target], model: Embedder) -> tuple[str, ...]:
    notes = []
    if len({target.units for target in targets}) > 1:
        notes.append("The targets have different units; compare their maps only as shares.")
    return (*notes, *held_text(model.info))


def _weigh(explanation: Explanation) -> int:
    # The trace may be held by others too, but nothing says so: they forget theirs earlier.
    return weigh_trace(explanation.trace) + sum(measure.values.nbytes for measure in explanation.result.measures)
