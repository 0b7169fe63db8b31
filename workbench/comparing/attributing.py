"""Attribution maps of single samples, made when somebody asks for them, on the disk beside the reading that they belong to."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from workbench.attribution import AttributionProbe, held_text, remarks_of
from workbench.comparing.kept import mark_used
from workbench.comparing.making import Compared, Setup, with_model
from workbench.comparing.question import Question
from workbench.comparing.reading import Reading
from workbench.embedder import Differentiable, Embedder
from workbench.errors import BadInput, Cancelled, Unreadable, Unsupported
from workbench.explanation import shares_of, values_of
from workbench.probe import missing
from workbench.resolution import Candidates, resolve
from workbench.stages import Progress, part_of, quiet
from workbench.store import dumps, loads, write_bytes_atomic, write_text_atomic
from workbench.targets import Target, TargetSpec, parse_target
from workbench.types import Trace

VERSION = 2
"""Raised when maps would come out otherwise, so that older ones are not taken for them."""
_TOLD = 100
"""Characters of a candidate that a note shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributedRow:
    """What one method said of one sample under one checkpoint, without its maps."""

    gaps: tuple[float | None, ...] = ()
    """Completeness gap of each think token and of the embedding; None where there is no map, or the method has none."""
    notes: tuple[str, ...] = ()
    """What could not be attributed and why, and what was sampled or stopped early."""


def attribute_samples(
    compared: Compared,
    samples: Sequence[int],
    method: AttributionProbe,
    setup: Setup,
    *,
    sides: Sequence[int] | None = None,
    tell: Progress = quiet,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Attribute samples under every checkpoint, one model in memory at a time; maps that are there already are not made again.

    Each think token's target is its final state along the word that it reads as; the embedding's is its cosine to the right
    document (its own first candidate where the data name none) less the mean of the others. Which word a state reads as may
    differ between checkpoints, and so may what a map is a map of.

    Args:
        compared: as `make_comparison` gave it.
        samples: their numbers. One without an image, or that a checkpoint could not read, is left out.
        method: with its parameters.
        setup: as for the comparison.
        sides: numbers of the checkpoints; None: all of them.
        tell: told the share done.
        cancelled: asked between the steps of the method.

    Raises:
        BadInput: when a checkpoint has changed, its reading was cleared, or maps cannot be written.
        Unreadable: when the image of a sample cannot be read any more.
        OutOfMemory: when a model does not fit; maps that are made stay.
        Cancelled: when `cancelled` said so; likewise.
    """
    numbers = range(len(compared.chosen)) if sides is None else sides

    def between() -> bool:
        # Attribution may take hours; the readings are in use all the while.
        mark_used(reading.folder for reading in compared.readings)
        return cancelled()

    for place, side in enumerate(numbers):
        reading = compared.readings[side]
        todo = [
            sample
            for sample in samples
            if reading.rows[sample].grids and not _is_made(_path(reading, sample, method, compared.question))
        ]
        if todo:
            mine = part_of(tell, place / len(numbers), 1 / len(numbers))
            maker = _Maker(compared.question, reading, method, setup, mine, between)
            with_model(
                compared.chosen[side], setup, mine, lambda model, maker=maker, todo=todo: maker.make(model, todo)
            )
    tell(1.0, "done")


def read_attributed(
    reading: Reading, sample: int, method: AttributionProbe, question: Question
) -> tuple[AttributedRow, Float[np.ndarray, "rows cells"]] | None:
    """What was made, or None. Maps are shares: absolute values of a row sum to 1, signs are kept; NaN in a row without a map."""
    path = _path(reading, sample, method, question)
    if not _is_made(path):
        return None
    from safetensors.numpy import load_file

    row = loads(AttributedRow, path.read_text(encoding="utf-8"))
    return row, load_file(path.with_suffix(".safetensors"))["maps"]


class _Maker:
    def __init__(
        self,
        question: Question,
        reading: Reading,
        method: AttributionProbe,
        setup: Setup,
        tell: Progress,
        cancelled: Callable[[], bool],
    ) -> None:
        self._question = question
        self._reading = reading
        self._documents = reading.documents()
        self._method = method
        self._setup = setup
        self._tell = tell
        self._cancelled = cancelled

    def make(self, model: Embedder, samples: Sequence[int]) -> None:
        with self._setup.turn() as give_way:
            for place, sample in enumerate(samples):
                mine = part_of(self._tell, place / len(samples), 1 / len(samples))

                def tick(done: float, message: str, mine: Progress = mine) -> None:
                    if self._cancelled():
                        raise Cancelled("The attribution was cancelled; maps that were made are kept.")
                    mine(min(done, 1.0), message)
                    give_way()

                tick(0.0, f"{self._method.title} with {self._reading.info.name}")
                row, maps = self._attribute(model, sample, tick)
                self._write(sample, row, maps)

    def _attribute(
        self, model: Embedder, sample: int, tick: Callable[[float, str], None]
    ) -> tuple[AttributedRow, np.ndarray]:
        pair = self._question.rows[sample].pair
        assert pair is not None
        maps = np.full(self._reading.attention(sample).shape, np.nan, dtype=np.float32)
        empty = (None,) * len(maps)
        reason = missing(type(self._method), model)
        if reason:
            return AttributedRow(gaps=empty, notes=(reason,)), maps
        try:
            encoded = model.prepare(pair.query)
            trace = model.trace([encoded])[0]
            targets, notes = self._targets(model, sample, trace)
            assert isinstance(model, Differentiable)
            notes = (*notes, *held_text(model.info))
            objective = model.objective(model.hold(encoded, trace), list(targets.values()), level=self._method.level)
            result = self._method.explain(objective, trace, tick)
        except Unreadable:
            raise  # This may pass, and what is written down stays.
        except (BadInput, Unsupported) as error:
            return AttributedRow(gaps=empty, notes=(str(error),)), maps
        maps[list(targets)] = shares_of(result)
        gaps = dict(zip(targets, values_of(result, "completeness_gap") or (), strict=False))
        told = tuple(gaps.get(row) for row in range(len(maps)))
        return AttributedRow(gaps=told, notes=(*notes, *remarks_of(result))), maps

    def _targets(self, model: Embedder, sample: int, trace: Trace) -> tuple[dict[int, Target], tuple[str, ...]]:
        """By the row of the map that is theirs. Raises Unsupported where nothing can be attributed."""
        notes: list[str] = []
        found: dict[int, Target] = {}
        if trace.n_think:
            try:
                found |= enumerate(resolve(parse_target("think"), model, trace, None, None))
            except Unsupported as error:
                notes.append(f"Think tokens: {error}")
        documents = self._documents
        known = np.flatnonzero(np.isfinite(documents).all(axis=1))
        if known.size:
            target = self._question.rows[sample].target
            if target is None or target not in known:
                why = (
                    "the data name no right document" if target is None else "the right document could not be embedded"
                )
                target = int(known[np.argmax(documents[known] @ trace.embedding)])
                told = self._question.told(target)
                told = told if len(told) <= _TOLD else f"{told[: _TOLD - 1]}…"
                notes.append(f"Embedding: {why}, so its map is about this checkpoint's own first candidate, '{told}'.")
            candidates = Candidates(names=tuple(map(str, known)), embeddings=documents[known])
            spec = TargetSpec(about="embedding", candidate=str(target))
            found[trace.n_think] = resolve(spec, model, trace, None, candidates)[0]
        else:
            notes.append("Embedding: no candidate could be embedded, so there is nothing to compare it with.")
        if not found:
            raise Unsupported(" ".join(notes))
        return found, tuple(notes)

    def _write(self, sample: int, row: AttributedRow, maps: np.ndarray) -> None:
        from safetensors.numpy import save

        path = _path(self._reading, sample, self._method, self._question)
        try:
            write_bytes_atomic(path.with_suffix(".safetensors"), save({"maps": maps}))
            # Last: with it the maps are complete.
            write_text_atomic(path, dumps(row))
        except OSError as error:
            raise BadInput(
                f"Maps cannot be written to {path.parent} ({error.strerror or error}); free some space, or name another "
                "folder with --keep."
            ) from error


def _is_made(path: Path) -> bool:
    return path.is_file() and path.with_suffix(".safetensors").is_file()


def _path(reading: Reading, sample: int, method: AttributionProbe, question: Question) -> Path:
    """Equal for maps that would come out equal; the reading's folder stands for checkpoint, rows and candidates.

    Which candidates it could embed is named too: a file that could not be read may be there again when it is read anew.
    """
    refused = sorted(reading.refused_documents)
    asked = [VERSION, method.name, method.version, asdict(method), question.rows[sample].target, refused]
    key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
    return reading.folder / f"attribution-{sample:05d}-{key}.json"
