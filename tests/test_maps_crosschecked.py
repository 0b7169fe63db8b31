"""The measures of maps against other people's implementations, on models small enough for both."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from captum.metrics import infidelity, sensitivity_max
from linear_world import LinearObjective, linear_case

from workbench import stats
from workbench.localising import pointing_game, relevance_mass, relevance_rank
from workbench.perturbation import order_of, trace_curves

ROWS, COLS = 3, 5
DRAW = np.random.default_rng(3)
WEIGHTS = DRAW.normal(size=(2, ROWS * COLS))
CELLS = DRAW.uniform(0.1, 0.9, size=(ROWS, COLS))


def test_sensitivity_is_that_of_captum() -> None:
    inputs = torch.tensor(CELLS.reshape(1, -1))

    def explain(given: tuple[torch.Tensor, ...] | torch.Tensor) -> tuple[torch.Tensor]:
        values = given[0] if isinstance(given, tuple) else given
        return (values**3 * torch.tensor(WEIGHTS[:1]),)

    def perturb(given: Any) -> Any:
        return tuple(values + 0.05 * torch.sin(40 * values) for values in given)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sensitivity_max(explain, inputs, perturb_func=perturb, n_perturb_samples=1)
    own = explain(inputs)[0].numpy()
    again = explain(perturb((inputs,)))[0].numpy()
    np.testing.assert_allclose(stats.relative_change(own, again), expected.numpy(), rtol=1e-6)


def test_infidelity_is_that_of_captum() -> None:
    weights = torch.tensor(WEIGHTS[0])
    inputs = torch.tensor(CELLS.reshape(1, -1))
    relevance = weights[None] * inputs * torch.tensor(DRAW.uniform(0.3, 1.5, size=(1, ROWS * COLS)))
    removed = torch.tensor(DRAW.random((40, ROWS * COLS)) < 0.3).double()

    def model(values: torch.Tensor) -> torch.Tensor:
        return (values * weights).sum(dim=1) ** 3

    def perturb(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Captum multiplies the first with the map; a map of whole contributions is asked with the share taken away.
        return removed, values * (1 - removed)

    expected = infidelity(model, perturb, inputs, relevance, n_perturb_samples=40, normalize=True)
    actual = (model(inputs) - model(inputs * (1 - removed))).numpy()
    predicted = (removed * relevance).sum(dim=1).numpy()
    found = stats.infidelity(predicted, actual) * (actual**2).mean()
    np.testing.assert_allclose(found, expected.numpy()[0], rtol=1e-6)


class Blackened(LinearObjective):
    """A filled cell is as dark as the darkest one: what Quantus calls black."""

    def baseline(self, filling: str) -> torch.Tensor:
        return torch.full_like(self.features, float(self.features.min()))


def test_deletion_is_pixel_flipping_of_quantus() -> None:
    quantus = pytest.importorskip("quantus")
    case = linear_case(WEIGHTS, CELLS)
    objective = Blackened(WEIGHTS, case.encoded, case.targets, "pixels")
    relevance = DRAW.permutation(ROWS * COLS).astype(float)[None] + 1
    order = order_of(relevance)
    curves = trace_curves(objective, order, np.arange(ROWS * COLS + 1), "mean")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(ROWS * COLS, 2, bias=False)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor(WEIGHTS))
    shown = objective.features[:, 0].numpy().reshape(1, 1, ROWS, COLS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flipping = quantus.PixelFlipping(features_in_step=1, perturb_baseline="black", disable_warnings=True)
        expected = flipping(
            model=model,
            x_batch=shown,
            y_batch=np.array([1]),
            a_batch=relevance.reshape(1, 1, ROWS, COLS),
            softmax=False,
            channel_first=True,
            device="cpu",
        )
    np.testing.assert_allclose(curves.deletion[0, 1:, 1], np.array(expected[0]), atol=1e-5)


def test_localisation_is_that_of_quantus() -> None:
    quantus = pytest.importorskip("quantus")
    maps = DRAW.uniform(0.1, 1, size=(8, 1, ROWS, COLS))
    regions = DRAW.random((8, 1, ROWS, COLS)) < 0.4
    regions[:, 0, 1, 1] = True
    flat, truth = maps.reshape(8, -1), regions.reshape(8, -1).astype(float)
    pairs = {
        "PointingGame": pointing_game,
        "RelevanceMassAccuracy": relevance_mass,
        "RelevanceRankAccuracy": relevance_rank,
    }
    for name, formula in pairs.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = getattr(quantus, name)(disable_warnings=True)(
                model=torch.nn.Flatten(),
                x_batch=maps,
                y_batch=np.zeros(8, dtype=int),
                a_batch=maps,
                s_batch=regions,
                channel_first=True,
                device="cpu",
            )
        np.testing.assert_allclose(formula(flat, truth), np.array(expected, dtype=float), err_msg=name)
