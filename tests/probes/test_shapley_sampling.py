import numpy as np
import pytest
import torch
from captum.attr import ShapleyValueSampling as Captum
from toy_objective import N_CELLS, Polynomial, ToyObjective, polynomials

from probes.shapley_sampling import ShapleySampling

CUBE = Polynomial(linear=np.linspace(-0.6, 1.0, N_CELLS), pairs=np.zeros((N_CELLS, N_CELLS)), cube=0.5)


@pytest.mark.parametrize("level", ["tokens", "pixels"])
@pytest.mark.parametrize("baseline", ["blur", "mean"])
def test_an_order_and_its_reverse_are_exact_for_pairs(level, baseline) -> None:
    objective = ToyObjective(polynomials(), level=level)
    found = ShapleySampling(level=level, baseline=baseline, orders=2).attribute(objective)
    own, base = objective.scores(objective.features), objective.scores(objective.baseline(baseline))
    for target, polynomial in enumerate(objective.polynomials):
        np.testing.assert_allclose(found.relevance[target], polynomial.shares(own, base), rtol=1e-3, atol=1e-3)
    assert found.error is not None
    assert found.error.max() < 1e-3
    assert objective.seen == found.passes == 2 + 2 * 2 * (N_CELLS - 1)


def test_sums_are_exact_and_the_error_falls_with_the_orders() -> None:
    objective = ToyObjective([CUBE])
    few, many = (ShapleySampling(orders=orders).attribute(objective) for orders in (8, 128))
    for found in (few, many):
        assert found.gap is not None
        assert found.gap[0] < 1e-4
    assert few.error is not None
    assert many.error is not None
    assert few.error.mean() > 2.5 * many.error.mean() > 0
    # A cell that adds the same in every order has no error, and 0 is not below 0.
    assert (np.abs(few.relevance - many.relevance) <= 6 * (few.error + many.error) + 1e-9).all()


def test_equals_captum_on_the_same_orders(monkeypatch) -> None:
    objective = ToyObjective([*polynomials(), CUBE])
    draw = np.random.default_rng(7)
    orders = [o for order in (draw.permutation(N_CELLS) for _ in range(3)) for o in (order, order[::-1])]
    captum = Captum(objective)
    monkeypatch.setattr(captum, "permutation_generator", lambda _n, _samples: [o.tolist() for o in orders])
    found = ShapleySampling(orders=3, seed=7).attribute(objective)
    for target in range(3):
        shares = captum.attribute(
            objective.features[None],
            baselines=objective.baseline("blur")[None],
            target=target,
            feature_mask=torch.arange(N_CELLS)[None, :, None],
            n_samples=6,
        )
        np.testing.assert_allclose(found.relevance[target], shares[0, :, 0].numpy(), rtol=1e-3, atol=1e-3)


def test_cells_of_a_block_share_its_worth() -> None:
    found = ShapleySampling(block=2, orders=2).attribute(ToyObjective(polynomials()))
    assert len(set(np.round(found.relevance[1, [0, 1, 3, 4]], 9))) == 1
    assert len(set(np.round(found.relevance[1], 9))) == 4
