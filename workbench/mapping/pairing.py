"""Two checkpoints on one map: which points belong together, how they were laid over each other, and who moved most."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from workbench.latent_map import Alignment, Mover, Pairing, ProjectionName
from workbench.mapping.joining import Joined
from workbench.mapping.neighbours import EXACT
from workbench.stats import nearest_neighbours, overlap, procrustes

ALIGNED = 5_000
"""Points of each checkpoint up to which AlignedUMAP takes minutes at most."""
_LISTED = 100

_HOW: dict[Alignment, str] = {
    "aligned-umap": "AlignedUMAP laid both checkpoints out together, by neighbours that it found itself among 50 principal components, and pulled each sample's two places towards each other",
    "procrustes": (
        "the second checkpoint's layout was begun on the first one's places, fitted by itself, and then turned, scaled and "
        "shifted onto it (Procrustes)"
    ),
}


def find_pairs(joined: Joined) -> Int[np.ndarray, "pairs 2"]:
    """Rows of the table that are the same sample and think position under the first and the second checkpoint."""
    key = joined.sample.astype(np.int64) * (int(joined.k.max()) + 2) + joined.k + 1
    one, other = joined.rows(0), joined.rows(1)
    _, a, b = np.intersect1d(key[one], key[other], assume_unique=True, return_indices=True)
    return np.stack([a + one.start, b + other.start], axis=1).astype(np.int32)


def relate(
    pairs: Int[np.ndarray, "pairs 2"],
    inverse: tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]],
    starts: tuple[int, ...],
) -> Int[np.ndarray, "unique 2"]:
    """The pairs as rows of the two clouds of different vectors, each row at most once."""
    rows = np.stack([inverse[side][pairs[:, side] - starts[side]] for side in (0, 1)], axis=1)
    for side in (0, 1):
        _, first = np.unique(rows[:, side], return_index=True)
        rows = rows[np.sort(first)]
    return rows.astype(np.int32)


def lay_over(
    places: Float[np.ndarray, "rows 2"], joined: Joined, pairs: Int[np.ndarray, "pairs 2"]
) -> Float[np.ndarray, "rows 2"]:
    """Turn, scale and shift the second checkpoint's places onto the first's, in least squares over the pairs."""
    found = places.copy()
    onto = procrustes(places[pairs[:, 1]], places[pairs[:, 0]])
    found[joined.rows(1)] = onto(places[joined.rows(1)])
    return found


def make_pairing(
    joined: Joined,
    spaces: tuple[Float[np.ndarray, "a dim"], Float[np.ndarray, "b other"]],
    pairs: Int[np.ndarray, "pairs 2"],
    alignment: Mapping[ProjectionName, Alignment],
    *,
    k: int,
    seed: int,
) -> Pairing:
    """Measure how far each pair's neighbours changed, in the original spaces, among the pairs alone.

    Args:
        joined: the table.
        spaces: vectors of each checkpoint in the metric's space, in the order of the table.
        pairs: rows of the table.
        alignment: how each projection was made.
        k: neighbours looked at.
        seed: of the sample that is measured where there are more than 20,000 pairs; the others' change is NaN.
    """
    n = len(pairs)
    at = np.sort(np.random.default_rng(seed).permutation(n)[:EXACT])
    k = min(k, len(at) - 1)
    change = np.full(n, np.nan, dtype=np.float32)
    if k > 0:
        near = [nearest_neighbours(spaces[side][pairs[at, side] - joined.starts[side]], k).indices for side in (0, 1)]
        change[at] = 1 - overlap(near[0], near[1])
    order = [int(i) for i in np.argsort(-change, kind="stable")[:_LISTED] if np.isfinite(change[i])]
    shown = "umap" if "umap" in alignment else "pca"
    about = (
        f"On this map {_HOW[alignment[shown]] if shown == 'umap' else 'each PCA was turned, scaled and shifted onto the other'}"
        "; a line joins the two places of one sample. Its length depends on the layout. Movers are listed by how many of their "
        f"{k} nearest neighbours in the original space changed"
        + (f", measured on a sample of {len(at):,} of {n:,} pairs." if len(at) < n else ".")
    )
    movers = tuple(Mover(pair=i, change=float(change[i])) for i in order)
    return Pairing(alignment=alignment, about=about, pairs=pairs, change=change, movers=movers, k=k)
