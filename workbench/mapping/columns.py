"""Columns that the map itself adds to those of the data, and the order in which they are offered."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from workbench.latent_map import NO_VALUE, Cluster, Column

MAX_CATEGORIES = 40
"""More colours than this nobody tells apart; the rarest values share `OTHERS`."""
OTHERS = "(others)"
_FIRST = ("task", "label", "answer", "think position", "correct", "confidence", "checkpoint")
_LAST = ("cluster", "neighbours kept", "duplicate")
ADDED = (*_LAST, "think position", "checkpoint")
"""Columns that a map adds to those of the data."""


def sort_columns(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Most useful first: what is known of the sample, then metadata in the data's order, then what the map knows."""
    rank = {name: place for place, name in enumerate(_FIRST)} | {name: 1000 + i for i, name in enumerate(_LAST)}
    return tuple(sorted(columns, key=lambda column: rank.get(column.name, 500)))


def free_name(name: str, taken: Collection[str]) -> str:
    """A name for a column of the data that no other column has."""
    while name in taken:
        name = f"{name} (data)"
    return name


def categorical(
    name: str, values: Sequence[str | None], *, about: str = "", order: Sequence[str] | None = None
) -> Column | None:
    """A column of texts, the most frequent first unless an order is given; None and empty texts are unknown.

    Beyond `MAX_CATEGORIES` the rarest become `OTHERS`. None when nothing is known or all values differ.
    """
    known, counts = np.unique([value for value in values if value], return_counts=True)
    if not len(known) or (len(known) > MAX_CATEGORIES and counts.max() == 1):
        return None
    frequent = [str(known[i]) for i in np.lexsort((known, -counts))]
    kept = list(order) if order is not None else frequent
    if len(kept) > MAX_CATEGORIES:
        kept = [*kept[: MAX_CATEGORIES - 1], OTHERS]
    codes = {value: place for place, value in enumerate(kept)}
    others = codes.get(OTHERS, NO_VALUE)
    coded = [codes.get(value, others) if value else NO_VALUE for value in values]
    return Column(name=name, kind="categorical", values=np.array(coded, np.int32), categories=tuple(kept), about=about)


def numbers(name: str, values: Sequence[float | None], *, about: str = "") -> Column | None:
    """A column of numbers; None is unknown. None when nothing is known."""
    found = np.array([np.nan if value is None else value for value in values], dtype=np.float32)
    return Column(name=name, kind="number", values=found, about=about) if np.isfinite(found).any() else None


def step_column(k: Int[np.ndarray, " points"]) -> Column:
    """The think position, counted from 1 as people count."""
    values = np.where(k < 0, np.nan, k + 1).astype(np.float32)
    return Column(
        name="think position", kind="number", values=values, about="1 is the first think token of its sample."
    )


def checkpoint_column(checkpoint: Int[np.ndarray, " points"], names: Sequence[str]) -> Column:
    """Whose point it is; checkpoints of one name are numbered."""
    called = [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, start=1)]
    return Column(name="checkpoint", kind="categorical", values=checkpoint, categories=tuple(called))


def cluster_column(groups: Int[np.ndarray, " points"], clusters: Sequence[Cluster]) -> Column:
    """The group a point lies in; the codes are the clusters' numbers."""
    return Column(
        name="cluster",
        kind="categorical",
        values=groups,
        categories=tuple(cluster.label for cluster in clusters),
        about="HDBSCAN on the places of this map, named by what its thoughts say more often than others (c-TF-IDF).",
    )


def kept_column(kept: Float[np.ndarray, " points"]) -> Column:
    """The share of its neighbours that a point keeps."""
    about = "Share of a point's true nearest neighbours that lie nearest on this map too; where it is low, distrust the place."
    return Column(name="neighbours kept", kind="number", values=kept, about=about, better="higher")


def duplicate_column(inverse: Mapping[int, Int[np.ndarray, " points"]]) -> Column:
    """Whether other points of the same checkpoint have the same vector; `inverse` as in `Cloud`, of each checkpoint."""
    values = np.concatenate([(np.bincount(one)[one] > 1).astype(np.int32) for one in inverse.values()])
    return Column(
        name="duplicate",
        kind="categorical",
        values=values,
        categories=("single", "duplicate"),
        about="Whether another point has the same vector, within 1e-5 of its length; many duplicates are a sign of collapsed thoughts.",
    )
