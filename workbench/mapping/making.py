"""From points to a map: first the principal components, which are there at once, then UMAP and what it is worth."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from workbench.errors import BadInput, Cancelled
from workbench.latent_map import Alignment, LatentMap, MapFigure, Pairing, ProjectionName
from workbench.mapping.assembling import Draft, assemble
from workbench.mapping.fitting import Fit, FitCloud, FitFailed, run_fit
from workbench.mapping.ground import Ground, lay_ground, place_points
from workbench.mapping.joining import Joined, join_points
from workbench.mapping.pairing import ALIGNED, find_pairs, lay_over, make_pairing, relate
from workbench.mapping.points import Points
from workbench.mapping.quality import measure_quality, measure_stability
from workbench.mapping.settings import MapSettings
from workbench.stages import Progress, quiet
from workbench.stats import Neighbours, nearest_neighbours

LEAST = 10
"""Different vectors below which UMAP has nothing to keep; the map then is the PCA."""
REPEATED = 20_000
"""Points up to which the repeat fit is of all of them; beyond, two fits of a sample of `SAMPLED` are compared."""
SAMPLED = 10_000
REPEATED_ALIGNED = 2_000


def make_map(
    parts: Sequence[Points],
    settings: MapSettings,
    *,
    paint: Callable[[LatentMap], None] | None = None,
    tell: Progress = quiet,
    cancelled: Callable[[], bool] = lambda: False,
) -> LatentMap:
    """Lay out the points of one checkpoint, or of two on one map.

    A map comes back for any points at all: where UMAP cannot be fitted, it shows the PCA and a note says why.

    Args:
        parts: of each checkpoint; the second is laid over the first.
        settings: what to fit.
        paint: given the map with PCA alone, as soon as it is there.
        tell: told the share done.
        cancelled: asked several times a second.

    Raises:
        BadInput: for no point that could have a place, more than two checkpoints, or two that share no sample.
        Cancelled: when `cancelled` said so.
    """
    if not 1 <= len(parts) <= 2:
        raise BadInput(f"A map shows one checkpoint or two, not {len(parts)}.")
    work = _Work(parts, settings, tell, cancelled)
    work.step(0.02, "Principal components")
    work.lay_pca()
    if paint is not None:
        paint(work.assemble())
    work.step(0.05, "Searching for neighbours")
    work.find_neighbours()
    work.lay_umap()
    work.step(0.85, "Measuring what the map is worth")
    work.measure()
    work.step(0.95, "Naming groups")
    found = work.assemble(final=True)
    tell(1.0, "done")
    return found


@dataclass(slots=True)
class _Work:
    """One map on its way. Lists have an entry for each checkpoint."""

    parts: Sequence[Points]
    settings: MapSettings
    tell: Progress
    cancelled: Callable[[], bool]
    joined: Joined = field(init=False)
    grounds: list[Ground] = field(init=False)
    pairs: Int[np.ndarray, "pairs 2"] | None = field(init=False, default=None)
    projections: dict[ProjectionName, Float[np.ndarray, "rows 2"]] = field(init=False, default_factory=dict)
    alignment: dict[ProjectionName, Alignment] = field(init=False, default_factory=dict)
    near: list[Neighbours] = field(init=False, default_factory=list)
    kept: list[np.ndarray] = field(init=False, default_factory=list)
    figures: list[MapFigure] = field(init=False, default_factory=list)
    notes: list[str] = field(init=False, default_factory=list)
    seconds: dict[str, float] = field(init=False, default_factory=dict)
    versions: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        placed = []
        for part in self.parts:
            points, told = place_points(part, self.settings.metric)
            if not len(points.vectors):
                raise BadInput(f"There is nothing to map: {told or 'no points were given.'}")
            self.notes += [*part.notes, *([told] if told else [])]
            placed.append(points)
        self.notes = list(dict.fromkeys(self.notes))
        self.joined = join_points(placed)
        if len(placed) == 2:
            self.pairs = find_pairs(self.joined)
        self.seconds["collect"] = sum(part.seconds for part in self.parts)

    def step(self, done: float, message: str) -> None:
        if self.cancelled():
            raise Cancelled("The map was given up.")
        self.tell(done, message)

    def lay_pca(self) -> None:
        begin = time.perf_counter()
        self.grounds = [lay_ground(vectors, self.settings) for vectors in self.joined.vectors]
        self._place("pca", [ground.components[:, :2] for ground in self.grounds], "procrustes")
        self.seconds["pca"] = time.perf_counter() - begin
        for ground in self.grounds:
            if len(ground) == 1 and ground.n_points > 1:
                self.notes.append(f"All {ground.n_points:,} points have the same vector, so they lie in one place.")

    def find_neighbours(self) -> None:
        begin = time.perf_counter()
        k = self.settings.n_neighbours
        if all(ground.is_exact for ground in self.grounds):
            self.near = [ground.exact_neighbours(k) for ground in self.grounds]
        else:
            self.notes.append("Neighbours were searched for by NN-descent, which misses a few; distances are exact.")
            fit = Fit(mode="neighbours", clouds=self._clouds(), k=k, seeds=(self.settings.seed,))
            try:
                found = self._run(fit, 0.05, 0.3)
            except FitFailed as error:
                self.notes[-1] = (
                    f"Neighbours could not be searched for, so the map shows the PCA, without figures and lists of them. {error}"
                )
            else:
                self.near = [one for one in found.near if one is not None]
                self.versions |= found.versions
        self.seconds["neighbours"] = time.perf_counter() - begin

    def lay_umap(self) -> None:
        smallest = min(len(ground) for ground in self.grounds)
        if self.settings.projection == "pca" or not self.near:
            return
        if smallest < LEAST:
            told = "point" if smallest == 1 else "different points"
            self.notes.append(
                f"UMAP needs {LEAST} different points or more; with {smallest:,} {told} the map shows the PCA."
            )
            return
        if smallest <= self.settings.n_neighbours:
            self.notes.append(
                f"There are only {smallest:,} different points, fewer than UMAP was to keep together with each, so it keeps "
                f"{min(smallest, self.settings.n_neighbours) - 1} neighbours."
            )
        try:
            self._fit()
        except FitFailed as error:
            self.notes.append(f"The map shows the PCA. {error}")

    def _fit(self) -> None:
        aligned = len(self.grounds) == 2 and max(len(ground) for ground in self.grounds) <= ALIGNED
        largest = max(len(ground) for ground in self.grounds)
        all_again = largest <= (REPEATED_ALIGNED if aligned else REPEATED)
        seed = self.settings.seed
        seeds = (seed, seed + 1) if self.settings.repeat and all_again else (seed,)
        found = self._run(self._umap("aligned" if aligned else "each", self._clouds(), seeds), 0.3, 0.7)
        self.versions |= found.versions
        self.seconds |= {name: found.seconds[name] for name in ("compile", "umap")}
        self._place("umap", list(found.places[0]), "aligned-umap" if aligned else "procrustes")
        if self.settings.repeat and not all_again and not aligned:
            try:
                self._repeat_sample()
            except FitFailed as error:
                self.notes.append(f"Stability was not measured. {error}")
        elif len(seeds) == 2:
            self._compare(found.places[0], found.places[1])
        elif self.settings.repeat:
            self.notes.append(
                f"Stability was not measured: AlignedUMAP is fitted twice up to {REPEATED_ALIGNED:,} points only."
            )

    def _repeat_sample(self) -> None:
        """Two fits of a sample, since a repeat of everything would take as long again as the map itself."""
        seed = self.settings.seed
        for number, ground in enumerate(self.grounds):
            at = np.sort(np.random.default_rng(seed).permutation(len(ground))[:SAMPLED])
            vectors = ground.cloud.vectors[at]
            cloud = FitCloud(
                vectors=vectors,
                components=ground.components[at],
                near=nearest_neighbours(vectors, self.settings.n_neighbours),
            )
            found = self._run(self._umap("each", [cloud], (seed, seed + 1)), 0.7, 0.85)
            self._compare([found.places[0][0]], [found.places[1][0]], checkpoint=number)
        self.notes.append(f"Stability was measured on two fits of {SAMPLED:,} of the points.")

    def _compare(self, one: Sequence[np.ndarray], again: Sequence[np.ndarray], checkpoint: int = 0) -> None:
        for number, (places, repeated) in enumerate(zip(one, again, strict=True), start=checkpoint):
            k = min(self.settings.n_neighbours, len(places) - 1)
            figure = measure_stability(places, repeated, k=k, seed=self.settings.seed + 1, checkpoint=number)
            self.figures.append(figure)

    def measure(self) -> None:
        begin = time.perf_counter()
        for projection, places in self.projections.items() if self.near else ():
            kept = []
            for number, (ground, near) in enumerate(zip(self.grounds, self.near, strict=True)):
                rows = places[self.joined.rows(number)][ground.cloud.first]
                seed = self.settings.seed
                found = measure_quality(projection, ground.cloud.vectors, near, rows, seed=seed, checkpoint=number)
                self.figures += found.figures
                kept.append(found.kept[ground.cloud.inverse])
            # The last projection is the shown one.
            self.kept = kept
        self.seconds["quality"] = time.perf_counter() - begin

    def pairing(self) -> Pairing | None:
        if self.pairs is None:
            return None
        one, other = (ground.cloud.vectors[ground.cloud.inverse] for ground in self.grounds)
        k, seed = self.settings.n_neighbours, self.settings.seed
        return make_pairing(self.joined, (one, other), self.pairs, self.alignment, k=k, seed=seed)

    def assemble(self, *, final: bool = False) -> LatentMap:
        draft = Draft(
            joined=self.joined,
            grounds=self.grounds,
            projections=self.projections,
            near=self.near,
            kept=self.kept,
            figures=self.figures,
            pairing=self.pairing() if final else None,
            notes=self.notes,
            seconds=self.seconds,
            versions=self.versions,
        )
        return assemble(draft, self.settings, final=final)

    def _clouds(self) -> list[FitCloud]:
        near: list[Neighbours | None] = [*self.near] or [None] * len(self.grounds)
        return [
            FitCloud(vectors=ground.cloud.vectors, components=ground.components, near=one)
            for ground, one in zip(self.grounds, near, strict=True)
        ]

    def _umap(self, mode: Any, clouds: Sequence[FitCloud], seeds: Sequence[int]) -> Fit:
        pairs = None
        if self.pairs is not None and len(clouds) == 2:
            one, other = (ground.cloud.inverse for ground in self.grounds)
            pairs = relate(self.pairs, (one, other), self.joined.starts)
        smallest = min(len(cloud.components) for cloud in clouds)
        return Fit(
            mode=mode,
            clouds=clouds,
            pairs=pairs,
            n_neighbours=min(self.settings.n_neighbours, smallest),
            min_dist=self.settings.min_dist,
            seeds=seeds,
        )

    def _run(self, fit: Fit, begin: float, end: float) -> Any:
        def tell(done: float, message: str) -> None:
            self.tell(begin + (end - begin) * done, message)

        return run_fit(fit, tell=tell, cancelled=self.cancelled, timeout=self.settings.timeout)

    def _place(self, projection: ProjectionName, unique: list[np.ndarray], alignment: Alignment) -> None:
        rows = [places[ground.cloud.inverse] for places, ground in zip(unique, self.grounds, strict=True)]
        places = np.concatenate(rows).astype(np.float32)
        if self.pairs is not None:
            self.alignment[projection] = alignment
            if alignment == "procrustes":
                places = lay_over(places, self.joined, self.pairs)
        self.projections[projection] = np.ascontiguousarray(places, dtype=np.float32)
