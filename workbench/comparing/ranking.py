"""Where several documents are right, none of them counts against another."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def best_right(scores: Float[np.ndarray, "*axes n"], right: Sequence[int]) -> Float[np.ndarray, "*axes n"]:
    """The scores with the best of the right documents in the place of the first one, and the others out of the way.

    Args:
        scores: of all documents; minus infinity for one that is not ranked.
        right: places of the right ones, at least one.

    Returns:
        The scores themselves where there is one right document, else a copy.
    """
    if len(right) == 1:
        return scores
    found = scores.copy()
    places = list(right)
    found[..., places] = -np.inf
    found[..., places[0]] = scores[..., places].max(axis=-1)
    return found
