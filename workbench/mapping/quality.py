"""What a map is worth: whether neighbours on it are neighbours in truth, and whether it would look the same again.

All figures are of different vectors: copies lie on one place of every map, and would make it look better than it is.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from workbench.latent_map import MapFigure, ProjectionName
from workbench.mapping.neighbours import near_on_map
from workbench.stats import Neighbours, overlap, trustworthiness

_COMPARISONS = 40_000_000
"""Distances that trustworthiness may look at: some seconds."""
_LEAST, _MOST = 200, 2_000

TRUST = (
    "How far neighbours on the map are neighbours in truth, 1 at best and about 0.5 for a random map (Venna and Kaski 2001). It "
    "tells of strangers laid side by side, not of true neighbours torn apart, and is near 1 for many useless maps of large data."
)
KEPT = "Share of a point's nearest neighbours in the original space that are its nearest on the map too."
STABLE = (
    "Share of a point's neighbours on the map that are the same when the map is fitted again with another seed. What changes "
    "with the seed is the method's doing, not the model's. Both fits begin alike, so another method could differ more."
)


class Quality(NamedTuple):
    """Of one checkpoint's points on one projection."""

    figures: tuple[MapFigure, ...]
    kept: Float[np.ndarray, " unique"]
    """Share of its neighbours that each vector keeps."""


def measure_quality(
    projection: ProjectionName,
    vectors: Float[np.ndarray, "unique dim"],
    near: Neighbours,
    places: Float[np.ndarray, "unique 2"],
    *,
    seed: int,
    checkpoint: int = 0,
) -> Quality:
    """Trustworthiness on a seeded sample and the neighbours kept of every vector.

    Args:
        projection: which it is.
        vectors: in the metric's space.
        near: their neighbours there.
        places: on the map.
        seed: of the sample.
        checkpoint: whose vectors.
    """
    n, k = near.indices.shape
    if n < 3 or k < 1:
        return Quality((), np.full(n, np.nan, dtype=np.float32))
    on_map = near_on_map(places, k)
    kept = overlap(near.indices, on_map).astype(np.float32)
    few = min(k, (n - 1) // 2)
    m = min(n, max(_LEAST, min(_MOST, _COMPARISONS // n)))
    at = np.sort(np.random.default_rng(seed).permutation(n)[:m])
    trust = trustworthiness(vectors, on_map[at, :few], at)
    shared = {"projection": projection, "seed": seed, "checkpoint": checkpoint}
    figures = (
        MapFigure(name="trustworthiness", value=trust, n=m, k=few, about=TRUST, **shared),
        MapFigure(name="neighbours kept", value=float(kept.mean()), n=n, k=k, chance=k / (n - 1), about=KEPT, **shared),
    )
    return Quality(figures, kept)


def measure_stability(
    one: Float[np.ndarray, "n 2"], again: Float[np.ndarray, "n 2"], *, k: int, seed: int, checkpoint: int = 0
) -> MapFigure:
    """How far two fits of the same points with different seeds agree on who is near whom; `seed` is that of the second."""
    n = len(one)
    agreed = overlap(near_on_map(one, k), near_on_map(again, k))
    return MapFigure(
        name="stability",
        projection="umap",
        value=float(agreed.mean()),
        n=n,
        k=k,
        seed=seed,
        chance=k / (n - 1),
        about=STABLE,
        checkpoint=checkpoint,
    )


def reading(projection: ProjectionName, *, compares: bool) -> str:
    """What a map of this kind can and cannot say."""
    told = "Read this map for who lies near whom, and check any group in the list of true neighbours. "
    if projection == "umap":
        told += (
            "UMAP keeps neighbours and gives up the rest: sizes of groups, gaps between them and distances across the map mean "
            "nothing, and points without structure are drawn as groups too. Trust a place as far as its neighbours are kept."
        )
    else:
        told += (
            "PCA shows the two directions of most variance: distances are true along them, and whatever differs in other "
            "directions is laid on top of each other."
        )
    if compares:
        told += " Between two checkpoints trust the list of movers, which is measured in the original spaces, not long lines."
    return told
