"""Grad-CAM with the merged visual tokens as the feature map."""

from dataclasses import dataclass
from typing import Annotated, Literal, final

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GradCam(AttributionProbe):
    """Weigh each channel of the visual tokens by its mean gradient over the image, and sum the channels.

    Units: the target's own units, up to the number of patches; negative sums are cut to 0, as in the source. Source:
    Selvaraju et al. 2017 (arXiv 1610.02391), with the merged visual tokens as feature map. Two things differ. Each image
    has channel weights of its own, so an image that a target does not read stays dark. And channels count from the
    sample's mean token: the decoder's norm ignores a token's length, so the gradient stands at right angles to the token
    itself, and without the mean taken off the one patch that was read would sum to 0.

    It misleads where a channel matters in one place and not in another: one weight for the whole image lights up every
    patch that carries the channel, read or not. A decoder reads places selectively, so this is the rule rather than the
    exception; hold the map against `chefer` or `integrated_gradients`.
    """

    name = "grad_cam"
    title = "Grad-CAM"
    version = 1
    reference = "Selvaraju et al. 2017, arXiv 1610.02391"
    signed = False

    level: Annotated[Literal["tokens"], Control(help="The feature map is that of the visual tokens.")] = "tokens"

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        import torch

        from workbench.gradients import own_gradients

        sizes = [grid.n_tokens for grid in objective.grids]
        centred = (objective.features - objective.features.mean(dim=0)).split(sizes)
        rows = []
        for gradient in own_gradients(objective, tick):
            slopes = gradient.split(sizes)
            parts = [seen @ slope.mean(dim=0) for seen, slope in zip(centred, slopes, strict=True)]
            rows.append(torch.cat(parts).clamp(min=0))
        return Attribution(relevance=torch.stack(rows).cpu().numpy(), passes=1)
