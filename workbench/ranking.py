"""Candidates in the order in which an embedding finds them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from workbench.embedder import Embedder
from workbench.errors import BadInput, Unsupported
from workbench.inspection import Hidden, Ranked
from workbench.once import Once
from workbench.resolution import ALIKE, Candidates
from workbench.samples import Candidate, make_sample
from workbench.stats import rank_of
from workbench.types import Encoded, Sample, Trace

Embedding = Float[np.ndarray, " dim"]
_AT_ONCE = 16


class Ranker:
    """Ranks candidates by cosine and remembers their embeddings by content, for every model it meets."""

    def __init__(self) -> None:
        self._embeddings: Once[np.ndarray] = Once(max_entries=20_000)

    def rank(
        self, model: Embedder, query: Embedding, candidates: Sequence[Candidate]
    ) -> tuple[tuple[Ranked, ...], tuple[str, ...]]:
        """Best first, equal scores in the order given; and a sentence for each candidate that had to be left out.

        Args:
            model: embeds the candidates as documents.
            query: unit length.
            candidates: with ids that differ.
        """
        documents = {candidate.id: _document(candidate) for candidate in candidates}
        vectors, remarks = self._embed(model, documents)
        scored = [(float(vectors[c.id] @ query), c) for c in candidates if c.id in vectors]
        scored.sort(key=lambda pair: -pair[0])
        ranking = tuple(
            Ranked(rank=place, candidate=c, score=score) for place, (score, c) in enumerate(scored, start=1)
        )
        return ranking, remarks

    def compared(
        self, model: Embedder, query: Embedding, candidates: Sequence[Candidate]
    ) -> tuple[Candidates, tuple[str, ...]]:
        """What a score compares with: the candidates as `rank` orders them, named by their text, else by their id."""
        ranking, remarks = self.rank(model, query, candidates)
        documents = {row.candidate.id: _document(row.candidate) for row in ranking}
        vectors, _ = self._embed(model, documents)
        names = tuple(row.candidate.text or row.candidate.id for row in ranking)
        dim = len(query)
        embeddings = np.array([vectors[row.candidate.id] for row in ranking], dtype=np.float32).reshape(-1, dim)
        return Candidates(names=names, embeddings=embeddings), remarks

    def hide(self, model: Embedder, trace: Trace, ranking: Sequence[Ranked]) -> tuple[Hidden, ...]:
        """The ranking when each thought is hidden, and when all are, from what the trace holds: no further pass.

        Nothing where no candidate differs from the first one: then nothing can come before it.

        Args:
            model: that made trace and ranking.
            trace: of the query.
            ranking: as `rank` gave it.
        """
        if not ranking or not len(trace.knockout):
            return ()
        documents = {row.candidate.id: _document(row.candidate) for row in ranking}
        vectors, _ = self._embed(model, documents)
        held = np.stack([vectors[name] for name in documents])
        # A copy of the first under another name would share its place with it, whatever is hidden.
        apart = np.abs(held - held[0]).max(axis=1) > ALIKE
        if not apart.any():
            return ()
        apart[0] = True
        held, names = held[apart], [name for name, other in zip(documents, apart, strict=True) if other]
        embeddings = np.concatenate([trace.knockout, trace.stepwise[:1]])
        found = []
        for place, embedding in enumerate(embeddings):
            scores = held @ embedding
            others = np.delete(scores, 0)
            found.append(
                Hidden(
                    thought=place + 1 if place < len(trace.knockout) else None,
                    first=names[int(scores.argmax())],
                    rank_of_first=int(rank_of(scores, np.array(0))),
                    margin=float(scores[0] - others.max()),
                    change=float(1 - embedding @ trace.embedding),
                )
            )
        return tuple(found)

    def _embed(self, model: Embedder, documents: dict[str, Sample]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        checkpoint = model.info.provenance.checkpoint_sha256
        vectors: dict[str, np.ndarray] = {}
        remarks = []
        waiting = []
        for name, document in documents.items():
            known = self._embeddings.peek((checkpoint, document.id))
            if known is not None:
                vectors[name] = known
                continue
            try:
                waiting.append((model.length(document), name))
            except (BadInput, Unsupported) as error:
                remarks.append(f"Candidate '{name}' was left out: {error}")
        # Equal lengths beside each other waste the least padding. Images are cut into patches a few at a time: all would be large.
        waiting.sort(key=lambda pair: pair[0])
        for start in range(0, len(waiting), _AT_ONCE):
            batch: dict[str, Encoded] = {}
            for _, name in waiting[start : start + _AT_ONCE]:
                try:
                    batch[name] = model.prepare(documents[name])
                except (BadInput, Unsupported) as error:
                    remarks.append(f"Candidate '{name}' was left out: {error}")
            for name, vector in zip(batch, model.embed(list(batch.values())) if batch else (), strict=True):
                vectors[name] = self._embeddings.get((checkpoint, documents[name].id), lambda vector=vector: vector)
        return vectors, tuple(remarks)


def _document(candidate: Candidate) -> Sample:
    images = (candidate.image,) if candidate.image is not None else ()
    return make_sample(images, candidate.text, role="document")
