"""Saliency: how steeply each target changes with each patch."""

from dataclasses import dataclass
from typing import final

import numpy as np

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Objective
from workbench.probe import register_probe
from workbench.stages import quiet


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Saliency(AttributionProbe):
    """The length of the target's gradient with respect to a patch's features.

    Units: the target's own units for a change of length 1 in the patch's features. For a patch of several units (pixels),
    the sum of their lengths.

    It misleads where a target is saturated: a word that is already certain has a gradient near 0 for every patch, also for
    the ones that made it certain. It has no sign and does not say how much of the target a patch makes up.
    """

    name = "saliency"
    title = "Saliency"
    version = 1
    reference = "Simonyan et al., arXiv 1312.6034; here the Euclidean length over features"
    signed = False
    units = "the target's units for a change of length 1"

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        from workbench.gradients import own_gradients

        lengths = [gradient.norm(dim=-1) for gradient in own_gradients(objective, tick)]
        rows = [objective.gather(length).cpu().numpy() for length in lengths]
        return Attribution(relevance=np.stack(rows), passes=1)
