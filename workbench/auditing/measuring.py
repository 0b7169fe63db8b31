"""The audit's part of the model's work: all edits of every sample, part by part onto the disk; a part is never made twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float

from workbench.auditing.candidates import Candidates
from workbench.auditing.crossing import Square, crossed_sample, sums_of_squares
from workbench.auditing.partners import Partners
from workbench.auditing.parts import SIZE, Held, part_path
from workbench.auditing.planned import Materials, Planned, make_edit, make_noise, places, truncations
from workbench.auditing.spoken import Spoken
from workbench.auditing.texts import WRITTEN, Telling
from workbench.comparing.question import Question
from workbench.comparing.reading import Reading
from workbench.edits import Edit
from workbench.embedder import Editable, Embedder, Keep
from workbench.errors import BadInput, Cancelled, Unreadable, Unsupported
from workbench.stages import Progress
from workbench.stats import rank_of
from workbench.store import write_bytes_atomic
from workbench.types import Sample, Trace

VERSION = 3
"""Raised when parts would come out otherwise."""


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
        path = part_path(folder, "audit", number)
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
        self._candidates = Candidates(asked.question, asked.reading.documents())
        self._embeddings = asked.reading.embeddings()
        self._mean = self._steps(_mean_latents(asked.reading))
        known = places(asked.planned)
        self._truncations = [known[name] for name in truncations(model.info.n_think)]
        self._spoken = Spoken(model, asked.question, asked.reading, self._candidates)

    def part(self, rows: range, check: Callable[[int], None]) -> dict[str, np.ndarray]:
        """All arrays of some rows; entries of rows that could not be read are NaN, their ranks 0."""
        asked = self._asked
        held = Held(len(rows), edits=len(asked.planned), written=len(WRITTEN), n_think=self._model.info.n_think)
        telling = Telling(self._model, asked.reading, asked.planned, held)
        crossed = self._crossed(rows, check)
        held.squares = self._squares(rows, crossed)
        for place, row in enumerate(rows):
            check(place)
            if asked.reading.rows[row].error:
                continue
            other = int(asked.partners.random[row])
            edits, traces = self._edit(row, crossed.get(row), held, place)
            telling.tell(row, place, other, edits, traces)
            self._spoken.round_trip(row, other, traces[0], held, place)
            self._spoken.read(row, held, place)
        telling.write()
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
        """States of each query about its partner's image, where the model takes the two together.

        Raises:
            Unreadable: when the image, which was read before, cannot be read any more.
        """
        found: dict[int, np.ndarray] = {}
        image = self._asked.partners.image
        for row in rows:
            if image[row] < 0:
                continue
            check(0)
            try:
                encoded = self._model.prepare(crossed_sample(self._query(row), self._query(int(image[row]))))
            except Unreadable:
                raise
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

    def _edit(
        self, row: int, crossed: np.ndarray | None, held: Held, place: int
    ) -> tuple[list[Edit | None], Sequence[Trace]]:
        """Make all edits of a row; None stands for one that cannot be made, whose trace is unedited."""
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
        held.agree[place] = agreements(embeddings[self._truncations])
        return edits, traces

    def _source(self, planned: Planned, row: int) -> int:
        """The row that an edit's thoughts come from, where it is one; -1 elsewhere."""
        partners = self._asked.partners
        if planned.kind in ("swap-random", "patch"):
            return int(partners.random[row])
        return int(partners.nearest[row]) if planned.kind == "swap-nearest" else -1

    def _rank(self, row: int, embeddings: np.ndarray, made: np.ndarray, held: Held, place: int) -> None:
        target = self._candidates.target(row)
        if target is None:
            return
        cosines = self._candidates.contest(row, embeddings)
        held.rank[place, made] = rank_of(cosines, np.full(len(cosines), target))[made]
        right = cosines[:, target].copy()
        cosines[:, target] = -np.inf
        best = cosines.max(axis=1)
        held.margin[place, made] = np.where(np.isfinite(best), right - best, np.nan)[made]


def agreements(embeddings: Float[np.ndarray, "steps dim"]) -> Float[np.ndarray, " think"]:
    """Cosine of the embedding from k thoughts with that from k + 1, for k = 0 ... K - 1."""
    return (embeddings[1:] * embeddings[:-1]).sum(axis=1)


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
