"""What a target is worth when cells of the image are filled, and the curves that follow from an order of cells.

Cells are filled in image space, patch by patch, and the grid stays as it is, so the number of visual tokens and their
positions never change. Every pass gives all targets at once, and a set of cells that several orders share runs once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench import stats
from workbench.attribution import Tick
from workbench.embedder import Filling, Objective
from workbench.stages import quiet
from workbench.targets import Target, WordTarget
from workbench.types import PatchGrid

if TYPE_CHECKING:
    from torch import Tensor

SHARES = (0.05, 0.1, 0.2, 0.5)
"""Parts of the cells at which comprehensiveness and sufficiency are taken."""
_NUMBERS_AT_ONCE = 2**25
"""Filled features held at once (128 MiB), whatever the size of the model."""


def readable(
    values: Float[np.ndarray, "*axes targets"], targets: Sequence[Target]
) -> Float[np.ndarray, "*axes targets"]:
    """Values whose differences can be compared and averaged: nats of words become probabilities, others stay.

    Log-probability has no floor, so that one confident mistake on a half-filled image would outweigh every curve. A contrast
    of two words, log p - log q, becomes p / (p + q).
    """
    found = np.array(values, dtype=np.float64)
    for place, target in enumerate(targets):
        if isinstance(target, WordTarget):
            nats = found[..., place]
            found[..., place] = 1 / (1 + np.exp(-nats)) if target.alternative else np.exp(nats)
    return found


def values_filled(
    objective: Objective, filled: Bool[np.ndarray, "rows cells"], filling: Filling, tick: Tick = quiet
) -> Float[np.ndarray, "rows targets"]:
    """The readable values of all targets with the marked cells filled; equal rows run once.

    Args:
        objective: of level `pixels`.
        filled: True where a cell is replaced.
        filling: what with.
        tick: told of progress, may raise to stop.
    """
    import torch

    if objective.level != "pixels":
        raise ValueError("cells are filled in image space: open the objective with level='pixels'")
    rows, inverse = np.unique(filled, axis=0, return_inverse=True)
    own, base = objective.features, objective.baseline(filling)
    size = max(1, _NUMBERS_AT_ONCE // own.numel())
    parts: list[Tensor] = []
    for begin in range(0, len(rows), size):
        tick(begin / len(rows), f"Filling cells ({filling})")
        marks = objective.spread(torch.from_numpy(rows[begin : begin + size]).to(own.device))
        parts.append(objective(torch.where(marks[..., None], base, own)).detach().cpu())
    values = torch.cat(parts).double().numpy()
    return readable(values, objective.targets)[inverse.reshape(-1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Values of every target along the curves of every order of cells, for one filling."""

    counts: Int[np.ndarray, " points"]
    """How many cells are filled (deletion) or shown (insertion), from 0 to all."""
    deletion: Float[np.ndarray, "orders points targets"]
    """The first cells of the order filled, the rest shown."""
    insertion: Float[np.ndarray, "orders points targets"]
    """The first cells of the order shown, the rest filled."""

    @property
    def full(self) -> Float[np.ndarray, " targets"]:
        """Nothing filled."""
        return self.deletion[0, 0]

    @property
    def empty(self) -> Float[np.ndarray, " targets"]:
        """Everything filled."""
        return self.deletion[0, -1]

    def area(self, which: str) -> Float[np.ndarray, "orders targets"]:
        """Mean height of the `deletion` or `insertion` curves over the share of cells."""
        return stats.area_under(np.moveaxis(getattr(self, which), 1, -1), self.counts)


def trace_curves(
    objective: Objective,
    orders: Int[np.ndarray, "orders cells"],
    counts: Int[np.ndarray, " points"],
    filling: Filling,
    tick: Tick = quiet,
) -> Curves:
    """Fill and show the first cells of every order (deletion and insertion, Petsiuk et al., arXiv 1806.07421)."""
    place = np.argsort(orders, axis=1)
    first = place[:, None, :] < counts[None, :, None]
    both = np.stack([first, ~first])
    values = values_filled(objective, both.reshape(-1, orders.shape[1]), filling, tick)
    deletion, insertion = values.reshape(*both.shape[:-1], -1)
    return Curves(counts=counts, deletion=deletion, insertion=insertion)


def points(n_cells: int, n_steps: int) -> Int[np.ndarray, " points"]:
    """Cell counts at which curves are read: none, all, the `SHARES`, and up to `n_steps` even steps between."""
    even = np.round(np.linspace(0, n_cells, n_steps + 1))
    return np.unique([*even, *(count_at(share, n_cells) for share in SHARES), 0, n_cells]).astype(np.int64)


def count_at(share: float, n_cells: int) -> int:
    """How many cells a share is: rounded up, so at least one."""
    return max(1, int(np.ceil(share * n_cells - 1e-9)))


def order_of(relevance: Float[np.ndarray, "*axes cells"], seed: int = 0) -> Int[np.ndarray, "*axes cells"]:
    """Cells by relevance, the highest first; equal ones in a random order, so that no corner is preferred."""
    tie = np.random.default_rng(seed).permutation(relevance.shape[-1])
    shuffled = np.argsort(-relevance[..., tie], axis=-1, kind="stable")
    return tie[shuffled].astype(np.int64)


def random_orders(n: int, n_cells: int, seed: int) -> Int[np.ndarray, "n cells"]:
    """Seeded random orders of the cells: what a map that knows nothing would say."""
    draw = np.random.default_rng(seed)
    return np.stack([draw.permutation(n_cells) for _ in range(n)]).astype(np.int64)


def centre_map(grids: Sequence[PatchGrid]) -> Float[np.ndarray, " cells"]:
    """A map that is highest in the middle of every image: what photographs reward without any look at them."""
    maps = []
    for grid in grids:
        down = (np.arange(grid.rows) + 0.5) / grid.rows - 0.5
        across = (np.arange(grid.cols) + 0.5) / grid.cols - 0.5
        closeness = 1 - np.hypot(down[:, None], across[None, :])
        maps += [closeness.reshape(-1)] * grid.frames
    return np.concatenate(maps)
