"""The walk of one sample: checkpoint, trace, thought, probes, ranking, attribution. Terminal and page both go through here.

A `Session` remembers what it made, by content: the same weights, sample and parameters are never computed twice, and two
threads that ask for the same thing at once compute it once. Nothing here draws.
"""

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workbench.assets import DEFAULT_CHECKPOINT, examples, read_card, resolve_checkpoint
from workbench.attribution import AttributionProbe
from workbench.embedder import DecodesThoughts, Embedder
from workbench.errors import BadInput, Unsupported
from workbench.explaining import Caller, Explainer, Question
from workbench.explanation import Explanation
from workbench.images import notes
from workbench.inspection import Hidden, Inspection, Ranked, thought_of
from workbench.memory import memory_told, weigh_trace
from workbench.once import Once
from workbench.probe import ModelProbe, Probe, Subject, TraceProbe, key_of, missing, traced_probes
from workbench.ranking import Ranker
from workbench.samples import Candidate, make_sample, read_candidates, text_candidates
from workbench.stages import Progress, StageClock
from workbench.targets import parse_target
from workbench.trust import MapCheck
from workbench.turns import Turns
from workbench.types import DecodedThought, ProbeResult, Sample, Trace

__all__ = [
    "Candidate",
    "Explanation",
    "Inspection",
    "Progress",
    "Ranked",
    "Session",
    "default_probes",
    "make_sample",
    "read_candidates",
    "text_candidates",
]

MAX_CONTROLS = 4
"""Other samples whose thoughts are swapped in; more of them would sharpen the control little and cost a pass each."""
_GIB = 2**30
_DECODE = "decode"
NO_ROOM = "Memory ran out; take a smaller image, a smaller dtype (--dtype bfloat16), another device, or a measurement that needs less."


class Session:
    """Loaded models and what they were asked, shared by all threads of a process."""

    def __init__(self, *, device: str | None = None, dtype: str | None = None) -> None:
        """Set device and dtype of every model; None leaves the choice to the model room."""
        self._device = device
        self._dtype = dtype
        self._models: Once[Embedder] = Once(max_entries=2, room_first=True)
        self._traces: Once[Trace] = Once(max_entries=8, max_bytes=_GIB, weigh=weigh_trace)
        self._controls: Once[_Controls] = Once(max_entries=4)
        self._thoughts: Once[DecodedThought] = Once(max_entries=256)
        self._results: Once[ProbeResult] = Once(max_entries=512, max_bytes=_GIB // 4, weigh=_weigh_result)
        self._inspections: Once[Inspection] = Once(max_entries=64, max_bytes=_GIB, weigh=weigh_inspection)
        self._ranker = Ranker()
        # One sample at a time: a second one would double the memory and gain nothing on one device.
        self._busy = Turns()
        self._explainer = Explainer(self._busy, self._ranker, self._read)

    @property
    def device(self) -> str | None:
        """Where models run, as it was asked for."""
        return self._device

    @property
    def dtype(self) -> str | None:
        """Their precision, as it was asked for."""
        return self._dtype

    def model(self, checkpoint: str = DEFAULT_CHECKPOINT) -> Embedder:
        """The loaded model of a bundled name or a folder. Raises BadCheckpoint.

        Loading waits for its turn, because no model may run meanwhile: not to be called by a thread that is `occupied`.
        """
        path = resolve_checkpoint(checkpoint)

        def load() -> Embedder:
            # Here and not above: it brings torch, which a session that waits for its first click need not.
            from workbench.models.checkpoint import let_go, load_checkpoint

            with self._busy:
                let_go()
                return load_checkpoint(path, device=self._device, dtype=self._dtype)

        return self._models.get(_fingerprint(path), load)

    def warm(self, checkpoint: str = DEFAULT_CHECKPOINT) -> None:
        """Load a model and trace the bundled controls, so that the first inspection does not wait for them."""
        model = self.model(checkpoint)
        with self._busy:
            self._trace_controls(model, _bundled_samples()[:MAX_CONTROLS])

    @contextmanager
    def occupied(self) -> Iterator[Callable[[], None]]:
        """Keep the models to one long job; what is yielded is called between its steps and lets whoever waits go first."""
        with self._busy:
            yield self._busy.give_way

    def inspect(
        self,
        sample: Sample,
        *,
        checkpoint: str = DEFAULT_CHECKPOINT,
        probes: Sequence[Probe] | None = None,
        candidates: Sequence[Candidate] = (),
        others: Sequence[Sample] | None = None,
        progress: Progress | None = None,
    ) -> Inspection:
        """Trace a sample, read its thought, run the probes and rank the candidates.

        A probe that cannot take this model or sample is skipped with its reason; so is a candidate that cannot be embedded.

        Args:
            sample: made by `make_sample`.
            checkpoint: bundled name or folder.
            probes: at most one of each kind; None runs every registered probe of traces with its defaults.
            candidates: documents to rank by cosine.
            others: samples whose thoughts serve as controls, at most 4; None takes bundled examples.
            progress: is told about each stage, unless the result was known.

        Raises:
            WorkbenchError: when the checkpoint or the sample cannot be used.
        """
        chosen = default_probes() if probes is None else tuple(probes)
        names = [probe.name for probe in chosen]
        if len(set(names)) < len(names):
            raise BadInput(f"Each probe runs once at a time, but these were asked for: {', '.join(names)}.")
        controls = [
            other for other in (_bundled_samples() if others is None else others) if _content(other) != _content(sample)
        ]
        clock = StageClock(progress, n_stages=4 + len(chosen) + bool(candidates))
        with clock.stage("load", "Loading the checkpoint"):
            path = resolve_checkpoint(checkpoint)
            model = self.model(checkpoint)
        job = _Job(
            sample=sample,
            path=path,
            model=model,
            probes=chosen,
            candidates=tuple(candidates),
            controls=tuple(controls[:MAX_CONTROLS]),
        )

        def make() -> Inspection:
            with self._busy, memory_told(NO_ROOM):
                return self._run(job, clock)

        found = self._inspections.get(job.key, make)
        # An equal sample may name other files than the one that was remembered, and those may be gone.
        trace = dataclasses.replace(found.trace, sample=sample)
        remarks = (note for image in sample.images for note in notes(image))
        return dataclasses.replace(found, sample=sample, trace=trace, notes=(*remarks, *found.notes))

    def attribute(
        self,
        sample: Sample,
        target: str,
        method: AttributionProbe,
        *,
        checkpoint: str = DEFAULT_CHECKPOINT,
        candidates: Sequence[Candidate] = (),
        thought: DecodedThought | None = None,
        checks: Sequence[MapCheck] = (),
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Explanation:
        """Say which patches of a sample's images made a number of it.

        Args:
            sample: made by `make_sample`; with at least one image.
            target: as text, see `workbench.targets`.
            method: with its parameters.
            checkpoint: bundled name or folder.
            candidates: what targets of the embedding compare with.
            thought: the text whose words can be targets; None takes the one that the model writes by itself.
            checks: tests that the map is put to.
            progress: is told how far it has come, unless the result was known.
            cancelled: asked between steps; when it says yes, Cancelled is raised and nothing is remembered.

        Raises:
            WorkbenchError: when the target names nothing, or the method cannot run on this model or sample.
        """
        spec, path = parse_target(target), resolve_checkpoint(checkpoint)
        model = self.model(checkpoint)
        question = Question(
            sample=sample,
            target=target.strip(),
            spec=spec,
            method=method,
            path=path,
            model=model,
            candidates=tuple(candidates),
            thought=thought,
            trace_key=_trace_key(model, sample),
        )
        with memory_told(NO_ROOM):
            return self._explainer.explain(question, checks, Caller(progress=progress, cancelled=cancelled))

    def _read(self, question: Question) -> tuple[Trace, DecodedThought | None]:
        job = _Job(
            sample=question.sample, path=question.path, model=question.model, probes=(), candidates=(), controls=()
        )
        trace = self._trace(job)
        return trace, self._thought(job, trace, {}) if question.thought is None else question.thought

    def _trace(self, job: "_Job") -> Trace:
        return self._traces.get(job.trace_key, lambda: job.model.trace([job.model.prepare(job.sample)])[0])

    def _run(self, job: "_Job", clock: StageClock) -> Inspection:
        remarks: list[str] = []
        with clock.stage("trace", "Reading image and query"):
            trace = self._trace(job)
        with clock.stage("controls", "Reading control samples"):
            asks_model = any(isinstance(probe, ModelProbe) for probe in job.probes)
            controls = self._trace_controls(job.model, job.controls if asks_model else ())
        remarks.extend(controls.remarks)
        results, skipped = self._measure(job, Subject(trace=trace, others=controls.traces), clock)
        with clock.stage("thought", "Writing the thought"):
            thought = self._thought(job, trace, results)
        ranking: tuple[Ranked, ...] = ()
        hidden: tuple[Hidden, ...] = ()
        if job.candidates:
            with clock.stage("candidates", f"Ranking {len(job.candidates)} candidates"):
                ranking, left_out = self._ranker.rank(job.model, trace.embedding, job.candidates)
                hidden = self._ranker.hide(job.model, trace, ranking)
            remarks.extend(left_out)
        return Inspection(
            sample=job.sample,
            trace=dataclasses.replace(trace, continuation=None),
            thought=thought,
            results=results,
            skipped=skipped,
            ranking=ranking,
            notes=tuple(remarks),
            seconds=clock.finish(),
            card=read_card(job.path),
            info=job.model.info,
            hidden=hidden,
        )

    def _trace_controls(self, model: Embedder, samples: Sequence[Sample]) -> "_Controls":
        """Trace the controls in a batch of their own: padding them to a long sample's length would cost far more."""
        if not samples:
            return _Controls()
        key = (model.info.provenance.checkpoint_sha256, tuple(map(_content, samples)))

        def make() -> _Controls:
            encoded, remarks = [], []
            for sample in samples:
                try:
                    encoded.append(model.prepare(sample))
                except (BadInput, Unsupported) as error:
                    remarks.append(f"A control sample was left out: {error}")
            traces = tuple(model.trace(encoded)) if encoded else ()
            return _Controls(traces=traces, remarks=tuple(remarks))

        return self._controls.get(key, make)

    def _thought(self, job: "_Job", trace: Trace, results: Mapping[str, ProbeResult]) -> DecodedThought | None:
        """The thought that the decode probe wrote; without that probe, one of the model's own."""
        if _DECODE in results:
            return thought_of(results[_DECODE])
        model = job.model
        if not isinstance(model, DecodesThoughts) or not model.info.contexts:
            return None
        return self._thoughts.get(job.trace_key, lambda: model.decode([trace])[0])

    def _measure(
        self, job: "_Job", subject: Subject, clock: StageClock
    ) -> tuple[dict[str, ProbeResult], dict[str, str]]:
        results: dict[str, ProbeResult] = {}
        skipped: dict[str, str] = {}
        controls = tuple(_content(trace.sample) for trace in subject.others)
        for probe in job.probes:
            with clock.stage(probe.name, f"Probe: {probe.title}"):
                if reason := missing(type(probe), job.model):
                    skipped[probe.name] = reason
                    continue
                key = (job.trace_key, key_of(probe), controls)
                try:
                    results[probe.name] = self._results.get(key, _measuring(probe, subject, job.model))
                except (BadInput, Unsupported) as error:
                    skipped[probe.name] = str(error)
        return results, skipped


def default_probes() -> tuple[Probe, ...]:
    """Every registered probe of traces with its default parameters."""
    return tuple(probe() for probe in traced_probes().values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Controls:
    traces: tuple[Trace, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One inspection, and the keys under which it is remembered."""

    sample: Sample
    path: Path
    model: Embedder
    probes: tuple[Probe, ...]
    candidates: tuple[Candidate, ...]
    controls: tuple[Sample, ...]

    @property
    def trace_key(self) -> Hashable:
        return _trace_key(self.model, self.sample)

    @property
    def key(self) -> Hashable:
        candidates = tuple(candidate.key for candidate in self.candidates)
        controls = tuple(map(_content, self.controls))
        return self.path, self.trace_key, tuple(map(key_of, self.probes)), candidates, controls


@cache
def _bundled_samples() -> tuple[Sample, ...]:
    return tuple(make_sample([example.image], example.query) for example in examples())


def _measuring(probe: Probe, subject: Subject, model: Embedder) -> Callable[[], ProbeResult]:
    def measure() -> ProbeResult:
        if isinstance(probe, TraceProbe):
            return probe.measure(subject.trace)
        if isinstance(probe, ModelProbe):
            return probe.measure(subject, model)
        raise TypeError(f"probe '{probe.name}' is neither a TraceProbe nor a ModelProbe")

    return measure


def _trace_key(model: Embedder, sample: Sample) -> Hashable:
    return model.info.provenance.checkpoint_sha256, _content(sample)


def _content(sample: Sample) -> Hashable:
    return sample.id, sample.role, sample.text, tuple(image.sha256 for image in sample.images)


def _fingerprint(path: Path) -> Hashable:
    """Tell a checkpoint from one that was trained again into the same folder, without reading its weights."""
    files = [
        (file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(path.iterdir()) if file.is_file()
    ]
    return path.resolve(), tuple(files)


def _weigh_result(result: ProbeResult) -> int:
    return sum(measure.values.nbytes for measure in result.measures)


def weigh_inspection(inspection: Inspection) -> int:
    """Bytes that an inspection holds, its trace included."""
    return weigh_trace(inspection.trace) + sum(map(_weigh_result, inspection.results.values()))
