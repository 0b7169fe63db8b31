"""Feature ablation: what each target loses when one block of the image is taken away."""

from dataclasses import dataclass
from typing import Annotated, final

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Filling, Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureAblation(AttributionProbe):
    """The target's value less its value with one block filled, shared evenly among the block's cells. Through Captum.

    Units: the target's own.

    It misleads where two blocks say the same (either alone can be taken away at no loss, so both count as nothing), and
    where the filling is itself something the model reads. Filled visual tokens have seen nothing of their neighbours, so
    at the level of tokens what the vision tower spread stays: use pixels to take an object away altogether.
    """

    name = "feature_ablation"
    title = "Feature ablation"
    version = 1
    reference = "Captum FeatureAblation; Zeiler and Fergus, arXiv 1311.2901"
    signed = True

    baseline: Annotated[Filling, Control(help="What a block is filled with: the blurred image, or its mean.")] = "blur"
    block: Annotated[int, Control(help="Cells to a side of a block; 0 chooses at most 64 blocks.", low=0, high=64)] = 1

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        # Captum brings matplotlib: not before a map is asked for.
        import torch
        from captum.attr import FeatureAblation as Captum

        from workbench.coalitions import Game, cut_blocks

        blocks = cut_blocks(objective.grids, self.block)
        game = Game(objective, self.baseline, blocks, tick, int(blocks.max()) + 2)
        shown = torch.ones(1, game.n_blocks)
        found = Captum(lambda some: game.pay(some > 0.5)).attribute(
            shown, baselines=0.0, perturbations_per_eval=game.at_once
        )
        return Attribution(relevance=game.share_out(found.double().cpu().numpy()), passes=game.passes)
