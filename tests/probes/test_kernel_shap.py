from itertools import permutations

import numpy as np
import pytest
import torch
from captum.attr import KernelShap as Captum
from toy_objective import GRIDS, N_CELLS, Polynomial, ToyObjective, polynomials

from probes.kernel_shap import KernelShap
from workbench.types import PatchGrid

SIX = (GRIDS[0],)
CUBE = Polynomial(linear=np.linspace(-0.6, 1.0, 6), pairs=np.zeros((6, 6)), cube=0.5)


def by_hand(objective: ToyObjective, target: int) -> np.ndarray:
    """Shapley values by all orders."""
    own, base = objective.scores(objective.features), objective.scores(objective.baseline("blur"))
    found, orders = np.zeros(len(own)), list(permutations(range(len(own))))
    worth: dict[frozenset[int], float] = {}
    for order in orders:
        for place, cell in enumerate(order):
            before, after = frozenset(order[:place]), frozenset(order[: place + 1])
            for shown in (before, after):
                if shown not in worth:
                    worth[shown] = objective.value(
                        target, np.where(np.isin(np.arange(len(own)), list(shown)), own, base)
                    )
            found[cell] += worth[after] - worth[before]
    return found / len(orders)


@pytest.mark.parametrize("level", ["tokens", "pixels"])
@pytest.mark.parametrize("samples", [16, 512])
def test_linear_and_quadratic_targets_are_exact_even_when_sampled(level, samples) -> None:
    objective = ToyObjective(polynomials(), level=level)
    found = KernelShap(level=level, samples=samples).attribute(objective)
    own, base = objective.scores(objective.features), objective.scores(objective.baseline("blur"))
    for target, polynomial in enumerate(objective.polynomials):
        np.testing.assert_allclose(found.relevance[target], polynomial.shares(own, base), rtol=1e-3, atol=1e-3)
    assert found.error is not None
    assert found.error.max() < 1e-3


def test_all_sets_give_shapley_values_without_error() -> None:
    objective = ToyObjective([CUBE], grids=SIX)
    found = KernelShap(samples=62).attribute(objective)
    np.testing.assert_allclose(found.relevance[0], by_hand(objective, 0), rtol=1e-3, atol=1e-3)
    assert found.error is not None
    assert found.error.max() == 0
    assert found.remarks == ("all 62 sets of 6 blocks",)
    assert found.passes == 64


def test_the_standard_error_is_what_repetition_shows() -> None:
    objective = ToyObjective([CUBE], grids=SIX)
    exact = by_hand(objective, 0)
    runs = [KernelShap(samples=60, seed=seed).attribute(objective) for seed in range(60)]
    off = np.stack([run.relevance[0] - exact for run in runs])
    said = np.sqrt(np.mean([run.error[0] ** 2 for run in runs], axis=0))
    ratio = np.sqrt((off**2).mean()) / np.sqrt((said**2).mean())
    assert 0.6 < ratio < 1.6
    assert {run.remarks for run in runs} == {("a sample of 60 sets of 6 blocks",)}


def test_agrees_with_captum() -> None:
    objective = ToyObjective([CUBE], grids=SIX)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = Captum(lambda x: objective(x)[:, 0]).attribute(
            objective.features[None],
            baselines=objective.baseline("blur")[None],
            feature_mask=torch.arange(6)[None, :, None].expand(1, 6, 3),
            n_samples=400,
            perturbations_per_eval=100,
        )
    ours = KernelShap(samples=62).attribute(objective)
    scale = np.abs(ours.relevance).max()
    np.testing.assert_allclose(ours.relevance[0], theirs[0, :, 0].numpy(), atol=0.15 * scale)


def test_few_samples_are_raised_to_what_determines_the_regression() -> None:
    found = KernelShap(samples=16).attribute(ToyObjective(polynomials()))
    assert found.remarks == (f"a sample of {4 * N_CELLS} sets of {N_CELLS} blocks",)


def test_a_single_block_gets_everything() -> None:
    objective = ToyObjective([CUBE], grids=SIX)
    found = KernelShap(block=64).attribute(objective)
    own, base = objective.scores(objective.features), objective.scores(objective.baseline("blur"))
    whole = objective.value(0, own) - objective.value(0, base)
    np.testing.assert_allclose(found.relevance[0], np.full(6, whole / 6), rtol=1e-3)


def test_a_wide_grid_is_cut_into_at_most_64_blocks() -> None:
    grids = (PatchGrid(frames=1, rows=5, cols=30, start=0), PatchGrid(frames=2, rows=3, cols=4, start=150))
    from workbench.coalitions import cut_blocks

    blocks = cut_blocks(grids, 0)
    assert len(np.unique(blocks)) == blocks.max() + 1 <= 64
    assert set(blocks[:150]).isdisjoint(blocks[150:])
    assert set(blocks[150:162]).isdisjoint(blocks[162:])
    assert len(np.unique(cut_blocks(grids, 1))) == 174
