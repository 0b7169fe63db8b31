"""Reasoning as words: who finds the right candidate from the decoded text, and whether the text leads where the thought led."""

from dataclasses import replace
from typing import final

import numpy as np

from workbench.auditing.bm25 import Bm25
from workbench.auditing.candidates import Candidates
from workbench.auditing.parts import Held
from workbench.comparing.question import Question
from workbench.comparing.ranking import best_right
from workbench.comparing.reading import Reading
from workbench.edits import Edit
from workbench.embedder import Editable, Embedder
from workbench.stats import rank_of
from workbench.types import Sample, Trace


@final
class Spoken:
    """What words do for the rows of a question."""

    def __init__(self, model: Embedder, question: Question, reading: Reading, candidates: Candidates) -> None:
        assert isinstance(model, Editable)
        self._model: Embedder = model
        self._editable: Editable = model
        self._question = question
        self._reading = reading
        self._candidates = candidates
        self._texts = [at for at, one in enumerate(question.documents) if one.text and not one.images]
        self._places = {document: place for place, document in enumerate(self._texts)}
        texts = [question.documents[at].text for at in self._texts]
        self._bm25 = Bm25(texts) if len(texts) > 1 else None

    def round_trip(self, row: int, other: int, own: Trace, held: Held, place: int) -> None:
        """The decoded text, and as control that of the row `other` (-1: none), behind the query's own words, no thought seen."""
        if self._candidates.unranked.all():
            return  # nothing to rank
        query, columns, spoken = self._query(row), [], []
        for column, source in enumerate((row, other)):
            thought = self._reading.rows[source].thought if source >= 0 else None
            if thought is not None and thought.text.strip():
                columns.append(column)
                text = f"{query.text}\n{thought.text}".strip()
                spoken.append(replace(query, id=f"{query.id}/spoken-{column}", text=text))
        if not spoken:
            return
        hidden = Edit(hidden=tuple(range(self._model.info.n_think)))
        found = self._editable.edit([self._model.prepare(one) for one in spoken], [[hidden]] * len(spoken))
        embeddings = np.stack([own.embedding, *(trace.embedding for [trace] in found)])
        first = self._candidates.cosines(embeddings).argmax(axis=1)
        held.spoken_agrees[place, columns] = first[1:] == first[0]
        if (ranks := self._candidates.ranks(row, embeddings)) is not None:
            held.spoken_rank[place, columns] = ranks[1:]

    def read(self, row: int, held: Held, place: int) -> None:
        """Ranks of the right text for a reader of words, and for the model when it is given words alone."""
        right = [self._places[at] for at in self._question.rows[row].right if at in self._places]
        thought = self._reading.rows[row].thought
        if self._bm25 is None or not right or thought is None:
            return
        query = self._query(row)
        asked = {"query": query.text, "thought": thought.text, "both": f"{query.text} {thought.text}"}
        for column, text in enumerate(asked.values()):
            held.bm25[place, column] = rank_of(best_right(self._bm25.scores(text), right), np.array(right[0]))
        given = [
            replace(query, id=f"{query.id}/{name}", text=asked[name], images=())
            for name in ("query", "thought")
            if asked[name]
        ]
        if len(given) == 2:
            embeddings = self._model.embed([self._model.prepare(one) for one in given])
            scores = self._candidates.cosines(embeddings)[:, self._texts]
            held.alone[place] = rank_of(best_right(scores, right), np.full(2, right[0]))

    def _query(self, row: int) -> Sample:
        pair = self._question.rows[row].pair
        assert pair is not None
        return pair.query
