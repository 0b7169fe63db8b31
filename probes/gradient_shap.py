"""Gradient SHAP: gradients at random places between random baselines and the sample, the places spread evenly."""

from dataclasses import dataclass
from typing import Annotated, Literal, final

import numpy as np
from jaxtyping import Float

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet

_MOST = 512


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GradientShap(AttributionProbe):
    """Mean of (sample - baseline) x gradient over random baselines and random places on the way (expected gradients).

    Units: the target's own. Each sample draws a baseline of noise with the mean and spread of the sample's own features, or
    takes the filling, and one place on the way. The places are stratified: the way is cut into as many equal parts as
    there are samples, and each part holds one, so that few samples do. Sampling leaves an error, given as standard error of
    the mean from pairs of neighbouring parts (collapsed strata), which is a little too large rather than too small; the
    completeness gap holds that error too.

    It misleads when there are too few samples, and where noise is unlike anything the model has seen, so that the way
    from it tells more about the model's surprise than about the image.
    """

    name = "gradient_shap"
    title = "Gradient SHAP"
    version = 2
    reference = "Lundberg and Lee, arXiv 1705.07874; Erion et al., arXiv 1906.10670; strata: Cochran, Sampling Techniques, 5A.12"
    signed = True
    complete = True

    baseline: Annotated[
        Literal["noise", "blur", "mean"],
        Control(help="Where ways begin: noise like the sample's features, the blurred image, or the mean."),
    ] = "noise"
    samples: Annotated[int, Control(help="Random places, each of them one pass.", low=2, high=_MOST)] = 16
    seed: Annotated[int, Control(help="Decides what is drawn.", low=0)] = 0

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        import torch

        from workbench.gradients import at_once, completeness_gap, products

        device, targets = objective.features.device, range(len(objective.targets))
        within = np.random.default_rng(self.seed).random(self.samples)
        places = ((np.arange(self.samples) + within) / self.samples).astype(np.float32)
        filled = None if self.baseline == "noise" else objective.baseline(self.baseline)[None]
        found, begun, size = [], [], at_once(objective)
        for begin in range(0, self.samples, size):
            tick(begin / self.samples, f"Sample {begin + 1} of {self.samples}")
            part = torch.from_numpy(places[begin : begin + size]).to(device)
            if filled is None:
                # Draw by draw, so that neither the batch size nor another seed repeats a draw.
                draws = [objective.noise(1, self.seed * _MOST + begin + i) for i in range(len(part))]
                starts = torch.cat(draws)
                begun.append(objective(starts).double().cpu())
            else:
                starts = filled.expand(len(part), -1, -1)
            found.append(products(objective, starts, part, targets).double().cpu())
        each = torch.cat(found, dim=1).numpy()
        value = objective(objective.features[None])[0].double().cpu().numpy()
        base = torch.cat(begun).mean(0).numpy() if filled is None else objective(filled)[0].double().cpu().numpy()
        relevance = each.mean(axis=1)
        return Attribution(
            relevance=relevance,
            error=_standard_error(each),
            gap=completeness_gap(relevance.sum(axis=1), value, base),
            baseline=base,
            passes=self.samples + (self.samples if filled is None else 1) + 1,
            remarks=(f"{self.samples} places between the sample and its baselines were sampled",),
        )


def _standard_error(each: Float[np.ndarray, "targets samples cells"]) -> Float[np.ndarray, "targets cells"]:
    """Of the mean over strata of one sample each; neighbours share a variance, and an odd last one joins its pair."""
    n = each.shape[1]
    pairs = [slice(begin, n if begin + 3 >= n else begin + 2) for begin in range(0, n - 1, 2)]
    total = sum(each[:, pair].var(axis=1, ddof=1) * each[:, pair].shape[1] for pair in pairs)
    return np.sqrt(total) / n
