"""Grad-CAM with the merged visual tokens as the feature map."""

from dataclasses import dataclass
from typing import Annotated, Literal, final

from workbench.attribution import Attribution, AttributionProbe, Tick, quiet
from workbench.embedder import Objective
from workbench.probe import Control, register_probe

_TARGETS_AT_ONCE = 16
"""Each target needs a pass with a graph of its own: more of them would cost memory and gain nothing."""


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

        n_targets, maps = len(objective.targets), []
        for begin in range(0, n_targets, _TARGETS_AT_ONCE):
            chosen = range(begin, min(begin + _TARGETS_AT_ONCE, n_targets))
            with torch.enable_grad():
                features = objective.features.repeat(len(chosen), 1, 1).requires_grad_()
                own = objective(features)[range(len(chosen)), chosen]
                [gradient] = torch.autograd.grad(own.sum(), features)
            centred = (features - features.mean(dim=1, keepdim=True)).detach()
            sizes = [grid.n_tokens for grid in objective.grids]
            for seen, slope in zip(centred.split(sizes, dim=1), gradient.split(sizes, dim=1), strict=True):
                maps.append((seen * slope.mean(dim=1, keepdim=True)).sum(dim=-1).clamp(min=0))
            tick(chosen.stop / n_targets, f"{chosen.stop} of {n_targets} targets")
        n_images = len(objective.grids)
        parts = [torch.cat(maps[at : at + n_images], dim=1) for at in range(0, len(maps), n_images)]
        return Attribution(relevance=torch.cat(parts).cpu().numpy(), passes=n_targets)
