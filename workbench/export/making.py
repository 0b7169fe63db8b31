"""From the rows of a part to its records: batches of like length, images decoded ahead of the model, thoughts together.

What is in a batch depends on the part's rows and the plan alone, so that a part is the same whoever makes it.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import final

import numpy as np

from workbench.data.records import Pair, Row
from workbench.data.sifting import make_pair
from workbench.embedder import DecodesThoughts, Embedder, Keep
from workbench.errors import BadInput, Unsupported
from workbench.export.arrays import arrays_reference, trace_arrays
from workbench.export.plan import Plan
from workbench.export.reading import checks_of, knockout_values, lens_values, read_words, think_values
from workbench.export.record import Record, done_record, failed_record, thought_values
from workbench.types import DecodedThought, Encoded, Trace

_POSITIONS = 65_536
"""Positions of a batch at most: what decoding goes on from is held for all of its samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A part as it is to be written."""

    records: tuple[Record, ...]
    """One for each row, in their order."""
    arrays: dict[str, np.ndarray]
    """By the keys that the records name; empty when no extra asked for any."""
    done: int
    failed: int
    seconds: float
    model_seconds: float
    """Of them, the model's own: passes, decoding, and reading of words."""


@dataclass(slots=True, kw_only=True)
class _Entry:
    """A row on its way."""

    row: Row
    pair: Pair | None = None
    length: int = 0
    error: str = ""


@dataclass(slots=True)
class _Part:
    """What has been made so far of a part."""

    file: str
    records: dict[int, Record] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    model_seconds: float = 0.0


@final
class Maker:
    """Makes parts of one export with one model, one after the other.

    Args:
        plan: the export.
        model: of the plan's checkpoint. One that cannot decode gives records whose thought is null.

    Raises:
        Unsupported: for a context that the model was not trained for.
    """

    def __init__(self, plan: Plan, model: Embedder) -> None:
        self._plan = plan
        self._model = model
        self._decoder = model if isinstance(model, DecodesThoughts) and model.info.contexts else None
        if plan.context is not None and plan.context not in model.info.contexts:
            known = ", ".join(model.info.contexts) or "none"
            raise Unsupported(
                f"'{model.info.name}' was not trained to decode with the context '{plan.context}', only: {known}."
            )
        # Threads that open images take time from a model on the same core, and wait for nothing on a GPU's machine.
        on_gpu = model.info.provenance.device.startswith("cuda")
        self._pool = ThreadPoolExecutor(4 if on_gpu else 1, thread_name_prefix="ahead")

    def make(self, rows: Sequence[Row], *, arrays_file: str) -> Made:
        """Make the records of a part.

        Args:
            rows: as the reader gave them, their ids filled in. Their images are opened here.
            arrays_file: by this name the records refer to the part's arrays.

        Raises:
            BadInput: under "stop", for the first row that cannot be read, naming it. A sample that the *model* refuses
                gives a record with the reason, whatever is asked for bad rows.
        """
        begun = time.perf_counter()
        part = _Part(arrays_file)
        entries = list(self._pool.map(self._open, rows))
        for entry in entries:
            if entry.error:
                part.records[entry.row.number] = failed_record(entry.row, entry.error, entry.pair)
        for batch, futures in self._ahead(self._batches(entries)):
            self._run(part, batch, futures)
        records = tuple(part.records[row.number] for row in rows)
        failed = sum(record["error"] is not None for record in records)
        return Made(
            records=records,
            arrays=part.arrays,
            done=len(records) - failed,
            failed=failed,
            seconds=time.perf_counter() - begun,
            model_seconds=part.model_seconds,
        )

    def _open(self, row: Row) -> _Entry:
        try:
            pair = make_pair(row)
        except BadInput as error:
            if self._plan.on_error == "stop":
                raise
            return _Entry(row=row, error=str(error))
        try:
            return _Entry(row=row, pair=pair, length=self._model.length(pair.query))
        except (BadInput, Unsupported) as error:
            return _Entry(row=row, pair=pair, error=str(error))

    def _batches(self, entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
        waiting = sorted((e for e in entries if not e.error), key=lambda entry: (entry.length, entry.row.number))
        run: list[_Entry] = []
        for entry in waiting:
            if run and (len(run) == self._plan.batch or (len(run) + 1) * entry.length > _POSITIONS):
                yield run
                run = []
            run.append(entry)
        if run:
            yield run

    def _ahead(self, batches: Iterator[list[_Entry]]) -> Iterator[tuple[list[_Entry], list[Future[Encoded | str]]]]:
        """Each batch with its samples under preparation, and the plan's number of batches after it."""
        begun: deque[tuple[list[_Entry], list[Future[Encoded | str]]]] = deque()
        try:
            for batch in batches:
                begun.append((batch, [self._pool.submit(self._prepare, entry) for entry in batch]))
                if len(begun) > self._plan.ahead:
                    yield begun.popleft()
            while begun:
                yield begun.popleft()
        finally:
            for _, futures in begun:
                for future in futures:
                    future.cancel()

    def _prepare(self, entry: _Entry) -> Encoded | str:
        assert entry.pair is not None
        try:
            return self._model.prepare(entry.pair.query)
        except (BadInput, Unsupported) as error:
            return str(error)

    def _run(self, part: _Part, batch: Sequence[_Entry], futures: Sequence[Future[Encoded | str]]) -> None:
        ready: list[tuple[_Entry, Encoded]] = []
        for entry, future in zip(batch, futures, strict=True):
            encoded = future.result()
            if isinstance(encoded, str):
                part.records[entry.row.number] = failed_record(entry.row, encoded, entry.pair)
            else:
                ready.append((entry, encoded))
        if ready:
            self._think(part, ready)

    def _think(self, part: _Part, ready: Sequence[tuple[_Entry, Encoded]]) -> None:
        begun = time.perf_counter()
        try:
            traces = self._traces([encoded for _, encoded in ready])
            thoughts = self._decode(traces)
        except (BadInput, Unsupported) as error:
            if len(ready) == 1:
                [(entry, _)] = ready
                part.records[entry.row.number] = failed_record(entry.row, str(error), entry.pair)
                return
            for one in ready:  # what one sample of a batch is refused for must not cost the others theirs
                self._think(part, [one])
            return
        words = read_words(self._model, traces, top=self._plan.top, layers="lens" in self._plan.extras)
        part.model_seconds += time.perf_counter() - begun
        for (entry, _), trace, thought, read in zip(ready, traces, thoughts, words, strict=True):
            assert entry.pair is not None
            row = entry.row.number
            arrays = trace_arrays(trace, row, self._plan.extras)
            part.arrays |= arrays
            extras = self._plan.extras
            part.records[row] = done_record(
                entry.row,
                entry.pair,
                {
                    "thought": None if thought is None else thought_values(thought),
                    "think_tokens": think_values(self._model.info.think_tokens, read),
                    "lens": lens_values(read) if "lens" in extras else None,
                    "knockout": knockout_values(trace) if "knockout" in extras else None,
                    "arrays": arrays_reference(part.file, row, arrays),
                    "checks": checks_of(trace, thought),
                },
            )

    def _traces(self, encoded: Sequence[Encoded]) -> list[Trace]:
        keep = Keep(attention="attention" in self._plan.extras, edits="knockout" in self._plan.extras)
        return self._model.trace(encoded, keep)

    def _decode(self, traces: Sequence[Trace]) -> Sequence[DecodedThought | None]:
        if self._decoder is None:
            return [None] * len(traces)
        return self._decoder.decode(traces, context=self._plan.context, max_tokens=self._plan.max_tokens)
