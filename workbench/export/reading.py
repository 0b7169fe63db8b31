"""What a record says beside the thought: words of think tokens, effects of hiding one, and checks that cost next to nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench import stats
from workbench.embedder import ReadsVocabulary
from workbench.export.record import number, plain, repeated_share
from workbench.types import DecodedThought, Trace
from workbench.vocabulary import Reading, read_states

MOST_REPEATED = 0.5
"""A thought of which more than this share of token 4-grams stood in it before goes in circles."""

Words = list[list[dict[str, Any]]]
"""For each layer that was read, last one last, what each think token reads as: words and entropy."""


def read_words(model: object, traces: Sequence[Trace], *, top: int, layers: bool) -> list[Words | None]:
    """What the think tokens of each trace read as at the last layer, or at all; None where the model reads no words."""
    if not isinstance(model, ReadsVocabulary):
        return [None] * len(traces)
    states = [trace.latents if layers else trace.latents[-1:] for trace in traces]
    n_layers, n_think, width = states[0].shape
    if not n_think:
        return [[[] for _ in range(n_layers)] for _ in traces]
    read = read_states(model, np.concatenate(states).reshape(-1, width), top)
    told = _told(model, read)
    cells = [told[at : at + n_think] for at in range(0, len(told), n_think)]
    return [cells[at : at + n_layers] for at in range(0, len(cells), n_layers)]


def _told(model: ReadsVocabulary, read: Reading) -> list[dict[str, Any]]:
    known, places = np.unique(read.ids, return_inverse=True)
    texts = [plain(word) for word in model.words(known)]
    rows = zip(places.reshape(read.ids.shape), read.probabilities, read.entropies, strict=True)
    return [
        {
            "words": [
                {"text": texts[place], "probability": number(float(share))}
                for place, share in zip(words, shares, strict=True)
            ],
            "entropy": number(float(entropy)),
        }
        for words, shares, entropy in rows
    ]


def think_values(tokens: Sequence[str], words: Words | None) -> list[dict[str, Any]]:
    """The think tokens of a record, by their names, with what they read as at the last layer."""
    unread = {"words": [], "entropy": None}
    last = words[-1] if words else [unread] * len(tokens)
    return [
        {"index": index, "token": plain(token)} | cell
        for index, (token, cell) in enumerate(zip(tokens, last, strict=True), start=1)
    ]


def lens_values(words: Words | None) -> list[dict[str, Any]] | None:
    """The same at every layer, first to last."""
    if words is None:
        return None
    return [
        {
            "layer": layer,
            "think_tokens": [{"index": index} | cell for index, cell in enumerate(cells, start=1)],
        }
        for layer, cells in enumerate(words, start=1)
    ]


def knockout_values(trace: Trace) -> dict[str, Any]:
    """How far the embedding turns when one think token is hidden from it: 1 - cosine, 0 for no change, 2 for opposite."""
    changes = _turned(trace.knockout, trace.embedding)
    known = len(changes) > 0 and bool(np.isfinite(changes).all())
    return {
        "change": [number(change) for change in changes.tolist()],
        "strongest": int(changes.argmax()) + 1 if known else None,
        "largest": number(float(changes.max())) if known else None,
        "all_hidden": number(float(_turned(trace.stepwise[:1], trace.embedding)[0])),
    }


def _turned(changed: Float[np.ndarray, "n dim"], own: Float[np.ndarray, " dim"]) -> Float[np.ndarray, " n"]:
    turned = 1 - stats.cosine(changed.astype(np.float64), own.astype(np.float64)[None])
    # The cosine of what has no length is 0; of what is not finite it is not known.
    return np.where(np.isfinite(changed).all(axis=-1) & np.isfinite(own).all(), turned, np.nan)


def checks_of(trace: Trace, thought: DecodedThought | None) -> list[dict[str, Any]]:
    """What was tested of the sample, each with the number that was looked at."""
    finite = all(bool(np.isfinite(array).all()) for array in (trace.latents, trace.embedding))
    if thought is None:
        return [_check("finite", None, finite)]
    finite = finite and bool(np.isfinite(thought.log_probabilities).all())
    repeated = repeated_share(thought.token_ids)
    return [
        _check("finite", None, finite),
        _check("finished", len(thought.tokens), thought.finish == "end"),
        _check("not empty", len(thought.tokens), bool(thought.text.strip())),
        _check("not repeating", repeated, repeated <= MOST_REPEATED),
    ]


def _check(name: str, value: float | None, passed: bool) -> dict[str, Any]:
    return {"name": name, "value": None if value is None else number(value), "passed": passed}
