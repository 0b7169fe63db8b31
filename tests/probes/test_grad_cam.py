"""Grad-CAM by hand, target by target and image by image."""

from typing import Any

import numpy as np
import pytest
import torch
from objectives import mixed_objective

from probes import grad_cam
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


@pytest.mark.parametrize("at_once", [16, 2, 1])
def test_batches_equal_one_target_after_the_other(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(grad_cam, "_TARGETS_AT_ONCE", at_once)
    objective = mixed_objective(tiny_model)
    found = GradCam().attribute(objective).relevance
    expected = by_hand(objective)
    assert (expected.max(axis=1) > 0).all()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())
    assert not torch.is_grad_enabled() or objective.features.grad is None
