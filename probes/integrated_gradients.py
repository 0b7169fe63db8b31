"""Integrated gradients: the gradient summed along the way from a baseline to the sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, final

import numpy as np

from workbench.attribution import Attribution, AttributionProbe, Tick, quiet
from workbench.embedder import Objective
from workbench.probe import Control, register_probe

if TYPE_CHECKING:
    from torch import Tensor

_FIRST = 4
"""Steps of the first try."""


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IntegratedGradients(AttributionProbe):
    """The integral of (sample - baseline) x gradient along the straight way between them, by Gauss-Legendre quadrature.

    Units: the target's own. Relevances sum to the target less its value at the baseline, but for the completeness gap,
    which is measured for each target. Steps are doubled until every target's gap is within the tolerance; targets that are
    there already cost nothing more. Memory: the graph of at most 1,024 visual tokens or patches at a time (or of one copy
    of the sample), and one gradient.

    It misleads where the baseline is itself something the model reads: a map tells what the sample has more than its
    baseline, so a black object on a black baseline is invisible. Zeros are not offered, because Qwen2-VL's vision tower
    jumps there. With tolerance 0 all steps are taken at once. A small gap is necessary, not sufficient, for a right map.
    """

    name = "integrated_gradients"
    title = "Integrated gradients"
    version = 1
    reference = "Sundararajan et al., arXiv 1703.01365; noise baselines: Erion et al., arXiv 1906.10670"
    signed = True
    complete = True

    baseline: Annotated[
        Literal["blur", "mean", "noise"],
        Control(help="Where the way begins: the blurred image, its mean, or noise like its features (several draws)."),
    ] = "blur"
    steps: Annotated[int, Control(help="Most steps along the way.", low=1, high=512)] = 64
    tolerance: Annotated[
        float, Control(help="Completeness gap at which a target is done; 0 takes all steps.", low=0, high=0.5)
    ] = 0.02
    draws: Annotated[int, Control(help="Ways to average when the baseline is noise.", low=1, high=64)] = 4
    seed: Annotated[int, Control(help="Decides the noise.", low=0)] = 0

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        from workbench.gradients import completeness_gap, starting_points

        starts = starting_points(objective, self.baseline, self.draws, self.seed)
        value = objective(objective.features[None])[0].double().cpu().numpy()
        base = objective(starts).double().mean(0).cpu().numpy()
        n_targets = len(objective.targets)
        gap, steps = np.full(n_targets, np.inf), np.zeros(n_targets, dtype=np.int64)
        relevance = np.zeros((n_targets, len(objective.columns)))
        left, passes, tries = np.arange(n_targets), 0, self._tries()
        for n_steps in tries:
            doing = f"{n_steps} steps for {len(left)} of {n_targets} targets"
            before, whole = passes / len(starts) / sum(tries), n_steps / sum(tries)
            relevance[left] = _integrate(
                objective,
                starts,
                n_steps,
                left.tolist(),
                lambda share, b=before, w=whole, d=doing: tick(b + w * share, d),
            )
            passes += n_steps * len(starts)
            steps[left] = n_steps
            gap[left] = completeness_gap(relevance[left].sum(axis=1), value[left], base[left])
            left = left[gap[left] > self.tolerance]
            if not len(left):
                break
        taken = [f"{n} for {(steps == n).sum()}" for n in np.unique(steps)]
        return Attribution(
            relevance=relevance,
            gap=gap,
            baseline=base,
            passes=passes + len(starts) + 1,
            remarks=(f"steps: {', '.join(taken)} of {n_targets} targets",),
        )

    def _tries(self) -> list[int]:
        if self.tolerance == 0:
            return [self.steps]
        doubled = [_FIRST * 2**power for power in range(10)]
        return [*(n for n in doubled if n < self.steps), self.steps]


def _integrate(
    objective: Objective, starts: "Tensor", n_steps: int, targets: Sequence[int], tell: Callable[[float], None]
) -> np.ndarray:
    """The integral for the chosen targets, mean over the starts, as (targets, cells)."""
    import torch

    from workbench.gradients import at_once, products

    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    shares = torch.from_numpy((nodes + 1) / 2).to(starts).repeat(len(starts))
    weight = torch.from_numpy(weights / 2 / len(starts)).to(starts).repeat(len(starts))
    of_start = torch.arange(len(starts), device=starts.device).repeat_interleave(n_steps)
    total = np.zeros((len(targets), len(objective.columns)))
    size = at_once(objective)
    for begin in range(0, len(shares), size):
        tell(begin / len(shares))
        part = slice(begin, begin + size)
        found = products(objective, starts[of_start[part]], shares[part], targets)
        total += torch.einsum("tpc,p->tc", found, weight[part]).double().cpu().numpy()
    return total
