"""Grad-CAM by hand, target by target and image by image."""

from typing import Any

import numpy as np
from objectives import mixed_objective

from probes.grad_cam import GradCam


def by_hand(objective: Any) -> np.ndarray:
    rows = []
    for number in range(len(objective.targets)):
        features = objective.features.clone().requires_grad_()
        objective(features[None])[0, number].backward()
        values, slopes = objective.features.numpy(), features.grad.numpy()
        centred, begin, parts = values - values.mean(axis=0), 0, []
        for grid in objective.grids:
            own = slice(begin, begin + grid.n_tokens)
            parts.append(np.maximum(centred[own] @ slopes[own].mean(axis=0), 0))
            begin = own.stop
        rows.append(np.concatenate(parts))
    return np.stack(rows)


def test_it_is_the_weighted_sum_of_centred_channels(tiny_model: Any) -> None:
    objective = mixed_objective(tiny_model)
    found = GradCam().attribute(objective).relevance
    expected = by_hand(objective)
    assert (expected.max(axis=1) > 0).all()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())
