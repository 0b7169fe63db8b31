"""KernelSHAP: Shapley values as a weighted regression on random sets of shown blocks."""

from dataclasses import dataclass
from math import comb
from typing import Annotated, final

import numpy as np
from jaxtyping import Bool, Float

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Filling, Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet

_SETS_A_BLOCK = 4
"""With fewer sets than this for each block the regression is not determined well enough to be shown."""


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KernelShap(AttributionProbe):
    """Shapley values from a regression of the targets' values on which blocks are shown, sets drawn with their complements.

    Units: the target's own. Relevances sum to the target less its value with everything filled, by constraint: the gap says
    nothing about the sampling error, which is a measure of its own (standard error, robust, over pairs of sets). When
    there are no more sets than samples, all are taken, and the values are exact. All targets share the sets.

    It misleads like Shapley value sampling: half-filled images are unlike what the model knows, and the cells of a block
    get equal shares. There are never fewer than 4 sets for each block, whatever `samples` says.
    """

    name = "kernel_shap"
    title = "KernelSHAP"
    version = 1
    reference = "Lundberg and Lee, arXiv 1705.07874; paired and constrained: Covert and Lee, arXiv 2012.01536"
    signed = True
    complete = True

    baseline: Annotated[
        Filling, Control(help="What a hidden block is filled with: the blurred image, or its mean.")
    ] = "blur"
    block: Annotated[int, Control(help="Cells to a side of a block; 0 chooses at most 64 blocks.", low=0, high=64)] = 0
    samples: Annotated[int, Control(help="Sets of shown blocks, each of them one pass.", low=16, high=16384)] = 512
    seed: Annotated[int, Control(help="Decides which sets are drawn.", low=0)] = 0

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        from workbench.coalitions import Game, cut_blocks
        from workbench.gradients import completeness_gap

        blocks = cut_blocks(objective.grids, self.block)
        n = int(blocks.max()) + 1
        sets, weights = _choose(n, self.samples, self.seed)
        game = Game(objective, self.baseline, blocks, tick, 2 + len(sets))
        none, everything = game.ends()
        if n == 1:
            found, error = (everything - none)[:, None], np.zeros((len(none), 1))
        else:
            found, error = _regress(sets, weights, game(sets) - none, everything - none)
        exact = len(sets) == 2**n - 2
        return Attribution(
            relevance=game.share_out(found),
            error=game.share_out(np.zeros_like(error) if exact else error),
            gap=completeness_gap(found.sum(axis=1), everything, none),
            baseline=none,
            passes=game.passes,
            remarks=(f"{'all' if exact else 'a sample of'} {len(sets)} sets of {n} blocks",),
        )


def _choose(n: int, samples: int, seed: int) -> tuple[Bool[np.ndarray, "sets blocks"], Float[np.ndarray, " sets"]]:
    """Sets and their weights in the regression; a set and its complement stand beside each other."""
    sizes = np.arange(1, n)
    # The Shapley kernel of all sets of one size together.
    kernel = 1 / (sizes * (n - sizes)) if n > 1 else np.zeros(0)
    if 2**n - 2 <= samples:
        numbers = np.arange(1, 2 ** (n - 1))
        half = (numbers[:, None] >> np.arange(n) & 1).astype(bool)
        of_size = half.sum(axis=1)
        count = np.array([comb(n, int(size)) for size in of_size])
        weights = kernel[of_size - 1] / count
    else:
        draw = np.random.default_rng(seed)
        pairs = max(samples, _SETS_A_BLOCK * n) // 2
        of_size = draw.choice(sizes, size=pairs, p=kernel / kernel.sum())
        half = draw.random((pairs, n)).argsort(axis=1).argsort(axis=1) < of_size[:, None]
        weights = np.ones(pairs)
    return np.stack([half, ~half], axis=1).reshape(-1, n), np.repeat(weights, 2)


def _regress(
    sets: Bool[np.ndarray, "sets blocks"],
    weights: Float[np.ndarray, " sets"],
    values: Float[np.ndarray, "sets targets"],
    whole: Float[np.ndarray, " targets"],
) -> tuple[Float[np.ndarray, "targets blocks"], Float[np.ndarray, "targets blocks"]]:
    """Weighted least squares under the constraint that the values sum to `whole`, and standard errors over pairs.

    The last block's value is `whole` less the others', which takes the constraint out of the problem.
    """
    shown = sets.astype(np.float64)
    rows, goal = shown[:, :-1] - shown[:, -1:], values - shown[:, -1:] * whole
    root = np.sqrt(weights)[:, None]
    free = np.linalg.lstsq(rows * root, goal * root, rcond=None)[0]
    found = np.concatenate([free, whole[None] - free.sum(axis=0, keepdims=True)])
    left = (goal - rows @ free) * weights[:, None]
    bread = np.linalg.pinv((rows * weights[:, None]).T @ rows)
    # (pairs, free, targets): both members of a pair count as one draw.
    pulls = (rows[:, :, None] * left[:, None, :]).reshape(-1, 2, rows.shape[1], left.shape[1]).sum(axis=1)
    moved = np.einsum("ij,pjt->pit", bread, pulls)
    moved = np.concatenate([moved, -moved.sum(axis=1, keepdims=True)], axis=1)
    draws = len(moved)
    error = np.sqrt((moved**2).sum(axis=0) * draws / max(1, draws - rows.shape[1]))
    return found.T, error.T
