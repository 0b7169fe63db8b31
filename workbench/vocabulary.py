"""Hidden states read as words: the logit lens over many states in bounded memory, for the lens probe and for exports."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from workbench import stats
from workbench.embedder import ReadsVocabulary

_STATES_AT_ONCE = 128
"""Bounds memory: 128 states over 150,000 words are 80 MB. All layers of 8 thoughts are at most two calls."""


class Reading(NamedTuple):
    """What states read as, the most probable word first."""

    ids: Int[np.ndarray, "n rank"]
    probabilities: Float[np.ndarray, "n rank"]
    entropies: Float[np.ndarray, " n"]
    """Nats, over the whole vocabulary."""


def read_states(model: ReadsVocabulary, states: Float[np.ndarray, "n width"], top: int) -> Reading:
    """The `top` words of each state through the final norm and the generation head (nostalgebraist 2020)."""
    ids, kept, entropies = [], [], []
    for start in range(0, len(states), _STATES_AT_ONCE):
        probabilities = stats.softmax(model.vocabulary(states[start : start + _STATES_AT_ONCE]))
        found = stats.top_k(probabilities, top)
        ids.append(found)
        kept.append(np.take_along_axis(probabilities, found, axis=-1))
        entropies.append(stats.entropy(probabilities))
    return Reading(
        np.concatenate(ids), np.concatenate(kept).astype(np.float32), np.concatenate(entropies).astype(np.float32)
    )
