"""What queries are ranked against: the embeddings of the candidates, those that were refused left out."""

from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench.comparing.question import Question
from workbench.comparing.ranking import best_right
from workbench.stats import rank_of


@final
class Candidates:
    """Ranks of right candidates. One that could not be embedded ranks nowhere; of several right ones the best counts."""

    def __init__(self, question: Question, documents: Float[np.ndarray, "documents dim"]) -> None:
        """Take the embeddings, in which a refused document is NaN."""
        self.unranked: Bool[np.ndarray, " documents"] = np.asarray(~np.isfinite(documents).all(axis=1))
        self._documents = np.where(self.unranked[:, None], 0, documents)
        self._right = [[at for at in row.right if not self.unranked[at]] for row in question.rows]

    def target(self, row: int) -> int | None:
        """Place of a row's right candidate, of several the first; None where it has none that could be ranked."""
        return self._right[row][0] if self._right[row] else None

    def cosines(self, embeddings: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n documents"]:
        """Minus infinity for a refused document."""
        found = embeddings @ self._documents.T
        found[:, self.unranked] = -np.inf
        return found

    def contest(self, row: int, embeddings: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n documents"]:
        """Cosines with the row's best right candidate in the place of `target`, other right ones out of the way. It needs one."""
        return best_right(self.cosines(embeddings), self._right[row])

    def ranks(self, row: int, embeddings: Float[np.ndarray, "n dim"]) -> Int[np.ndarray, " n"] | None:
        """Rank of the row's right candidate for each embedding; None where it has none."""
        target = self.target(row)
        return None if target is None else rank_of(self.contest(row, embeddings), np.full(len(embeddings), target))
