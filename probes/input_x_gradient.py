"""Input x gradient: a straight line laid on each target where the sample stands."""

from dataclasses import dataclass
from typing import Annotated, Literal, final

import numpy as np

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InputXGradient(AttributionProbe):
    """What a patch's features have more than the baseline's, times the target's gradient, summed over the features.

    Units: the target's own. Exact for a target that is linear in the features; otherwise a single step of integrated
    gradients, taken at the sample. The classic form is the baseline `zero`. On models that norm their inputs it says next
    to nothing: the norm does not care how long a token is, so the gradient stands at right angles to the token and their
    product is rounding noise (for a token that passes through norms alone, exactly so).

    It misleads where a target is saturated, as every method does that looks at one point, and relevances do not sum to
    anything.
    """

    name = "input_x_gradient"
    title = "Input x gradient"
    version = 1
    reference = "Shrikumar et al., arXiv 1605.01713; from a baseline as in Ancona et al., arXiv 1711.06104"
    signed = True

    baseline: Annotated[
        Literal["blur", "mean", "zero"],
        Control(help="What the features are compared with: the blurred image, its mean, or (classic) zero."),
    ] = "blur"

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        from workbench.gradients import own_gradients

        beyond = (
            objective.features if self.baseline == "zero" else objective.features - objective.baseline(self.baseline)
        )
        products = [(gradient * beyond).sum(-1) for gradient in own_gradients(objective, tick)]
        rows = [objective.gather(product).cpu().numpy() for product in products]
        return Attribution(relevance=np.stack(rows), passes=1)
