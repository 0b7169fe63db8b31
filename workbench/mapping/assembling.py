"""From what was fitted and measured to the record that pages and files take."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np
from jaxtyping import Float, Int

from workbench import __version__
from workbench.latent_map import NO_VALUE, Cluster, Column, LatentMap, MapFigure, Pairing, ProjectionName
from workbench.mapping.clusters import Document, find_groups, name_groups
from workbench.mapping.columns import (
    checkpoint_column,
    cluster_column,
    duplicate_column,
    kept_column,
    sort_columns,
    step_column,
)
from workbench.mapping.ground import COMPONENTS, Ground, neighbours_of_points
from workbench.mapping.joining import Joined
from workbench.mapping.quality import reading
from workbench.mapping.settings import MapSettings
from workbench.stats import Neighbours

LISTED = 20
"""Neighbours of a point that a map holds, whatever it is measured with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What there is of a map so far. Lists have an entry for each checkpoint, or none yet."""

    joined: Joined
    grounds: Sequence[Ground]
    projections: Mapping[ProjectionName, Float[np.ndarray, "_ 2"]]
    near: Sequence[Neighbours]
    kept: Sequence[Float[np.ndarray, "_"]]
    """On the last projection."""
    figures: Sequence[MapFigure]
    pairing: Pairing | None
    notes: Sequence[str]
    seconds: Mapping[str, float]
    versions: Mapping[str, str]


def assemble(draft: Draft, settings: MapSettings, *, final: bool) -> LatentMap:
    """Make the record; groups are looked for in a final one only."""
    joined, first = draft.joined, draft.joined.points[0]
    shown: ProjectionName = "umap" if "umap" in draft.projections else "pca"
    indices, distances = _neighbours(draft, settings)
    kept = np.concatenate(draft.kept) if draft.kept else np.full(len(joined.sample), np.nan, dtype=np.float32)
    groups, clusters, notes, seconds = np.full(len(joined.sample), NO_VALUE, dtype=np.int32), (), [*draft.notes], {}
    if final:
        begin = time.perf_counter()
        groups, clusters, told = _group(joined, draft.projections[shown], settings.seed)
        notes += told
        seconds = {"clusters": time.perf_counter() - begin}
    inverse = {number: ground.cloud.inverse for number, ground in enumerate(draft.grounds)}
    duplicates = sum(ground.n_points - len(ground) for ground in draft.grounds)
    if duplicates:
        notes.append(_told_duplicates(duplicates, len(joined.sample)))
    return LatentMap(
        title=first.title,
        of=first.of,
        layer=first.layer,
        checkpoints=tuple(points.provenance for points in joined.points),
        source=first.source,
        samples=joined.samples,
        sample=joined.sample,
        k=joined.k,
        checkpoint=joined.checkpoint,
        projections=dict(draft.projections),
        shown=shown,
        columns=_columns(joined, groups, clusters, kept, duplicate_column(inverse)),
        neighbours=indices,
        distances=distances,
        kept=kept,
        figures=tuple(draft.figures),
        clusters=clusters,
        duplicates=duplicates,
        pairing=draft.pairing,
        parameters=_parameters(settings) | {"points_found": _found(joined)},
        seed=settings.seed,
        versions={"thinkscope": __version__, "numpy": version("numpy"), "scikit-learn": version("scikit-learn")}
        | dict(draft.versions),
        seconds=dict(draft.seconds) | seconds,
        notes=tuple(notes),
        reading=reading(shown, compares=len(joined.points) > 1),
    )


def _neighbours(draft: Draft, settings: MapSettings) -> tuple[np.ndarray, np.ndarray]:
    joined = draft.joined
    if not draft.near:
        n = len(joined.sample)
        return np.zeros((n, 0), dtype=np.int32), np.zeros((n, 0), dtype=np.float32)
    k = min(LISTED, max(near.indices.shape[1] for near in draft.near))
    found = []
    for ground, near, start in zip(draft.grounds, draft.near, joined.starts, strict=False):
        nearest = Neighbours(near.indices[:, :k], near.distances[:, :k])
        indices, distances = neighbours_of_points(ground, nearest, settings.metric, start)
        missing = ((0, 0), (0, k - indices.shape[1]))
        padded = np.pad(indices, missing, constant_values=NO_VALUE)
        found.append((padded, np.pad(distances, missing, constant_values=np.nan)))
    return np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found])


def _group(
    joined: Joined, places: Float[np.ndarray, "rows 2"], seed: int
) -> tuple[Int[np.ndarray, " rows"], tuple[Cluster, ...], list[str]]:
    groups, sampled = find_groups(places, seed)
    notes = (
        ["Groups were found on a sample of the points; every other point got the group of the nearest."]
        if sampled
        else []
    )
    if groups.max(initial=NO_VALUE) < 0:
        return groups, (), notes
    key = joined.sample.astype(np.int64) * 2 + joined.checkpoint
    order = np.argsort(key, kind="stable")
    begins = np.flatnonzero(np.diff(key[order], prepend=-1))
    documents = [
        Document(text=joined.samples[one // 2].thoughts[one % 2], groups=tuple(set(part.tolist())))
        for one, part in zip(key[order][begins].tolist(), np.split(groups[order], begins[1:]), strict=True)
    ]
    return groups, name_groups(groups, joined.k, documents), notes


def _columns(
    joined: Joined,
    groups: Int[np.ndarray, " rows"],
    clusters: tuple[Cluster, ...],
    kept: Float[np.ndarray, " rows"],
    duplicate: Column,
) -> tuple[Column, ...]:
    found = [*joined.columns, duplicate]
    if (joined.k >= 0).any():
        found.append(step_column(joined.k))
    if len(joined.points) > 1:
        found.append(checkpoint_column(joined.checkpoint, [points.provenance.checkpoint for points in joined.points]))
    if clusters:
        found.append(cluster_column(groups, clusters))
    if np.isfinite(kept).any():
        found.append(kept_column(kept))
    return sort_columns(found)


def _parameters(settings: MapSettings) -> dict[str, str | int | float | bool]:
    found = asdict(settings)
    del found["seed"], found["timeout"]
    return {**found, "components": COMPONENTS}


def _found(joined: Joined) -> int:
    return sum(len(points.vectors) if points.found is None else points.found for points in joined.points)


def _told_duplicates(duplicates: int, n: int) -> str:
    return (
        f"{duplicates:,} of {n:,} points ({duplicates / n:.1%}) are copies of another and were fitted as one; many copies are "
        "themselves a sign of collapsed thoughts."
    )
