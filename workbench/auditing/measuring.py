"""The audit's part of the model's work: all edits of every sample, part by part onto the disk; a part is never made twice."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float

from workbench.auditing.bm25 import Bm25
from workbench.auditing.crossing import Square, crossed_sample, sums_of_squares
from workbench.auditing.partners import Partners
from workbench.auditing.planned import Materials, Planned, make_edit, make_noise, places
from workbench.comparing.question import Question
from workbench.comparing.reading import Reading
from workbench.comparing.scores import UNKNOWN
from workbench.comparing.tracing import MAX_TOKENS
from workbench.edits import Edit
from workbench.embedder import DecodesThoughts, Editable, Embedder, Keep
from workbench.errors import BadInput, Cancelled, Unsupported
from workbench.stages import Progress
from workbench.stats import rank_of
from workbench.store import write_bytes_atomic
from workbench.types import Sample, Trace
from workbench.words import changed_words

VERSION = 2
"""Raised when parts would come out otherwise."""
SIZE = 32
WRITTEN_ROWS = 128
"""First rows for which texts are written under edits."""
WRITTEN = ("zero.all", "noise.all", "mean.all", "swap-random.all", "swap-image.all")
_SCORED_KINDS = ("hide", "patch", "reorder", "first-repeated", "format-only", "shuffle")
_FOLLOWED = ("none", "swap-random", "patch")
"""Edits under which the text of the sample that the thoughts come from is scored too."""
_TOGETHER = 8
"""Rows whose texts are written together."""


def scored(planned: Sequence[Planned]) -> list[int]:
    """Columns of the edits under which the own text is scored."""
    return [
        place
        for place, one in enumerate(planned)
        if one.name == "none" or one.kind in _SCORED_KINDS or (one.name.endswith(".all") and one.kind != "control")
    ]


def part_path(folder: Path, number: int) -> Path:
    """The file of a part."""
    return folder / f"audit-{number:05d}.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is measured: everything that decides the numbers."""

    question: Question
    reading: Reading
    partners: Partners
    planned: tuple[Planned, ...]
    seed: int


def measure(model: Embedder, asked: Asked, folder: Path, *, tell: Progress, cancelled: Callable[[], bool]) -> None:
    """Make the parts that are missing.

    Raises:
        Unsupported: for a model whose thoughts cannot be edited.
        Cancelled: when `cancelled` said so; complete parts stay.
    """
    if not isinstance(model, Editable):
        raise Unsupported(f"The thoughts of '{model.info.name}' cannot be edited.")
    from safetensors.numpy import save

    n = len(asked.question.rows)
    measurer: _Measurer | None = None
    for number, begin in enumerate(range(0, n, SIZE)):
        path = part_path(folder, number)
        if path.is_file():
            continue
        measurer = measurer or _Measurer(model, asked)
        rows = range(begin, min(begin + SIZE, n))

        def check(done: int, begin: int = begin) -> None:
            if cancelled():
                raise Cancelled("The audit was cancelled; what was measured so far is kept.")
            tell((begin + done) / n, "Editing thoughts")

        write_bytes_atomic(path, save(measurer.part(rows, check)))


@final
class _Measurer:
    def __init__(self, model: Embedder, asked: Asked) -> None:
        assert isinstance(model, Editable)
        self._model: Embedder = model
        self._editable: Editable = model
        self._asked = asked
        self._decoder = model if isinstance(model, DecodesThoughts) and model.info.contexts else None
        self._documents = np.nan_to_num(asked.reading.documents(), nan=-np.inf)
        self._unranked = np.asarray(~np.isfinite(self._documents).all(axis=1))
        self._documents[self._unranked] = 0
        self._embeddings = asked.reading.embeddings()
        self._mean = self._steps(_mean_latents(asked.reading))
        self._scored = scored(asked.planned)
        known = places(asked.planned)
        self._followed = [at for at, column in enumerate(self._scored) if asked.planned[column].kind in _FOLLOWED]
        self._written = [known[name] for name in WRITTEN]
        self._texts = _Texts(asked.question)

    def part(self, rows: range, check: Callable[[int], None]) -> dict[str, np.ndarray]:
        """All arrays of some rows; entries of rows that could not be read are NaN, their ranks 0."""
        held = _Held(
            len(rows), len(self._asked.planned), len(self._scored), len(self._written), self._model.info.n_think
        )
        crossed = self._crossed(rows, check)
        held.squares = self._squares(rows, crossed)
        waiting: list[tuple[int, list[Trace]]] = []
        for place, row in enumerate(rows):
            check(place)
            if self._asked.reading.rows[row].error:
                continue
            traces = self._edit(row, crossed.get(row), held, place)
            self._speak(row, traces[0], held, place)
            if self._decoder is not None:
                self._score(row, traces, held, place)
                if row < WRITTEN_ROWS:
                    waiting.append((row, [traces[column] for column in self._written]))
            if len(waiting) == _TOGETHER or (waiting and row == rows[-1]):
                self._write(waiting, rows.start, held)
                waiting = []
        if waiting:
            self._write(waiting, rows.start, held)
        self._read_texts(rows, held, check)
        return held.arrays()

    def _steps(self, latents: Float[np.ndarray, "layers think width"]) -> Float[np.ndarray, "steps think width"]:
        return np.concatenate([self._editable.learned[None], latents]).astype(np.float32)

    def _query(self, row: int) -> Sample:
        pair = self._asked.question.rows[row].pair
        assert pair is not None
        return pair.query

    def _states(self, row: int) -> Float[np.ndarray, "steps think width"]:
        return self._steps(self._asked.reading.latents(row))

    def _of(self, row: int) -> Float[np.ndarray, "steps think width"] | None:
        return None if row < 0 else self._states(row)

    def _crossed(self, rows: range, check: Callable[[int], None]) -> dict[int, np.ndarray]:
        """States of each query about its partner's image."""
        found: dict[int, np.ndarray] = {}
        image = self._asked.partners.image
        for row in rows:
            if image[row] < 0:
                continue
            check(0)
            try:
                encoded = self._model.prepare(crossed_sample(self._query(row), self._query(int(image[row]))))
            except (BadInput, Unsupported):
                continue
            [trace] = self._model.trace([encoded], Keep(attention=False, edits=False, continuation=False))
            found[row] = self._steps(trace.latents)
        return found

    def _squares(self, rows: range, crossed: dict[int, np.ndarray]) -> np.ndarray:
        found = []
        for row in rows:
            other = int(self._asked.partners.image[row])
            if other > row and row in crossed and other in crossed:
                one, two = self._states(row), self._states(other)
                states = np.stack([[one, crossed[row]], [crossed[other], two]])[:, :, 1:]
                found.append(sums_of_squares(Square(states=states)))
        return np.stack(found) if found else np.zeros((0, self._model.info.n_layers, 4))

    def _materials(self, row: int, crossed: np.ndarray | None, query_positions: np.ndarray) -> Materials:
        own, partners = self._states(row), self._asked.partners
        draw = np.random.default_rng([self._asked.seed, 2, row])
        mixed = None
        if (partners.mixed[row] >= 0).all() and own.shape[1]:
            given = [self._states(other) for other in partners.mixed[row].tolist()]
            mixed = np.stack([states[:, k] for k, states in enumerate(given)], axis=1)
        n = min(own.shape[1], len(query_positions))
        return Materials(
            own=own,
            mean=self._mean,
            noise=make_noise(own, draw),
            dummy=self._editable.dummy,
            random=self._of(int(partners.random[row])),
            nearest=self._of(int(partners.nearest[row])),
            mixed=mixed,
            crossed=crossed,
            hidden=tuple(sorted(draw.choice(query_positions, n, replace=False).tolist())),
        )

    def _edit(self, row: int, crossed: np.ndarray | None, held: "_Held", place: int) -> list[Trace]:
        encoded = self._model.prepare(self._query(row))
        kinds = encoded.tokens.kinds[: encoded.think.start]
        of = self._materials(row, crossed, np.array([at for at, kind in enumerate(kinds) if kind in ("text", "image")]))
        edits = [make_edit(one, of) for one in self._asked.planned]
        made = np.array([edit is not None for edit in edits])
        [traces] = self._editable.edit([encoded], [[edit or Edit() for edit in edits]])
        embeddings = np.stack([trace.embedding for trace in traces])
        held.cosine[place, made] = (embeddings @ embeddings[0])[made]
        self._rank(row, embeddings, made, held, place)
        for column, planned in enumerate(self._asked.planned):
            other = self._source(planned, row)
            if other >= 0 and made[column]:
                held.toward[place, column] = (embeddings[column] - embeddings[0]) @ self._embeddings[other]
        steps = np.stack([embeddings[column] for column in self._truncations()])
        held.agree[place] = (steps[1:] * steps[:-1]).sum(axis=1)
        return traces

    def _truncations(self) -> list[int]:
        known = places(self._asked.planned)
        return [known[name] for name in truncations(self._model.info.n_think)]

    def _source(self, planned: Planned, row: int) -> int:
        """The row that an edit's thoughts come from, where it is one; -1 elsewhere."""
        partners = self._asked.partners
        if planned.kind in ("swap-random", "patch"):
            return int(partners.random[row])
        return int(partners.nearest[row]) if planned.kind == "swap-nearest" else -1

    def _rank(self, row: int, embeddings: np.ndarray, made: np.ndarray, held: "_Held", place: int) -> None:
        target = self._asked.question.rows[row].target
        if target is None or self._unranked[target]:
            return
        cosines = embeddings @ self._documents.T
        cosines[:, self._unranked] = -np.inf
        held.rank[place, made] = rank_of(cosines, np.full(len(cosines), target))[made]
        right = cosines[:, target].copy()
        cosines[:, target] = -np.inf
        best = cosines.max(axis=1)
        held.margin[place, made] = np.where(np.isfinite(best), right - best, np.nan)[made]

    def _speak(self, row: int, own: Trace, held: "_Held", place: int) -> None:
        """The round trip: reasoning as words in the place of latents.

        The decoded text, and as control another's, is put behind the query's own words, and no thought is seen.
        """
        if self._unranked.all():
            return  # nothing to rank
        query, target = self._query(row), self._asked.question.rows[row].target
        other = int(self._asked.partners.random[row])
        for column, source in enumerate((row, other)):
            thought = self._asked.reading.rows[source].thought if source >= 0 else None
            if thought is None or not thought.text.strip():
                continue
            spoken = replace(query, id=f"{query.id}/spoken-{column}", text=f"{query.text}\n{thought.text}".strip())
            encoded = self._model.prepare(spoken)
            [[trace]] = self._editable.edit([encoded], [[Edit(hidden=tuple(range(self._model.info.n_think)))]])
            cosines = np.stack([own.embedding, trace.embedding]) @ self._documents.T
            cosines[:, self._unranked] = -np.inf
            first = cosines.argmax(axis=1)
            held.spoken_agrees[place, column] = first[0] == first[1]
            if target is not None and not self._unranked[target]:
                held.spoken_rank[place, column] = rank_of(cosines[1:], np.array([target]))[0]

    def _score(self, row: int, traces: Sequence[Trace], held: "_Held", place: int) -> None:
        assert self._decoder is not None
        rows = self._asked.reading.rows
        thought = rows[row].thought
        other = int(self._asked.partners.random[row])
        theirs = rows[other].thought if other >= 0 else None
        if thought is None:
            return
        self._score_text(thought.text, range(len(self._scored)), traces, held.own[place], held.cosine[place])
        if theirs is not None:
            self._score_text(theirs.text, self._followed, traces, held.other[place], held.cosine[place])

    def _score_text(
        self, text: str, places: Iterable[int], traces: Sequence[Trace], into: np.ndarray, made: np.ndarray
    ) -> None:
        """Mean log-probability of a text under those scored edits that were made and that the decoder can read."""
        assert self._decoder is not None
        columns = {at: self._scored[at] for at in places}
        known = [at for at, one in columns.items() if traces[one].continuation is not None and np.isfinite(made[one])]
        under = [traces[columns[at]] for at in known]
        found = self._decoder.score(under, [text] * len(under))
        into[known] = [one.total / len(one.log_probabilities) for one in found]

    def _write(self, waiting: Sequence[tuple[int, list[Trace]]], begin: int, held: "_Held") -> None:
        assert self._decoder is not None
        asked = [
            (row, column, trace)
            for row, traces in waiting
            for column, trace in enumerate(traces)
            if trace.continuation is not None and np.isfinite(held.cosine[row - begin, self._written[column]])
        ]
        if not asked:
            return
        written = self._decoder.decode([trace for _, _, trace in asked], max_tokens=MAX_TOKENS)
        for (row, column, _), thought in zip(asked, written, strict=True):
            own = self._asked.reading.rows[row].thought
            assert own is not None
            held.words[row - begin, column] = changed_words(own.text, thought.text)
            logs = thought.log_probabilities
            held.fluency[row - begin, column] = np.mean(logs) if logs else np.nan

    def _read_texts(self, rows: range, held: "_Held", check: Callable[[int], None]) -> None:
        """Ranks of the right text for a reader of words, and for the model when it is given words alone."""
        texts = self._texts
        if texts.bm25 is None:
            return
        for place, row in enumerate(rows):
            target = texts.place_of(self._asked.question.rows[row].target)
            thought = self._asked.reading.rows[row].thought
            if target is None or thought is None:
                continue
            check(place)
            query = self._query(row)
            asked = {"query": query.text, "thought": thought.text, "both": f"{query.text} {thought.text}"}
            for column, text in enumerate(asked.values()):
                held.bm25[place, column] = rank_of(texts.bm25.scores(text), np.array(target))
            given = [
                replace(query, id=f"{query.id}/{name}", text=asked[name], images=())
                for name in ("query", "thought")
                if asked[name]
            ]
            if len(given) == 2:
                embeddings = self._model.embed([self._model.prepare(one) for one in given])
                scores = embeddings @ self._documents[texts.documents].T
                scores[:, self._unranked[texts.documents]] = -np.inf
                held.alone[place] = rank_of(scores, np.full(2, target))


@final
class _Texts:
    """The candidates that are texts alone."""

    def __init__(self, question: Question) -> None:
        self.documents = [at for at, one in enumerate(question.documents) if one.text and not one.images]
        self._places = {document: place for place, document in enumerate(self.documents)}
        texts = [question.documents[at].text for at in self.documents]
        self.bm25 = Bm25(texts) if len(texts) > 1 else None

    def place_of(self, target: int | None) -> int | None:
        return None if target is None else self._places.get(target)


class _Held:
    """Arrays of a part as they fill."""

    def __init__(self, n: int, edits: int, scored: int, written: int, n_think: int) -> None:
        def blank(*shape: int) -> np.ndarray:
            return np.full(shape, np.nan, dtype=np.float32)

        self.rank = np.full((n, edits), UNKNOWN, dtype=np.int32)
        self.cosine, self.margin, self.toward = blank(n, edits), blank(n, edits), blank(n, edits)
        self.own, self.other = blank(n, scored), blank(n, scored)
        self.words, self.fluency = blank(n, written), blank(n, written)
        self.agree = blank(n, n_think)
        self.bm25 = np.full((n, 3), UNKNOWN, dtype=np.int32)
        self.alone = np.full((n, 2), UNKNOWN, dtype=np.int32)
        self.spoken_rank = np.full((n, 2), UNKNOWN, dtype=np.int32)
        self.spoken_agrees = blank(n, 2)
        self.squares = np.zeros((0, 0, 4))

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: np.ascontiguousarray(array) for name, array in vars(self).items()}


def truncations(n_think: int) -> list[str]:
    """Names of the edits that leave the first 0 ... K thoughts."""
    return ["hide.all", *(f"truncate.{k}" for k in range(1, n_think)), "none"]


def _mean_latents(reading: Reading) -> Float[np.ndarray, "layers think width"]:
    if all(row.error for row in reading.rows):
        raise BadInput(f"No sample could be read. The first reason: {reading.rows[0].error}")
    found = []
    for layer in range(reading.info.n_layers):
        total, n = 0.0, 0
        for at, states in reading.states_by_part(layer):
            total = total + states.sum(axis=0, dtype=np.float64)
            n += len(at)
        found.append(np.asarray(total / n, dtype=np.float32))
    return np.stack(found)
