"""Attention rollout of the reading rows against the whole matrix, and on through the vision tower."""

from typing import Any

import numpy as np
import torch
from objectives import mixed_objective

from probes.attention_rollout import AttentionRollout


def test_row_vectors_equal_the_whole_matrix(tiny_model: Any) -> None:
    objective = mixed_objective(tiny_model)
    whole = torch.eye(objective.length)
    for attention in reversed(list(objective.attention())):
        whole = (0.5 * torch.eye(objective.length) + 0.5 * attention.mean(0)) @ whole
    np.testing.assert_allclose(whole.sum(1).numpy(), 1, rtol=1e-5)
    expected = np.stack([whole[list(rows)].mean(0)[list(objective.columns)].numpy() for rows in objective.readers])
    found = AttentionRollout(level="tokens").attribute(objective).relevance
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pixels_are_the_tokens_followed_through_the_tower(tiny_model: Any) -> None:
    tokens = AttentionRollout(level="tokens").attribute(mixed_objective(tiny_model)).relevance
    objective = mixed_objective(tiny_model, "pixels")
    found = AttentionRollout(level="pixels").attribute(objective).relevance
    np.testing.assert_allclose(found, objective.through_vision(torch.from_numpy(tokens)).numpy(), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), tokens.sum(axis=1), rtol=1e-5)
    assert np.abs(found - tokens).max() > 1e-4
