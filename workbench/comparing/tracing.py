"""A model reads the question, part by part onto the disk; what is there already is not made again."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np

from workbench.assets import read_card
from workbench.comparing.question import Question
from workbench.comparing.reading import ABOUT, About, Part, Reading, ReadRow, ReadWords, part_name
from workbench.embedder import DecodesThoughts, Embedder, Keep, ReadsVocabulary
from workbench.errors import BadInput, Cancelled, Unreadable, Unsupported
from workbench.stages import Progress, quiet
from workbench.store import dumps, loads, write_bytes_atomic, write_text_atomic
from workbench.types import Encoded, Sample, Trace
from workbench.vocabulary import read_states

SIZE = 32
"""Rows whose thoughts are decoded together, and that are lost when it stops."""
WORDS = 3
"""Words told of each think token."""
MAX_TOKENS = 256
"""Tokens of a decoded thought; a longer one is cut off."""
_POSITIONS = {"cpu": 1_024, "cuda": 16_384}
"""Positions that run through the model together."""
_NOT_FINITE = "The model gave numbers that are not finite; another dtype (--dtype float32 or bfloat16) may help."
T = TypeVar("T")


def read_question(
    model: Embedder,
    question: Question,
    folder: Path,
    checkpoint: Path,
    *,
    tell: Progress = quiet,
    cancelled: Callable[[], bool] = lambda: False,
) -> Reading:
    """Have a model read all rows and embed all candidates.

    Args:
        model: of the checkpoint.
        question: what is read.
        folder: of this reading alone; complete parts in it are taken as they are, but for those that lack a row because its
            file could not be read.
        checkpoint: folder of the model, for its name and title.
        tell: told the share done.
        cancelled: asked before each batch.

    Raises:
        Cancelled: when `cancelled` said so; complete parts stay.
        BadInput: when the disk has no room.
    """
    tracer = _Tracer(model, folder, _Steps(question, tell, cancelled))
    tracer.read_rows([row.pair.query if row.pair else row.error for row in question.rows])
    tracer.read_documents(question.documents)
    card = read_card(checkpoint)
    about = About(
        name=card.name,
        title=card.title,
        knows=card.knows,
        info=model.info,
        question=question.key,
        data_revision=question.revision,
        n_rows=len(question.rows),
        n_documents=len(question.documents),
        size=SIZE,
        n_passing=tracer.n_passing,
        anew=tracer.anew,
    )
    with _written(folder):
        # Last: a folder with it is a complete reading.
        write_text_atomic(folder / ABOUT, dumps(about))
    return Reading(folder)


def is_read(folder: Path) -> bool:
    """Whether a folder holds a complete reading."""
    return (folder / ABOUT).is_file() and Reading(folder).is_whole


@final
class _Steps:
    """Counts rows and documents as they are done, and stops when nobody wants them."""

    def __init__(self, question: Question, tell: Progress, cancelled: Callable[[], bool]) -> None:
        self._total = len(question.rows) + len(question.documents)
        self._done = 0
        self._tell, self._cancelled = tell, cancelled

    def check(self, message: str) -> None:
        if self._cancelled():
            raise Cancelled("The comparison was cancelled; what was read so far is kept.")
        self._tell(self._done / self._total, message)

    def done(self, n: int) -> None:
        self._done += n


@final
class _Tracer:
    def __init__(self, model: Embedder, folder: Path, steps: _Steps) -> None:
        self._model = model
        self._folder = folder
        self._steps = steps
        self._room = _POSITIONS["cuda" if model.info.provenance.device.startswith("cuda") else "cpu"]
        self._decoder = model if isinstance(model, DecodesThoughts) and model.info.contexts else None
        self.n_passing = 0
        """Rows and candidates whose error may pass."""
        self.anew: dict[str, str] = {}
        """As `About.anew`."""

    def read_rows(self, queries: Sequence[Sample | str]) -> None:
        message = f"Reading samples with {self._model.info.name}"
        for number, part in self._missing("rows", queries, message):
            rows = [ReadRow(error=one) if isinstance(one, str) else ReadRow() for one in part]
            traces: dict[int, Trace] = {}
            maps: dict[int, np.ndarray] = {}
            for batch in self._batches(part, rows):
                self._steps.check(message)
                for place, trace in self._trace(part, batch, rows):
                    maps[place] = cell_attention(trace)
                    # Only the cache is needed from here on. Whole attention of a part would be the largest thing held, and a
                    # slice of it, however small, would hold it.
                    none = np.zeros((0, *trace.attention.shape[1:]), dtype=np.float32)
                    traces[place] = replace(trace, attention=none)
            self._read_thoughts(traces, rows)
            self._write("rows", number, rows, _arrays(traces, maps))

    def read_documents(self, documents: Sequence[Sample]) -> None:
        message = f"Embedding candidates with {self._model.info.name}"
        for number, part in self._missing("documents", documents, message):
            rows = [ReadRow() for _ in part]
            found: dict[int, np.ndarray] = {}
            for batch in self._batches(part, rows):
                self._steps.check(message)
                encoded = self._prepare(part, batch, rows)
                embedded = self._model.embed(list(encoded.values())) if encoded else ()
                for place, embedding in zip(encoded, embedded, strict=True):
                    if np.isfinite(embedding).all():
                        found[place] = embedding
                    else:
                        rows[place] = ReadRow(error=_NOT_FINITE)
            arrays = {"embedding": np.stack([found[place] for place in sorted(found)])} if found else {}
            self._write("documents", number, rows, arrays)

    def _missing(self, kind: str, items: Sequence[T], message: str) -> Iterator[tuple[int, Sequence[T]]]:
        for number, begin in enumerate(range(0, len(items), SIZE)):
            part = items[begin : begin + SIZE]
            self._steps.check(message)
            name = part_name(kind, number)
            done = [one for one, rows in self._held(name).items() if not any(row.passing for row in rows)]
            if done:
                self._take(name, done[0])
            else:
                yield number, part
            self._steps.done(len(part))

    def _held(self, name: str) -> dict[str, tuple[ReadRow, ...]]:
        """What is complete of a part, as it was read at first and anew."""
        names = [name, *sorted(path.stem for path in self._folder.glob(f"{name}-*.json"))]
        return {
            one: loads(Part, (self._folder / f"{one}.json").read_text(encoding="utf-8")).rows
            for one in names
            if all((self._folder / f"{one}.{ending}").is_file() for ending in ("json", "safetensors"))
        }

    def _take(self, name: str, held: str) -> None:
        if held != name:
            self.anew[name] = held

    def _batches(self, part: Sequence[Sample | str], rows: list[ReadRow]) -> Iterator[list[int]]:
        """Places of samples of like length that, padded to the longest, fit into the room; at least one."""
        lengths: dict[int, int] = {}
        for place, one in enumerate(part):
            if isinstance(one, str):
                continue
            try:
                lengths[place] = self._model.length(one)
            except (BadInput, Unsupported) as error:
                rows[place] = _refused(error)
        run: list[int] = []
        for place in sorted(lengths, key=lambda place: (lengths[place], place)):
            if run and (len(run) + 1) * lengths[place] > self._room:
                yield run
                run = []
            run.append(place)
        if run:
            yield run

    def _prepare(self, part: Sequence[Any], batch: Sequence[int], rows: list[ReadRow]) -> dict[int, Encoded]:
        found: dict[int, Encoded] = {}
        for place in batch:
            try:
                found[place] = self._model.prepare(part[place])
            except (BadInput, Unsupported) as error:
                rows[place] = _refused(error)
        return found

    def _trace(self, part: Sequence[Any], batch: Sequence[int], rows: list[ReadRow]) -> list[tuple[int, Trace]]:
        encoded = self._prepare(part, batch, rows)
        if not encoded:
            return []
        try:
            traces = self._model.trace(list(encoded.values()), Keep(edits=False))
        except (BadInput, Unsupported) as error:
            if len(batch) == 1:
                rows[batch[0]] = _refused(error)
                return []
            # What one sample of a batch is refused for must not cost the others theirs.
            return [found for place in batch for found in self._trace(part, [place], rows)]
        found = []
        for place, trace in zip(encoded, traces, strict=True):
            if all(np.isfinite(one).all() for one in (trace.embedding, trace.latents)):
                found.append((place, trace))
            else:
                rows[place] = ReadRow(error=_NOT_FINITE)
        return found

    def _read_thoughts(self, traces: dict[int, Trace], rows: list[ReadRow]) -> None:
        if not traces:
            return
        model, held = self._model, list(traces.values())
        thoughts = [None] * len(held) if self._decoder is None else self._decoder.decode(held, max_tokens=MAX_TOKENS)
        words = (
            _read_words(model, held) if isinstance(model, ReadsVocabulary) and model.info.n_think else [()] * len(held)
        )
        for place, trace, thought, read in zip(traces, held, thoughts, words, strict=True):
            rows[place] = ReadRow(thought=thought, grids=trace.grids, think=read)

    def _write(self, kind: str, number: int, rows: list[ReadRow], arrays: dict[str, np.ndarray]) -> None:
        from safetensors.numpy import save

        self.n_passing += sum(row.passing for row in rows)
        name, content, text = part_name(kind, number), save(arrays), dumps(Part(rows=tuple(rows)))
        held = self._held(name)
        failed = [row.error for row in rows]
        same = [one for one, before in held.items() if [row.error for row in before] == failed]
        if same:
            # Nothing came of reading it anew; so a file that has gone for good does not fill the disk.
            self._take(name, same[0])
            return
        at = name if name not in held else f"{name}-{hashlib.sha256(content + text.encode()).hexdigest()[:16]}"
        with _written(self._folder):
            write_bytes_atomic(self._folder / f"{at}.safetensors", content)
            write_text_atomic(self._folder / f"{at}.json", text)
        self._take(name, at)


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Around what writes, and nothing else: an error of the model or of an image is not one of the disk."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"Readings cannot be written to {folder.parent} ({error.strerror or error}); free some space, or name another folder "
            "with --keep."
        ) from error


def _refused(error: BadInput | Unsupported) -> ReadRow:
    return ReadRow(error=str(error), passing=isinstance(error, Unreadable))


def cell_attention(trace: Trace) -> np.ndarray:
    """Rows of attention on the cells of all images, one after the other; mean over layers and heads."""
    layers, heads, rows, _ = trace.attention.shape
    if not layers * heads:
        return np.zeros((rows, 0), dtype=np.float32)
    mean = trace.attention.mean(axis=(0, 1))
    parts = [mean[:, grid.positions] for grid in trace.grids]
    return np.ascontiguousarray(np.concatenate(parts, axis=1)) if parts else np.zeros((rows, 0), dtype=np.float32)


def _arrays(traces: dict[int, Trace], maps: dict[int, np.ndarray]) -> dict[str, np.ndarray]:
    if not traces:
        return {}
    held = [traces[place] for place in sorted(traces)]
    arrays = {f"attention.{place}": one for place, one in maps.items()}
    arrays["embedding"] = np.stack([trace.embedding for trace in held])
    if held[0].n_think:
        arrays["latents"] = np.stack([trace.latents for trace in held])
    return arrays


def _read_words(model: ReadsVocabulary, traces: Sequence[Trace]) -> list[tuple[ReadWords, ...]]:
    states = np.stack([trace.latents[-1] for trace in traces])
    n, think, width = states.shape
    read = read_states(model, states.reshape(-1, width), WORDS)
    known, places = np.unique(read.ids, return_inverse=True)
    texts = model.words(known)
    told = [
        ReadWords(words=tuple(texts[place] for place in row), probabilities=tuple(map(float, likely)))
        for row, likely in zip(places.reshape(read.ids.shape), read.probabilities, strict=True)
    ]
    return [tuple(told[at : at + think]) for at in range(0, n * think, think)]
