"""Occlusion: what each target loses while a window slides over the image."""

from dataclasses import dataclass
from typing import Annotated, final

import numpy as np

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Filling, Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet
from workbench.types import PatchGrid


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Occlusion(AttributionProbe):
    """Mean loss of the target over the windows that cover a cell, when the window is filled. Through Captum.

    Units: the target's own. Windows overlap, so maps are smooth by construction and do not sum to anything.

    It misleads about places smaller than the window, and where two places that no window covers together say the same.
    A window larger than an image is cut to it.
    """

    name = "occlusion"
    title = "Occlusion"
    version = 1
    reference = "Zeiler and Fergus, arXiv 1311.2901; Captum Occlusion"
    signed = True

    baseline: Annotated[Filling, Control(help="What the window is filled with: the blurred image, or its mean.")] = (
        "blur"
    )
    window: Annotated[int, Control(help="Cells to a side of the window.", low=1, high=32)] = 2
    stride: Annotated[int, Control(help="Cells from one window to the next, at most a window.", low=1, high=32)] = 1

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        # Captum brings matplotlib: not before a map is asked for.
        import torch
        from captum.attr import Occlusion as Captum

        from workbench.coalitions import Game, cut_blocks

        windows = [(1, min(self.window, grid.rows), min(self.window, grid.cols)) for grid in objective.grids]
        expected = sum(1 + _count(*pair) // self.stride**2 for pair in zip(objective.grids, windows, strict=True))
        game = Game(objective, self.baseline, cut_blocks(objective.grids, 1), tick, expected)
        maps, begin = [], 0
        for grid, window in zip(objective.grids, windows, strict=True):
            place = slice(begin, begin + grid.n_tokens)
            begin += grid.n_tokens

            def pay(image: torch.Tensor, place: slice = place) -> torch.Tensor:
                shown = torch.ones(len(image), game.n_blocks, dtype=torch.bool)
                shown[:, place] = image.flatten(1) > 0.5
                return game.pay(shown)

            # Image by image: Captum's windows over several tensors lose count of the batch.
            found = Captum(pay).attribute(
                torch.ones(1, grid.frames, grid.rows, grid.cols),
                sliding_window_shapes=window,
                # A stride beyond the window would leave cells that nothing covers.
                strides=tuple(min(self.stride, side) for side in window),
                baselines=0.0,
                perturbations_per_eval=game.at_once,
            )
            maps.append(found.flatten(1).double().cpu().numpy())
        return Attribution(relevance=np.concatenate(maps, axis=1), passes=game.passes)


def _count(grid: PatchGrid, window: tuple[int, int, int]) -> int:
    return grid.frames * (grid.rows - window[1] + 1) * (grid.cols - window[2] + 1)
