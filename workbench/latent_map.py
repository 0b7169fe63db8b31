"""A map of latents as a record: places of points, what is known of each, and what the places are worth.

Nothing in it knows how it was made (`workbench.mapping`) or how it is drawn (`workbench.render`, `workbench.ui`). A *point* is
one vector of one sample under one checkpoint. Points are sorted by checkpoint, then sample, then think position, so that
the K steps of a sample lie side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from workbench.types import Provenance, Role

Of = Literal["embedding", "thoughts", "pooled-thoughts"]
ProjectionName = Literal["pca", "umap"]
ColumnKind = Literal["categorical", "number", "text"]
Alignment = Literal["aligned-umap", "procrustes"]

NO_STEP = -1
"""Think position of a point that stands for a whole sample."""
NO_VALUE = -1
"""Code of a categorical column where nothing is known; a neighbour that there is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One value for each point, to colour or to search by."""

    name: str
    """As a person reads it: "task", "think position", "neighbours kept"."""
    kind: ColumnKind
    values: np.ndarray
    """categorical: int32 codes into `categories`, `NO_VALUE` where unknown; number: float32, NaN where unknown; text: strings."""
    categories: tuple[str, ...] = ()
    about: str = ""
    """One plain sentence: what it says, and when it misleads."""
    better: Literal["higher", "lower", "neither"] = "neither"

    def __post_init__(self) -> None:
        wanted = {"categorical": "i", "number": "f", "text": "U"}[self.kind]
        if self.values.ndim != 1 or self.values.dtype.kind != wanted:
            raise ValueError(
                f"column '{self.name}' is {self.kind} but holds {self.values.dtype} of {self.values.ndim} axes"
            )
        if self.kind == "categorical" and len(self.values) and self.values.max() >= len(self.categories):
            raise ValueError(f"column '{self.name}' has code {self.values.max()} but {len(self.categories)} categories")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSample:
    """A sample that points stand for, once, whatever the number of its points."""

    id: str
    row: int = 0
    """Row of the data set, from 1; 0 where it is not known."""
    role: Role = "query"
    text: str = ""
    answer: str = ""
    """What the data call right; empty when they do not say."""
    image: str = ""
    """Path of its first image, or its name when it has no file."""
    thumbnail: bytes = field(default=b"", repr=False)
    """JPEG of at most 64 x 64 pixels; empty without image, and beyond the number of samples that get one."""
    thoughts: tuple[str, ...] = ()
    """Decoded thought under each checkpoint of the map; empty strings where nothing was decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFigure:
    """A number about a projection as a whole."""

    name: str
    """trustworthiness, neighbours kept, stability"""
    projection: ProjectionName
    value: float
    n: int
    """Points it was measured on; fewer than the map has when sampled."""
    k: int
    """Neighbours looked at."""
    seed: int
    """Of the sample, or of the repeat run."""
    chance: float | None = None
    """What a map without any sense would get, where that is known."""
    checkpoint: int = 0
    """Whose points it was measured on."""
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Points that lie together; number = its code in the column "cluster"."""

    label: str
    """Its number from 1 and its words: the category's name in the column."""
    words: tuple[str, ...]
    """What its thoughts say more often than others (c-TF-IDF), best first."""
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """A point pair whose neighbours changed from the first checkpoint to the second."""

    pair: int
    """Row of `Pairing.pairs`."""
    change: float
    """1 - the share of its k neighbours in the original space that both checkpoints have in common; 1: all are other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Two checkpoints on one map."""

    alignment: Mapping[ProjectionName, Alignment]
    """How the second checkpoint's points were laid over the first's, in each projection."""
    about: str
    """One plain sentence on what the lines between two places do and do not mean."""
    pairs: Int[np.ndarray, "pairs 2"]
    """Point of the first and of the second checkpoint for the same sample and think position; int32."""
    change: Float[np.ndarray, " pairs"]
    """As `Mover.change`, of every pair."""
    movers: tuple[Mover, ...]
    """The largest, first."""
    k: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentMap:
    """A map, with everything that a page, a file or a later reader needs to show and to doubt it."""

    title: str
    of: Of
    layer: int | None
    """Decoder layer, from 0; None for embeddings."""
    checkpoints: tuple[Provenance, ...]
    """One, or two on one map."""
    source: Mapping[str, str]
    """data, split, revision: whichever are known, for opening a sample again."""
    samples: tuple[MapSample, ...]
    sample: Int[np.ndarray, " points"]
    """Index into `samples`; int32."""
    k: Int[np.ndarray, " points"]
    """Think position, from 0, or `NO_STEP`; int32."""
    checkpoint: Int[np.ndarray, " points"]
    """Index into `checkpoints`; int32."""
    projections: Mapping[ProjectionName, Float[np.ndarray, "points 2"]]
    """At least "pca"; float32. The one to show first is `shown`."""
    shown: ProjectionName
    columns: tuple[Column, ...]
    """To colour by, most useful first: task, label, answer, think position, correct, confidence, checkpoint, metadata, cluster,
    neighbours kept, duplicate. Only those that are known. See `column`."""
    neighbours: Int[np.ndarray, "points near"]
    """Nearest points of the same checkpoint in the *original* space, nearest first, without the point itself; int32 indices of
    points, `NO_VALUE` behind the last."""
    distances: Float[np.ndarray, "points near"]
    """To them, in `parameters["metric"]`, float32; NaN where there is no neighbour."""
    kept: Float[np.ndarray, " points"]
    """Share of a point's neighbours that are its neighbours in the shown projection too, 0 to 1; NaN for points that were not
    in the sample it was measured on. Also the column "neighbours kept"."""
    figures: tuple[MapFigure, ...]
    clusters: tuple[Cluster, ...] = ()
    duplicates: int = 0
    """Points that lie exactly on an earlier one and were fitted with it as one."""
    pairing: Pairing | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """n_neighbours, min_dist, metric, n_components_before, ...: JSON values."""
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """collect, pca, compile (numba, once a process), umap, quality, clusters."""
    notes: tuple[str, ...] = ()
    """Plain sentences: what was sampled, merged, left out or fallen back on. Always shown."""
    reading: str = ""
    """What this map can and cannot say, in plain words. Always shown."""

    def __post_init__(self) -> None:
        n = len(self.sample)
        sized = {"k": self.k, "checkpoint": self.checkpoint, "neighbours": self.neighbours, "distances": self.distances}
        sized |= {"kept": self.kept, **self.projections, **{column.name: column.values for column in self.columns}}
        for name, values in sized.items():
            if len(values) != n:
                raise ValueError(f"the map has {n} points but '{name}' has {len(values)}")
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError(f"the map has two columns of one name: {names}")
        if self.shown not in self.projections:
            raise ValueError(f"the map is to show '{self.shown}', but has only {sorted(self.projections)}")

    def __len__(self) -> int:
        return len(self.sample)

    @property
    def duplicate_share(self) -> float:
        """Of all points, those that lie exactly on an earlier one; many are themselves a sign of collapsed thoughts."""
        return self.duplicates / max(1, len(self))

    def column(self, name: str) -> Column:
        """The column called `name`. Raises KeyError naming the columns there are."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"the map has no column '{name}', only {[column.name for column in self.columns]}")

    def starts(self) -> Int[np.ndarray, " ends"]:
        """Where each sample's run of points begins, and the number of points at the end.

        Points `starts[i]` up to `starts[i + 1]` are one sample's think positions under one checkpoint, in order: its
        trajectory.
        """
        change = (np.diff(self.sample) != 0) | (np.diff(self.checkpoint) != 0)
        return np.concatenate([[0], np.flatnonzero(change) + 1, [len(self)]]).astype(np.int32)
