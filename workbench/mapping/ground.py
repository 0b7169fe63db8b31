"""One checkpoint's points made ready: those without a place left out, copies merged, neighbours and components found."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from workbench.latent_map import NO_VALUE
from workbench.mapping.cloud import Cloud, has_place, make_cloud, metric_distances
from workbench.mapping.neighbours import EXACT
from workbench.mapping.pca import principal_components
from workbench.mapping.points import Points
from workbench.mapping.settings import MapSettings, Metric
from workbench.stats import Neighbours, nearest_neighbours

COMPONENTS = 50
"""Principal components that UMAP is given beside the neighbours of the original space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a projection of one checkpoint's points begins with. Rows of all but `cloud.inverse` are different vectors."""

    cloud: Cloud
    components: Float[np.ndarray, "unique components"]

    def __len__(self) -> int:
        return len(self.cloud.vectors)

    @property
    def n_points(self) -> int:
        """Points, copies included."""
        return len(self.cloud.inverse)

    @property
    def is_exact(self) -> bool:
        """Whether all distances are looked at in search of neighbours."""
        return len(self) <= EXACT

    def exact_neighbours(self, k: int) -> Neighbours:
        """Nearest different vectors in the metric's space; only where `is_exact`."""
        return nearest_neighbours(self.cloud.vectors, k)


def place_points(points: Points, metric: Metric) -> tuple[Points, str]:
    """The points that can lie on a map, and a sentence about those that cannot, empty when there are none."""
    fine = has_place(points.vectors, metric)
    lost = int((~fine).sum())
    if not lost:
        return points, ""
    why = "NaN or infinity" + (", or zeros alone, which have no direction" if metric == "cosine" else "")
    told = f"{lost:,} of {len(fine):,} points were left out: their latents hold {why}."
    return points.only(np.flatnonzero(fine).astype(np.int32)), told


def lay_ground(vectors: Float[np.ndarray, "points dim"], settings: MapSettings) -> Ground:
    """Merge copies and find principal components of vectors that all have a place."""
    cloud = make_cloud(vectors, settings.metric)
    return Ground(cloud=cloud, components=principal_components(cloud.vectors, COMPONENTS))


def neighbours_of_points(
    ground: Ground, near: Neighbours, metric: Metric, offset: int
) -> tuple[Int[np.ndarray, "points k"], Float[np.ndarray, "points k"]]:
    """Neighbours as the map tells them: of every point, numbered from `offset`, in the metric's distance.

    Of copies that lie on one vector the first stands for all, so that a point's list shows k different vectors.
    """
    indices = np.where(near.indices >= 0, ground.cloud.first[near.indices] + offset, NO_VALUE).astype(np.int32)
    distances = metric_distances(near.distances, metric)
    distances[indices < 0] = np.nan
    return indices[ground.cloud.inverse], distances[ground.cloud.inverse]
