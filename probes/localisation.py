"""Does the map lie on the evidence, where it is known which pixels hold it?"""

from dataclasses import dataclass
from typing import final

import numpy as np

from workbench import localising
from workbench.attribution import Tick
from workbench.errors import Unsupported
from workbench.probe import register_probe
from workbench.stages import quiet
from workbench.trust import MapCase, MapCheck
from workbench.types import Check, Measure, ProbeResult
from workbench.views import Note, Panel, Table


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Localisation(MapCheck):
    """Compare the map with the region that is known to decide the target: objects of Shapes, or planted evidence.

    `pointing_game`: whether the most relevant cell touches the region (arXiv 1608.00507). `relevance_mass`: share of the
    positive relevance on the region's pixels, `relevance_rank`: share of the top k cells that belong to the region of k
    cells (both arXiv 2003.07258). `intersection_over_union`: of the cells at half the maximum or more. All shares, 0 to 1.
    Beside them what chance gets, and `most_mass`, the most that any map of these cells could reach.

    It misleads when the model does not use the evidence that it should: then a map off the region is right, and the model
    is wrong. That is why only targets are taken that the model gets right; see also `workbench/localising.py` for when a
    cell belongs to a region.
    """

    name = "localisation"
    title = "Is the map on the evidence?"
    version = 1
    reference = "pointing game: arXiv 1608.00507; relevance mass and rank: CLEVR-XAI (arXiv 2003.07258)"

    def judge(self, case: MapCase, tick: Tick = quiet) -> ProbeResult:
        tick(0.0, "Comparing with the known region")
        if case.truth is None:
            raise Unsupported(
                "It is not known which pixels decide this target, so the map cannot be compared with them; "
                "take a sample of Shapes or plant evidence."
            )
        relevance, region = case.relevance.astype(np.float64), case.truth.astype(np.float64)
        hits = localising.pointing_game(relevance, region)
        mass = localising.relevance_mass(relevance, region)
        found = {
            "pointing_game": (hits, "share of hits", "whether the top cell touches the region"),
            "pointing_chance": (localising.touched(region).mean(axis=1), "share of hits", "a random cell's hits"),
            "relevance_mass": (mass, "share of positive relevance", "relevance on the region's pixels"),
            "mass_chance": (region.mean(axis=1), "share of positive relevance", "an even map's mass"),
            "most_mass": (region.max(axis=1), "share of positive relevance", "the most that any map could have"),
            "relevance_rank": (localising.relevance_rank(relevance, region), "share of cells", "top cells that belong"),
            "intersection_over_union": (localising.overlap(relevance, region), "share of cells", "bright cells"),
        }
        measures = [
            Measure(
                name=name,
                values=np.asarray(values, dtype=np.float32),
                dims=("target",),
                units=units,
                coords={"target": case.labels},
                better="neither" if "chance" in name or name == "most_mass" else "higher",
                about=about,
            )
            for name, (values, units, about) in found.items()
        ]
        return self.found(case, measures, [_on_region(hits, mass, region)])

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        names = tuple(measure.name for measure in result.measures)
        kinds = {True: "info", False: "warning"}
        notes = (Note(text=f"{c.name}: {c.about}", kind=kinds[c.passed]) for c in result.checks)  # pyright: ignore[reportArgumentType]
        return (Table(measures=names, title="The map against the known region"), *notes)


def _on_region(hits: np.ndarray, mass: np.ndarray, region: np.ndarray) -> Check:
    chance = float(region.mean())
    value = float(mass.mean())
    return Check(
        name="more on the region than an even map",
        value=value,
        tolerance=chance,
        passed=value > chance,
        about=f"{value:.0%} of the relevance lies on the region, an even map has {chance:.0%}; "
        f"the top cell hits it for {hits.mean():.0%} of the targets",
    )
