"""A game over the cells of a sample: blocks of cells are shown or filled, and every target is paid in the same pass."""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.attribution import Tick
from workbench.embedder import Filling, Objective
from workbench.types import PatchGrid

MOST_BLOCKS = 64
"""Where blocks are chosen for the user, there are at most this many in all images together (or one in each frame)."""
_NUMBERS_AT_ONCE = 2**23
"""Memory: numbers of filled features held at a time (32 MiB), and at least one copy of the sample."""


def cut_blocks(grids: Sequence[PatchGrid], side: int) -> Int[np.ndarray, " cells"]:
    """The block that each cell belongs to: squares of `side` cells, cut off at the edges, counted from 0.

    A block never reaches into another image or frame. Side 0 takes the smallest side that leaves at most `MOST_BLOCKS`.
    """
    if side == 0:
        longest = max(max(grid.rows, grid.cols) for grid in grids)
        fits = (s for s in range(1, longest) if sum(_count(grid, s) for grid in grids) <= MOST_BLOCKS)
        return cut_blocks(grids, next(fits, longest))
    parts, begin = [], 0
    for grid in grids:
        down, across = np.arange(grid.rows) // side, np.arange(grid.cols) // side
        frame = (down[:, None] * (across[-1] + 1) + across).reshape(-1)
        for _ in range(grid.frames):
            parts.append(frame + begin)
            begin += _count(grid, side) // grid.frames
    return np.concatenate(parts).astype(np.int64)


def _count(grid: PatchGrid, side: int) -> int:
    return grid.frames * -(-grid.rows // side) * -(-grid.cols // side)


@final
class Game:
    """What the targets are worth when some blocks are shown and the rest is filled. Counts its passes."""

    def __init__(
        self, objective: Objective, filling: Filling, block_of: Int[np.ndarray, " cells"], tick: Tick, expected: int
    ) -> None:
        self.n_blocks = int(block_of.max()) + 1
        self.passes = 0
        self._objective = objective
        self._block_of = torch.from_numpy(block_of).to(objective.features.device)
        self._filled = objective.baseline(filling)
        self._tick = tick
        self._expected = expected
        self.at_once = max(1, _NUMBERS_AT_ONCE // objective.features.numel())
        """Rows that go through the model together."""

    def __call__(self, shown: Bool[np.ndarray, "rows blocks"]) -> Float[np.ndarray, "rows targets"]:
        """The targets' values for each choice of shown blocks."""
        return self.pay(torch.from_numpy(shown)).double().cpu().numpy()

    def pay(self, shown: Bool[Tensor, "rows blocks"]) -> Float[Tensor, "rows targets"]:
        """The same, from and to tensors."""
        own = self._objective.features
        values = []
        for part in shown.to(own.device).split(self.at_once):
            self._tick(min(1.0, self.passes / self._expected), f"Filling blocks: {self.passes} of {self._expected}")
            marks = self._objective.spread(part[:, self._block_of])
            values.append(self._objective(torch.where(marks[..., None], own, self._filled)))
            self.passes += len(part)
        return torch.cat(values)

    def ends(self) -> tuple[Float[np.ndarray, " targets"], Float[np.ndarray, " targets"]]:
        """The values with nothing shown, and with everything shown."""
        none, everything = self(np.array([[False] * self.n_blocks, [True] * self.n_blocks]))
        return none, everything

    def share_out(self, of_blocks: Float[np.ndarray, "targets blocks"]) -> Float[np.ndarray, "targets cells"]:
        """Numbers of blocks as numbers of cells: each cell gets an equal share of its block's."""
        block_of = self._block_of.cpu().numpy()
        return of_blocks[:, block_of] / np.bincount(block_of)[block_of]
