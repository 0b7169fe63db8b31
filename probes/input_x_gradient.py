"""Input x gradient: a straight line laid on each target where the sample stands."""

from dataclasses import dataclass
from typing import final

import numpy as np

from workbench.attribution import Attribution, AttributionProbe, Tick, quiet
from workbench.embedder import Objective
from workbench.probe import register_probe


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InputXGradient(AttributionProbe):
    """Each patch's features times the target's gradient, summed over the features.

    Units: the target's own. It is exact for a target that is linear in the features and 0 where they are 0, and a single
    step of integrated gradients from features of 0 otherwise: at the level of pixels that is the processor's mean colour,
    at the level of tokens a token that no image gives. Such a beginning is part of the method, and why
    integrated gradients with a blurred image is to be preferred.

    It misleads where a target is saturated, as every method does that looks at one point, and relevances do not sum to
    anything.
    """

    name = "input_x_gradient"
    title = "Input x gradient"
    version = 1
    reference = "Shrikumar et al., arXiv 1605.01713"
    signed = True

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        from workbench.gradients import own_gradients

        products = [(gradient * objective.features).sum(-1) for gradient in own_gradients(objective, tick)]
        rows = [objective.gather(product).cpu().numpy() for product in products]
        return Attribution(relevance=np.stack(rows), passes=1)
