"""How a comparison is made: each checkpoint is read in its turn and let go, then readings are set beside each other."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, final

import numpy as np

from workbench.assets import read_card, resolve_checkpoint
from workbench.comparing.groups import Groups, group_rows
from workbench.comparing.kept import Kept, mark_used
from workbench.comparing.pairing import compare_pair
from workbench.comparing.question import Question, check_unchanged
from workbench.comparing.reading import VERSION, Reading
from workbench.comparing.scores import UNKNOWN, Scores, score, tell_metrics, writes
from workbench.comparing.tracing import MAX_TOKENS, is_read, read_question
from workbench.comparison import ComparedSample, Comparison, PairComparison, Placed, Refused, Side, Source
from workbench.embedder import Embedder
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.memory import memory_told
from workbench.models.checkpoint import check_format, choose_device, let_go, load_checkpoint
from workbench.models.reading import check_folder, checkpoint_hash
from workbench.stages import Progress, part_of, quiet
from workbench.stats import top_k

T = TypeVar("T")
MAX_CHECKPOINTS = 8
FIRST = 10
"""Candidates that are told of each ranking."""
_READING = 0.9
"""Share of the progress for models; the rest is for figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A checkpoint that is to be read, known by its content."""

    path: Path
    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Where models come from and run, and where readings are kept."""

    kept: Kept
    device: str | None = None
    dtype: str | None = None
    load: Callable[[Path], Embedder] | None = None
    """None loads the checkpoint anew, and lets it go when it has read."""
    turn: Callable[[], AbstractContextManager[Callable[[], None]]] = lambda: nullcontext(lambda: None)
    """Entered while a model reads; what it gives is called between batches."""

    def key(self, question: Question, chosen: Chosen) -> str:
        """Of one reading: equal for what would come out equal."""
        device, dtype = choose_device(self.device, self.dtype)
        asked = [VERSION, question.key, chosen.sha256, device.type, str(dtype), MAX_TOKENS]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]


@final
@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison with what it was made from, so that any of its samples can be opened."""

    comparison: Comparison
    question: Question
    readings: tuple[Reading, ...]
    chosen: tuple[Chosen, ...]
    """Of the readings; of what was asked for, one that could not be read is left out."""

    @property
    def is_whole(self) -> bool:
        """Whether it would come out the same again: nothing is missing that may go well another time.

        A checkpoint that could not be read at all may be the next time; that two cannot be set beside each other lasts.
        """
        read = {one.name for one in self.chosen}
        return all(one.what in read for one in self.comparison.refused) and all(
            reading.is_whole for reading in self.readings
        )


def choose(names: Sequence[str]) -> tuple[Chosen, ...]:
    """Find checkpoints and know them by their content, before any is loaded.

    Args:
        names: bundled names or folders, the reference first.

    Raises:
        BadInput: for fewer than two or more than eight of them, or two that are the same.
        BadCheckpoint: for a folder that is no checkpoint, or one of no known format.
    """
    if not 2 <= len(names) <= MAX_CHECKPOINTS:
        raise BadInput(f"A comparison is of 2 to {MAX_CHECKPOINTS} checkpoints, not {len(names)}.")
    found: list[Chosen] = []
    called = []
    for given in names:
        path = resolve_checkpoint(given)
        check_folder(path)
        check_format(path)
        sha256 = checkpoint_hash(path)
        for other in found:
            if other.sha256 == sha256:
                same = "given twice" if other.path.resolve() == path.resolve() else f"the same as '{other.path}'"
                raise BadInput(f"The checkpoint '{given[:200]}' is {same}; a comparison needs checkpoints that differ.")
        called.append(read_card(path).name)
        found.append(Chosen(path=path, name=str(path), sha256=sha256))
    # Where two have the same name, none keeps it: which of both is meant could not be told.
    return tuple(
        replace(one, name=name) if called.count(name) == 1 else one for one, name in zip(found, called, strict=True)
    )


def make_comparison(
    chosen: Sequence[Chosen],
    question: Question,
    setup: Setup,
    *,
    by: str | None = None,
    tell: Progress = quiet,
    cancelled: Callable[[], bool] = lambda: False,
) -> Compared:
    """Read the question with every checkpoint, one model in memory at a time, and compare the first with each other one.

    Of three or more checkpoints, one that fails costs the others nothing: the comparison says why it is not in it.

    Args:
        chosen: as `choose` gave them.
        question: what they are asked.
        setup: where models run and readings are kept; a complete reading there is taken as it is.
        by: column of the data by whose values quality is told too; None: `task`, where there is one.
        tell: told the share done.
        cancelled: asked before each batch and each figure.

    Raises:
        BadInput: for a column that cannot make groups. And when no pair can be compared: no sample that both could read, data
            or a checkpoint that changed meanwhile, a reading that cannot be written or that somebody cleared.
        BadCheckpoint: when the reference, or the one other, cannot be loaded.
        OutOfMemory: when the reference, or the one other, does not fit; complete parts of all readings stay.
        Cancelled: when `cancelled` said so; likewise.
    """
    begin = time.perf_counter()
    groups = group_rows(question, by)
    read, refused = _read_all(chosen, question, setup, tell, cancelled)
    readings, names = [reading for _, reading in read], [one.name for one, _ in read]
    folders = [reading.folder for reading in readings]
    mark_used(folders)
    setup.kept.tidy({folder.name for folder in folders})
    tell(_READING, "Comparing")
    scores = [score(question, reading, name) for reading, name in zip(readings, names, strict=True)]
    pairs, unlike = _pairs(readings, scores, names, groups, tell, cancelled, alone=len(chosen) == 2)
    refused += unlike
    if not pairs:
        why = " ".join(f"'{one.what}': {one.why}" for one in refused)
        raise BadInput(f"None of the other checkpoints could be compared with '{names[0]}'. {why}")
    comparison = Comparison(
        source=_source(question),
        sides=tuple(_side(reading, name) for reading, name in zip(readings, names, strict=True)),
        metrics=tell_metrics(scores),
        grouped_by=groups.column,
        pairs=tuple(pairs),
        refused=tuple(refused),
        samples=_samples(question, readings, scores),
        notes=(*question.notes, *_notes(readings, names), *((groups.note,) if groups.note else ())),
        seconds=round(time.perf_counter() - begin, 3),
    )
    tell(1.0, "done")
    return Compared(comparison, question, tuple(readings), tuple(one for one, _ in read))


def _read_all(
    chosen: Sequence[Chosen], question: Question, setup: Setup, tell: Progress, cancelled: Callable[[], bool]
) -> tuple[list[tuple[Chosen, Reading]], list[Refused]]:
    """The readings of those that could read, and why the others could not. Raises when no two are left to be compared."""
    share = _READING / len(chosen)
    read: list[tuple[Chosen, Reading]] = []
    refused: list[Refused] = []

    def between() -> bool:
        # While one reads, perhaps for hours, those before it are in use all the same.
        mark_used(reading.folder for _, reading in read)
        return cancelled()

    for number, one in enumerate(chosen):
        try:
            reading = _read(one, question, setup, part_of(tell, number * share, share), between)
        except Cancelled:
            raise
        except WorkbenchError as error:
            if number == 0 or len(chosen) == 2:
                raise
            refused.append(Refused(what=one.name, why=str(error)))
        else:
            read.append((one, reading))
        # Here, where no error holds on to it any more.
        let_go()
    return read, refused


def _pairs(
    readings: Sequence[Reading],
    scores: Sequence[Scores],
    names: Sequence[str],
    groups: Groups,
    tell: Progress,
    cancelled: Callable[[], bool],
    *,
    alone: bool,
) -> tuple[list[PairComparison], list[Refused]]:
    """The first with each other one, and which could not be compared with it. An error is raised where there is one alone."""
    part = (1 - _READING) / len(readings)
    pairs: list[PairComparison] = []
    refused: list[Refused] = []
    for other in range(1, len(readings)):
        try:
            pair = compare_pair(
                (readings[0], readings[other]),
                (scores[0], scores[other]),
                (names[0], names[other]),
                other,
                groups,
                tell=part_of(tell, _READING + part * (other - 1), part),
                cancelled=cancelled,
            )
        except BadInput as error:
            if alone:
                raise
            refused.append(Refused(what=names[other], why=str(error)))
        else:
            pairs.append(pair)
    return pairs, refused


def _read(one: Chosen, question: Question, setup: Setup, tell: Progress, cancelled: Callable[[], bool]) -> Reading:
    folder = setup.kept.open(setup.key(question, one))
    if is_read(folder):
        tell(1.0, f"{one.name} was read before")
        return Reading(folder)
    check_unchanged(question)

    def read(model: Embedder) -> Reading:
        with setup.turn() as give_way:

            def between() -> bool:
                if not cancelled():
                    give_way()
                return cancelled()

            return read_question(model, question, folder, one.path, tell=tell, cancelled=between)

    return with_model(one, setup, tell, read)


def with_model(one: Chosen, setup: Setup, tell: Progress, use: Callable[[Embedder], T]) -> T:
    """Load a checkpoint, use it and let it go, so that no two are in memory.

    Raises:
        OutOfMemory: when it does not fit.
        BadInput: when it is no longer the one that was chosen.
    """
    with memory_told(
        f"Memory ran out while '{one.name}' was read. What was read before is kept in {setup.kept.root}, and the same comparison "
        "goes on from there; close other programs, or take a smaller dtype (--dtype bfloat16) or another device."
    ):
        tell(0.0, f"Loading {one.name}")
        if setup.load is not None:
            return use(_unchanged(one, setup.load(one.path)))
        try:
            return use(_unchanged(one, load_checkpoint(one.path, device=setup.device, dtype=setup.dtype)))
        finally:
            let_go()


def check_loaded(one: Chosen, model: Embedder) -> None:
    """Raise BadInput when a checkpoint was changed on the disk between choosing and loading: it would be read under a false name."""
    # A format need not tell the hash of what it loaded.
    if (model.info.provenance.checkpoint_sha256 or checkpoint_hash(one.path)) != one.sha256:
        raise BadInput(
            f"The checkpoint '{one.name}' in '{one.path}' has changed on the disk since it was chosen; start again."
        )


def _unchanged(one: Chosen, model: Embedder) -> Embedder:
    check_loaded(one, model)
    return model


def _source(question: Question) -> Source:
    return Source(
        data=question.data,
        split=question.split,
        title=question.title,
        revision=question.revision,
        n=len(question.rows),
        n_candidates=len(question.documents),
    )


def _side(reading: Reading, name: str) -> Side:
    info = reading.info
    return Side(
        name=name,
        title=reading.about.title,
        knows=reading.about.knows,
        n_think=info.n_think,
        n_layers=info.n_layers,
        width=info.width,
        dim=info.dim,
        writes=writes(reading),
        read=sum(not row.error for row in reading.rows),
        provenance=info.provenance,
    )


def _notes(readings: Sequence[Reading], names: Sequence[str]) -> Iterator[str]:
    for reading, name in zip(readings, names, strict=True):
        if failed := [row.error for row in reading.rows if row.error]:
            yield f"'{name}' could not read {len(failed):,} of {len(reading.rows):,} samples. The first reason: {failed[0]}"
        if refused := reading.refused_documents:
            yield (
                f"'{name}' could not embed {len(refused):,} of {reading.about.n_documents:,} candidates. The first reason: "
                f"{next(iter(refused.values()))}"
            )
        thoughts = [row.thought for row in reading.rows if row.thought is not None]
        if cut := sum(thought.finish == "length" for thought in thoughts):
            yield (
                f"{cut:,} of {len(thoughts):,} texts of '{name}' did not end within the tokens that a text may have and were cut "
                "off; what would stand after the cut counts as not said."
            )


def _samples(question: Question, readings: Sequence[Reading], scores: Sequence[Scores]) -> tuple[ComparedSample, ...]:
    texts = [question.told(place) for place in range(len(question.documents))]
    found = []
    for place, row in enumerate(question.rows):
        query = row.pair.query if row.pair is not None else None
        read = [reading.rows[place] for reading in readings]
        found.append(
            ComparedSample(
                id=row.id,
                row=row.number,
                text=query.text if query else "",
                images=tuple(image.name for image in query.images) if query else (),
                answer=row.pair.answer if row.pair is not None else "",
                target="" if row.target is None else question.names[row.target],
                thoughts=tuple(None if one.thought is None else one.thought.text for one in read),
                ranks=tuple(None if one.ranks[place] == UNKNOWN else int(one.ranks[place]) for one in scores),
                first=tuple(_first(one, place, question.names, texts) for one in scores),
                errors=tuple(one.error for one in read),
            )
        )
    return tuple(found)


def _first(scores: Scores, place: int, names: Sequence[str], texts: Sequence[str]) -> tuple[Placed, ...]:
    known = np.flatnonzero(np.isfinite(scores.cosines[place]))
    if not known.size:
        return ()
    best: list[int] = known[top_k(scores.cosines[place][known], FIRST)].tolist()
    return tuple(Placed(id=names[at], text=texts[at], score=float(scores.cosines[place, at])) for at in best)
