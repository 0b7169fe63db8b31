"""How a map is made: every choice that decides where its points lie and what is measured of them."""

from dataclasses import dataclass
from typing import Literal

from workbench.errors import BadInput
from workbench.latent_map import ProjectionName

Metric = Literal["cosine", "euclidean"]
PROJECTIONS: tuple[ProjectionName, ...] = ("umap", "pca")
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")

MAX_POINTS = 200_000
"""Beyond it a map samples its points and says so: the page stays fluid, and a fit takes minutes, not hours."""


def check_projection(name: str) -> ProjectionName:
    """A projection by its name. Raises BadInput."""
    for known in PROJECTIONS:
        if name == known:
            return known
    raise BadInput(f"The projection is '{name[:50]}', but must be {' or '.join(PROJECTIONS)}.")


def check_metric(name: str) -> Metric:
    """A metric by its name. Raises BadInput."""
    for known in METRICS:
        if name == known:
            return known
    raise BadInput(f"The metric is '{name[:50]}', but must be {' or '.join(METRICS)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSettings:
    """Settings of a projection. Raises BadInput for one that is out of range."""

    projection: ProjectionName = "umap"
    n_neighbours: int = 15
    """Neighbours that UMAP keeps together, and that are listed and counted as kept. Few show detail, many the whole."""
    min_dist: float = 0.1
    """How close UMAP may lay points, 0 to 1, in units of the map."""
    metric: Metric = "cosine"
    seed: int = 0
    repeat: bool = True
    """Fit a second time with another seed, which tells how stable the map is and takes as long again."""
    timeout: float = 3600.0
    """Seconds after which a fit is given up, and the map shows its PCA alone."""

    def __post_init__(self) -> None:
        check_projection(self.projection)
        check_metric(self.metric)
        if not 2 <= self.n_neighbours <= 200:
            raise BadInput(f"The number of neighbours is {self.n_neighbours}, but must be 2 to 200.")
        if not 0 <= self.min_dist <= 1:
            raise BadInput(f"The least distance is {self.min_dist}, but must be 0 to 1.")
        if not 0 <= self.seed < 2**31:
            raise BadInput(f"The seed is {self.seed}, but must be 0 or more and below 2,147,483,648.")
        if not self.timeout > 0:
            raise BadInput(f"The timeout is {self.timeout} seconds, but must be above 0.")
