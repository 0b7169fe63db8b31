"""A ranker of texts that knows words alone: what a reader without the model could find."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import final

import numpy as np
from jaxtyping import Float

_K1, _B = 1.2, 0.75


@final
class Bm25:
    """Okapi BM25 (Robertson and Zaragoza 2009; k1 1.2, b 0.75) over a list of texts, words in lower case.

    It misleads where the right text shares no word with what asks for it, however well both agree.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(_words(text)) for text in texts]
        self._length = np.array([sum(count.values()) for count in counts], dtype=np.float64)
        self._mean = float(self._length.mean()) or 1.0
        self._holding: dict[str, list[tuple[int, int]]] = {}
        for place, count in enumerate(counts):
            for word, times in count.items():
                self._holding.setdefault(word, []).append((place, times))

    def scores(self, query: str) -> Float[np.ndarray, " texts"]:
        """How well each text answers."""
        n = len(self._length)
        found = np.zeros(n)
        for word in _words(query):
            holding = self._holding.get(word, [])
            weight = np.log(1 + (n - len(holding) + 0.5) / (len(holding) + 0.5))
            for place, times in holding:
                norm = times + _K1 * (1 - _B + _B * self._length[place] / self._mean)
                found[place] += weight * times * (_K1 + 1) / norm
        return found


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
