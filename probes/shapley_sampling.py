"""Shapley values by sampling: what each block adds, on average over the orders in which blocks may be shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, final

import numpy as np
from jaxtyping import Float, Int

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Filling, Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ShapleySampling(AttributionProbe):
    """Mean gain of the target when a block is shown after a random set of others; every order is also run backwards.

    Units: the target's own. Relevances sum to the target less its value with everything filled, exactly, whatever was
    sampled: the gap says nothing about the sampling error, which is a measure of its own (standard error over pairs of
    orders). Blocks that say the same share their worth. One pass gives all targets, and all share the sampled orders.

    It misleads where half-filled images are unlike anything the model knows, and below the size of a block, whose cells
    get equal shares.
    """

    name = "shapley_sampling"
    title = "Shapley value sampling"
    version = 1
    reference = (
        "Castro et al. 2009, doi 10.1016/j.cor.2008.04.004; antithetic orders: Mitchell et al., arXiv 2104.12199"
    )
    signed = True
    complete = True

    baseline: Annotated[
        Filling, Control(help="What a hidden block is filled with: the blurred image, or its mean.")
    ] = "blur"
    block: Annotated[int, Control(help="Cells to a side of a block; 0 chooses at most 64 blocks.", low=0, high=64)] = 0
    orders: Annotated[
        int, Control(help="Pairs of a random order and its reverse; each costs two passes a block.", low=2, high=512)
    ] = 8
    seed: Annotated[int, Control(help="Decides which orders are drawn.", low=0)] = 0

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        from workbench.coalitions import Game, cut_blocks
        from workbench.gradients import completeness_gap

        blocks = cut_blocks(objective.grids, self.block)
        n = int(blocks.max()) + 1
        game = Game(objective, self.baseline, blocks, tick, 2 + 2 * self.orders * (n - 1))
        none, everything = game.ends()
        draw = np.random.default_rng(self.seed)
        gains = np.empty((self.orders, len(none), n))
        for number in range(self.orders):
            order = draw.permutation(n)
            gains[number] = (_gains(game, order, none, everything) + _gains(game, order[::-1], none, everything)) / 2
        found = gains.mean(axis=0)
        error = gains.std(axis=0, ddof=1) / np.sqrt(self.orders)
        return Attribution(
            relevance=game.share_out(found),
            error=game.share_out(error),
            gap=completeness_gap(found.sum(axis=1), everything, none),
            baseline=none,
            passes=game.passes,
            remarks=(f"{2 * self.orders} orders of {n} blocks were sampled",),
        )


def _gains(
    game: Callable[[np.ndarray], np.ndarray],
    order: Int[np.ndarray, " blocks"],
    none: Float[np.ndarray, " targets"],
    everything: Float[np.ndarray, " targets"],
) -> Float[np.ndarray, "targets blocks"]:
    """What each block adds when blocks are shown in this order."""
    place = np.argsort(order)
    between = game(place < np.arange(1, len(order))[:, None]) if len(order) > 1 else none[None, :][:0]
    values = np.concatenate([none[None], between, everything[None]])
    return np.diff(values, axis=0)[place].T
