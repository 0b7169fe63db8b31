"""Integrated gradients: the gradient summed along the way from a baseline to the sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, final

import numpy as np
from jaxtyping import Float, Int

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet

if TYPE_CHECKING:
    from torch import Tensor


_Found = tuple[Float[np.ndarray, "targets cells"], Int[np.ndarray, " targets"], int]
"""Relevances, steps of each target, and places that were read."""


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IntegratedGradients(AttributionProbe):
    """The integral of (sample - baseline) x gradient along the straight way between them.

    Units: the target's own. Relevances sum to the target less its value at the baseline, but for the completeness gap,
    which is measured for each target. The way is read in sections; a target's value at their ends says how far each section
    is off, and only those that are off are read more closely (`workbench/refinement.py`), until the gap, and the root of the
    sections' squared errors, are within the tolerance. With tolerance 0, or fewer than 4 steps, all steps are taken at once,
    by Gauss-Legendre quadrature as in Captum. Memory: the graph of at most 1,024 visual tokens or patches at a time (or of
    one copy of the sample), one gradient, and one map for each target and step.

    It misleads where the baseline is itself something the model reads: a map tells what the sample has more than its
    baseline, so a black object on a black baseline is invisible. Ways from noise point best on Shapes, from few draws
    already (docs/maps.md); another seed gives a somewhat different map, and the gap, which is that of the draws taken,
    does not hold this. Zeros are not offered, because Qwen2-VL's vision tower jumps there. A small gap is necessary, not
    sufficient, for a right map.
    """

    name = "integrated_gradients"
    title = "Integrated gradients"
    version = 2
    reference = "Sundararajan et al., arXiv 1703.01365; noise baselines: Erion et al., arXiv 1906.10670"
    signed = True
    complete = True

    baseline: Annotated[
        Literal["noise", "blur", "mean"],
        Control(
            help="Where the way begins: noise like the image's features (several draws), the blurred image, its mean."
        ),
    ] = "noise"
    steps: Annotated[int, Control(help="Most steps along the way.", low=1, high=255)] = 63
    tolerance: Annotated[
        float, Control(help="Completeness gap at which a target is done; 0 takes all steps.", low=0, high=0.5)
    ] = 0.04
    draws: Annotated[int, Control(help="Ways to average when the baseline is noise.", low=1, high=16)] = 2
    seed: Annotated[int, Control(help="Decides the noise.", low=0)] = 0

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        from workbench.gradients import completeness_gap, starting_points
        from workbench.refinement import SECTIONS

        starts = starting_points(objective, self.baseline, self.draws, self.seed)
        at_once = self.tolerance == 0 or self.steps < SECTIONS
        values = _values(objective, starts, 1 if at_once else SECTIONS)
        read = self._read_at_once if at_once else self._refine
        relevance, steps, places = read(objective, starts, values, tick)
        fewest, most = steps.min(), steps.max()
        taken = f"{most} steps" if fewest == most else f"{fewest} to {most} steps (median {np.median(steps):.0f})"
        return Attribution(
            relevance=relevance,
            gap=completeness_gap(relevance.sum(axis=1), values[-1], values[0]),
            baseline=values[0],
            passes=(places + len(values) - 1) * len(starts) + 1,
            remarks=(f"integrated in {taken} for {len(steps)} {'target' if len(steps) == 1 else 'targets'}",),
        )

    def _read_at_once(
        self, objective: Objective, starts: "Tensor", values: Float[np.ndarray, "ends targets"], tick: Tick
    ) -> _Found:
        from workbench.quadrature import gauss

        shares, weights = gauss(self.steps)
        n_targets = values.shape[1]
        doing = f"{self.steps} steps for {n_targets} targets"
        found = _walk(objective, starts, shares, range(n_targets), lambda share: tick(share, doing))
        return np.einsum("s,tsc->tc", weights, found), np.full(n_targets, self.steps), self.steps

    def _refine(
        self, objective: Objective, starts: "Tensor", values: Float[np.ndarray, "ends targets"], tick: Tick
    ) -> _Found:
        from workbench.gradients import LEAST_CHANGE
        from workbench.refinement import Refinement

        changes, cells = np.diff(values, axis=0).T, len(objective.columns)
        way = Refinement(changes, n_cells=cells, tolerance=self.tolerance, most=self.steps, least=LEAST_CHANGE)
        places = 0
        for reading in way.readings():
            n, done = len(reading.shares), float(way.steps.max()) / self.steps
            doing = f"{n} more steps for {len(reading.targets)} of {len(changes)} targets"
            tell: Callable[[float], None] = partial(_tell, tick, done, doing)
            way.take(reading, _walk(objective, starts, reading.shares, reading.targets, tell))
            places += n
        return way.relevance, way.steps, places


def _tell(tick: Tick, done: float, doing: str, _share: float) -> None:
    # How far a reading is says little: how many more there will be is not known.
    tick(done, doing)


def _values(objective: Objective, starts: "Tensor", sections: int) -> Float[np.ndarray, "ends targets"]:
    """The targets at the ends of equal sections of the way, mean over the starts; the last is the sample itself."""
    places = [starts + share * (objective.features - starts) for share in np.arange(sections) / sections]
    before = [objective(place).double().mean(0).cpu().numpy() for place in places]
    return np.stack([*before, objective(objective.features[None])[0].double().cpu().numpy()])


def _walk(
    objective: Objective,
    starts: "Tensor",
    shares: Float[np.ndarray, " shares"],
    targets: Sequence[int],
    tell: Callable[[float], None],
) -> Float[np.ndarray, "targets shares cells"]:
    """The integrand at each share of the way, mean over the starts."""
    import torch

    from workbench.gradients import at_once, products

    n, size = len(starts), at_once(objective)
    places = torch.tensor(shares, dtype=starts.dtype, device=starts.device).repeat_interleave(n)
    found = []
    for begin in range(0, len(places), size):
        tell(begin / len(places))
        part = places[begin : begin + size]
        of_start = torch.arange(begin, begin + len(part), device=starts.device) % n
        found.append(products(objective, starts[of_start], part, targets).double().cpu())
    each = torch.cat(found, dim=1).numpy()
    return each.reshape(len(targets), len(shares), n, -1).mean(axis=2)
