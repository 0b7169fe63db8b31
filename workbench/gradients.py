"""Gradients of a sample's targets with respect to its features, and what they leave unexplained.

One forward pass serves all targets; each then costs one pass backward. That is about half of the work of a copy of the
sample for each target, and the graph is held once.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.attribution import Tick
from workbench.embedder import Filling, Objective

UNITS_AT_ONCE = 1024
"""Memory: never more copies of the sample hold a graph at a time than have this many units together, and at least one."""

LEAST_CHANGE = 1e-3
"""In the target's units: a thousandth of a nat, or of a cosine."""


def each_gradient(
    objective: Objective, points: Float[Tensor, "batch units dim"], targets: Sequence[int]
) -> Iterator[Float[Tensor, "batch units dim"]]:
    """Each chosen target's gradient at every point. One gradient is held at a time, and the graph of the batch."""
    place = points.detach().requires_grad_()
    with torch.enable_grad():
        values = objective(place)
    for number, target in enumerate(targets):
        last = number == len(targets) - 1
        yield torch.autograd.grad(values[:, target].sum(), place, retain_graph=not last)[0]


def own_gradients(objective: Objective, tick: Tick) -> Iterator[Float[Tensor, "units dim"]]:
    """Each target's gradient at the sample's own features, in order."""
    n_targets = len(objective.targets)
    found = each_gradient(objective, objective.features[None], range(n_targets))
    for number in range(n_targets):
        tick(number / n_targets, f"Gradient of target {number + 1} of {n_targets}")
        yield next(found)[0]


def at_once(objective: Objective) -> int:
    """How many copies of the sample may hold a graph at a time."""
    return max(1, UNITS_AT_ONCE // len(objective.features))


def products(
    objective: Objective,
    starts: Float[Tensor, "points units dim"],
    shares: Float[Tensor, " points"],
    targets: Sequence[int],
) -> Float[Tensor, "targets points cells"]:
    """Gradient at start + share x (own - start), times (own - start), summed over features and over the units of a cell.

    The integrand of path methods. At most `at_once` points.
    """
    way = objective.features - starts
    points = starts + shares[:, None, None] * way
    rows = [(gradient * way).sum(-1) for gradient in each_gradient(objective, points, targets)]
    return torch.stack([objective.gather(row) for row in rows])


def starting_points(
    objective: Objective, baseline: Filling | str, draws: int, seed: int
) -> Float[Tensor, "baselines units dim"]:
    """The features that a path begins at: one filling, or `draws` sets of noise when `baseline` is "noise"."""
    if baseline == "noise":
        return objective.noise(draws, seed)
    return objective.baseline("mean" if baseline == "mean" else "blur")[None]


def completeness_gap(
    total: Float[np.ndarray, " targets"], value: Float[np.ndarray, " targets"], baseline: Float[np.ndarray, " targets"]
) -> Float[np.ndarray, " targets"]:
    """What relevances that sum to `total` leave of value - baseline, as a share of it.

    A target that changes by less than `LEAST_CHANGE` has nothing worth sharing out; its gap is a share of that instead, so
    that the rounding of words which are certain with and without the image does not count as an unfinished map.
    """
    change = value - baseline
    return np.abs(total - change) / np.maximum(np.abs(change), LEAST_CHANGE)
