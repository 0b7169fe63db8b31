"""Groups on a map, named by the words that their thoughts share more than others.

HDBSCAN on the *places*, since a label belongs to the island that a person sees; in the original space distances of high
dimension are so alike that it calls most points noise. The groups are therefore the map's, and no better than it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from workbench.latent_map import NO_VALUE, Cluster

_FITTED = 20_000
_SMALLEST = 5
_SHARE = 0.01
"""The smallest group has this part of the points, or `_SMALLEST`."""
_WORDS = 5
_LIFT = 1.2
"""A word must have this many times the share in the group's thoughts that it has in all others'."""
_ONE_STEP = 0.9
"""A group whose points are mostly of one think position is named by it."""
_WORD = re.compile(r"[^\W\d_][\w'-]+")
_FUNCTION_WORDS = frozenset(
    [
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "than",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "to",
        "was",
        "were",
        "what",
        "which",
        "who",
        "will",
        "with",
        "would",
    ]
)
"""English words that name nothing, however unevenly they are spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A decoded thought, and the group that each of its points lies in."""

    text: str
    groups: tuple[int, ...]


def find_groups(places: Float[np.ndarray, "n 2"], seed: int) -> tuple[Int[np.ndarray, " n"], bool]:
    """The group of each place, `NO_VALUE` for none, and whether they were found on a sample of the places.

    Groups are numbered by size, the largest 0. One single group is none: it would say nothing.
    """
    from scipy.spatial import KDTree
    from sklearn.cluster import HDBSCAN

    n = len(places)
    smallest = max(_SMALLEST, round(_SHARE * min(n, _FITTED)))
    if n < 4 * _SMALLEST:
        return np.full(n, NO_VALUE, dtype=np.int32), False
    at = np.sort(np.random.default_rng(seed).permutation(n)[:_FITTED])
    fitter = HDBSCAN(min_cluster_size=smallest, min_samples=_SMALLEST, copy=True)  # pyright: ignore[reportArgumentType] - its stub says str
    found = fitter.fit_predict(places[at])
    if n > len(at):
        found = found[KDTree(places[at]).query(places)[1]]
    sizes = Counter(found[found >= 0].tolist())
    if len(sizes) < 2:
        return np.full(n, NO_VALUE, dtype=np.int32), n > len(at)
    order = sorted(sizes, key=lambda group: (-sizes[group], group))
    rank = np.full(max(order) + 2, NO_VALUE, dtype=np.int32)
    rank[order] = np.arange(len(order))
    return rank[found], n > len(at)


def name_groups(
    groups: Int[np.ndarray, " n"], steps: Int[np.ndarray, " n"], documents: Sequence[Document]
) -> tuple[Cluster, ...]:
    """Name each group by its words, and by its think position where it has one.

    Args:
        groups: of each point, as `find_groups` returned them.
        steps: think position of each point from 0, negative where a point is a whole sample.
        documents: each decoded thought once.
    """
    n_groups = int(groups.max(initial=NO_VALUE)) + 1
    words, counts = count_words(documents, n_groups)
    weights = class_tf_idf(counts)
    named = []
    for group in range(n_groups):
        mine = steps[groups == group]
        best = _best_words(words, counts, weights, group)
        parts = [step] if (step := _one_step(mine, steps)) else []
        label = ", ".join([*parts, *best])
        named.append(Cluster(label=f"{group + 1}: {label}" if label else f"{group + 1}", words=best, size=len(mine)))
    return tuple(named)


def count_words(documents: Sequence[Document], n_groups: int) -> tuple[list[str], Float[np.ndarray, "rows words"]]:
    """How often each word stands in each group's thoughts; the last row counts thoughts with points in no group.

    A thought with points in several groups counts in each of them, once.
    """
    places: dict[str, int] = {}
    tallies: list[Counter[int]] = [Counter() for _ in range(n_groups + 1)]
    for document in documents:
        said = Counter(places.setdefault(word, len(places)) for word in _WORD.findall(document.text.lower()))
        for group in set(document.groups):
            tallies[group].update(said)
    counts = np.zeros((n_groups + 1, len(places)))
    for row, tally in enumerate(tallies):
        if tally:
            counts[row, list(tally)] = list(tally.values())
    return list(places), counts


def class_tf_idf(counts: Float[np.ndarray, "rows words"]) -> Float[np.ndarray, "rows words"]:
    """Weight of each word in each row: its share of the row's words x log(1 + A / f) (Grootendorst, arXiv 2203.05794).

    A is the mean number of words in a row, f how often the word stands in all rows together. Rows without words weigh 0.
    """
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    often = counts.sum(axis=0)
    mean = totals.mean() if totals.size else 0.0
    return share * np.log1p(np.divide(mean, often, out=np.zeros_like(often), where=often > 0))


def _best_words(
    words: list[str], counts: Float[np.ndarray, "rows words"], weights: Float[np.ndarray, "rows words"], group: int
) -> tuple[str, ...]:
    if not words:
        return ()
    own, others = counts[group], counts.sum(axis=0) - counts[group]
    more = own / max(own.sum(), 1) > _LIFT * others / max(others.sum(), 1)
    order = np.argsort(-weights[group], kind="stable")
    return tuple(words[i] for i in order if more[i] and words[i] not in _FUNCTION_WORDS)[:_WORDS]


def _one_step(mine: Int[np.ndarray, " points"], all_steps: Int[np.ndarray, " n"]) -> str:
    if len(np.unique(all_steps)) < 2:
        return ""
    step, count = Counter(mine.tolist()).most_common(1)[0]
    return f"think {step + 1}" if count >= _ONE_STEP * len(mine) else ""
