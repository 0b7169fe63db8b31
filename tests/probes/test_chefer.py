"""Chefer relevance of the reading rows against the whole matrix."""

from typing import Any

import numpy as np
import torch
from objectives import mixed_objective

from probes.chefer import Chefer
from workbench.stages import quiet


def dense(objective: Any) -> np.ndarray:
    """R <- R + A' R from the first layer to the last, for each target, on seq x seq matrices."""
    layers = list(objective.attention_gradients())
    maps = []
    for number, readers in enumerate(objective.readers):
        relevance = torch.eye(objective.length, dtype=torch.float64)
        for owner, attention, gradient in reversed(layers):
            if owner == number:
                relevance = relevance + (attention * gradient).clamp(min=0).mean(0).double() @ relevance
        maps.append(relevance[list(readers)].mean(0)[list(objective.columns)])
    return torch.stack(maps).numpy()


def test_row_vectors_equal_the_whole_matrix(tiny_model: Any) -> None:
    objective = mixed_objective(tiny_model)
    expected = dense(objective)
    found = Chefer().attribute(objective).relevance
    assert found.shape == (5, len(objective.columns))
    assert (expected.max(axis=1) > 0).all()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9)


def test_progress_ends_at_one_and_a_cancelled_map_stops(tiny_model: Any) -> None:
    objective = mixed_objective(tiny_model)
    told: list[float] = []
    Chefer().attribute(objective, lambda share, _doing: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1

    class Stop(Exception):
        pass

    def stop(_share: float, _doing: str) -> None:
        raise Stop

    try:
        Chefer().attribute(objective, stop)
    except Stop:
        Chefer().attribute(objective, quiet)
    else:
        raise AssertionError("the tick's refusal was swallowed")
