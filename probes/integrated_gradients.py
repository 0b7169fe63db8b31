"""Integrated gradients: the gradient summed along the way from a baseline to the sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, final

import numpy as np
from jaxtyping import Float

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet

if TYPE_CHECKING:
    from torch import Tensor

_LEVELS = (7, 15, 31, 63, 127, 255)
"""Counts of steps that are tried one after the other; the places of each are among those of the next."""


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IntegratedGradients(AttributionProbe):
    """The integral of (sample - baseline) x gradient along the straight way between them.

    Units: the target's own. Relevances sum to the target less its value at the baseline, but for the completeness gap,
    which is measured for each target. Steps go from 7 to 15, 31 and so on until every target's gap is within the
    tolerance: by Fejer's second rule, whose steps stay when they are doubled. Targets that are there already cost nothing
    more. With tolerance 0 all steps are taken at once, by Gauss-Legendre quadrature as in Captum. Memory: the graph of at most 1,024 visual tokens or patches at a time (or of one copy
    of the sample), and one gradient.

    It misleads where the baseline is itself something the model reads: a map tells what the sample has more than its
    baseline, so a black object on a black baseline is invisible. Zeros are not offered, because Qwen2-VL's vision tower
    jumps there. A small gap is necessary, not sufficient, for a right map.
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
    steps: Annotated[int, Control(help="Most steps along the way.", low=1, high=255)] = 63
    tolerance: Annotated[
        float, Control(help="Completeness gap at which a target is done; 0 takes all steps.", low=0, high=0.5)
    ] = 0.02
    draws: Annotated[int, Control(help="Ways to average when the baseline is noise.", low=1, high=16)] = 4
    seed: Annotated[int, Control(help="Decides the noise.", low=0)] = 0

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        from workbench.gradients import completeness_gap, starting_points
        from workbench.quadrature import fejer, gauss

        starts = starting_points(objective, self.baseline, self.draws, self.seed)
        value = objective(objective.features[None])[0].double().cpu().numpy()
        base = objective(starts).double().mean(0).cpu().numpy()
        n_targets = len(objective.targets)
        gap, steps = np.full(n_targets, np.inf), np.zeros(n_targets, dtype=np.int64)
        relevance = np.zeros((n_targets, len(objective.columns)))
        left, known, passes = np.arange(n_targets), {}, 0
        for n_steps in self._levels():
            shares, weights = (gauss if self.tolerance == 0 else fejer)(n_steps)
            fresh = [share for share in shares if _key(share) not in known]
            doing = f"{n_steps} steps for {len(left)} of {n_targets} targets"
            begun, whole = (n_steps - len(fresh)) / self.steps, len(fresh) / self.steps
            found = _walk(
                objective, starts, fresh, left.tolist(), lambda s, b=begun, w=whole, d=doing: tick(b + w * s, d)
            )
            known |= {_key(share): found[:, number] for number, share in enumerate(fresh)}
            passes += len(fresh) * len(starts)
            steps[left] = n_steps
            relevance[left] = sum(weight * known[_key(share)] for share, weight in zip(shares, weights, strict=True))
            gap[left] = completeness_gap(relevance[left].sum(axis=1), value[left], base[left])
            open_ = gap[left] > self.tolerance
            left, known = left[open_], {key: rows[open_] for key, rows in known.items()}
            if not len(left):
                break
        taken = ", ".join(f"{n} for {(steps == n).sum()}" for n in np.unique(steps))
        return Attribution(
            relevance=relevance,
            gap=gap,
            baseline=base,
            passes=passes + len(starts) + 1,
            remarks=(f"steps: {taken} of {n_targets} targets",),
        )

    def _levels(self) -> list[int]:
        if self.tolerance == 0 or self.steps < _LEVELS[0]:
            return [self.steps]
        return [n for n in _LEVELS if n <= self.steps]


def _key(share: float) -> int:
    return round(share * 2**40)


def _walk(
    objective: Objective,
    starts: "Tensor",
    shares: Sequence[float],
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
