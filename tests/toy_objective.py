"""An objective whose every relevance can be worked out by hand: polynomials in one score for each cell.

A cell's score s is the weighted sum of its units' features. Targets are a.s + s.B.s + c (a.s)^3, with one (a, B, c) each:
linear, quadratic, or with an interaction of three cells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.embedder import Filling, Level, Objective
from workbench.targets import Target, ThinkState
from workbench.types import PatchGrid

WEIGHTS = np.array([0.5, -1.0, 2.0])
GRIDS = (PatchGrid(frames=1, rows=2, cols=3, start=4), PatchGrid(frames=1, rows=3, cols=1, start=12))
N_CELLS = 9


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """One target."""

    linear: np.ndarray
    pairs: np.ndarray
    """Symmetric."""
    cube: float = 0.0

    def __call__(self, scores: Tensor) -> Tensor:
        first = scores @ torch.from_numpy(self.linear).to(scores)
        second = torch.einsum("bi,ij,bj->b", scores, torch.from_numpy(self.pairs).to(scores), scores)
        return first + second + self.cube * first**3

    def shares(self, scores: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Integrated gradients of a quadratic target, and its Shapley values: the two agree."""
        assert self.cube == 0
        return (scores - base) * (self.linear + self.pairs @ (scores + base))


def polynomials(seed: int = 0) -> tuple[Polynomial, Polynomial]:
    """A linear and a quadratic target."""
    draw = np.random.default_rng(seed)
    pairs = draw.normal(size=(N_CELLS, N_CELLS))
    linear = Polynomial(linear=draw.normal(size=N_CELLS), pairs=np.zeros((N_CELLS, N_CELLS)))
    return linear, Polynomial(linear=draw.normal(size=N_CELLS), pairs=(pairs + pairs.T) / 4)


class ToyObjective(Objective):
    """See the head of this file."""

    n_layers = 1

    def __init__(
        self,
        polynomials: Sequence[Polynomial],
        *,
        level: Level = "tokens",
        grids: tuple[PatchGrid, ...] = GRIDS,
        seed: int = 1,
    ) -> None:
        self.level = level
        self.grids = grids
        self.polynomials = tuple(polynomials)
        self.targets: tuple[Target, ...] = tuple(
            ThinkState(label=f"target {number}", think=number, word=0) for number in range(len(polynomials))
        )
        self._per_cell = 4 if level == "pixels" else 1
        self._weights = torch.tensor(WEIGHTS, dtype=torch.float32)
        cells = sum(grid.n_tokens for grid in grids)
        draw = torch.Generator().manual_seed(seed)
        self.features = torch.randn((cells * self._per_cell, 3), generator=draw)
        self.seen = 0
        """Copies of the sample that went through."""

    def __call__(self, features: Tensor) -> Tensor:
        self.seen += len(features)
        scores = self.gather((features * self._weights).sum(-1))
        return torch.stack([polynomial(scores) for polynomial in self.polynomials], dim=1)

    def scores(self, features: Tensor) -> np.ndarray:
        """Each cell's score."""
        return self.gather((features.double() * torch.tensor(WEIGHTS)).sum(-1)).numpy()

    def value(self, target: int, scores: np.ndarray) -> float:
        """One target's value, in double precision."""
        return float(self.polynomials[target](torch.from_numpy(scores)[None])[0])

    def baseline(self, filling: Filling) -> Tensor:
        if filling == "mean":
            return self.features.mean(dim=0, keepdim=True).expand_as(self.features).clone()
        return 0.25 * self.features.flip(0) + 0.1

    def noise(self, n: int, seed: int) -> Tensor:
        draw = torch.Generator().manual_seed(seed)
        spread = torch.randn((n, *self.features.shape), generator=draw)
        return self.features.mean(dim=0) + self.features.std(dim=0) * spread

    def spread(self, cells: Tensor) -> Tensor:
        return cells.repeat_interleave(self._per_cell, dim=-1)

    def gather(self, units: Tensor) -> Tensor:
        return units.unflatten(-1, (-1, self._per_cell)).sum(-1)

    @property
    def columns(self) -> tuple[int, ...]:
        return tuple(place for grid in self.grids for place in range(grid.start, grid.start + grid.n_tokens))

    @property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        return tuple((20,) for _ in self.targets)

    @property
    def thoughts(self) -> tuple[int, ...]:
        return (19,)

    def attention(self) -> Iterator[Tensor]:
        raise NotImplementedError

    def attention_gradients(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        raise NotImplementedError

    def through_vision(self, rows: Tensor) -> Tensor:
        raise NotImplementedError
