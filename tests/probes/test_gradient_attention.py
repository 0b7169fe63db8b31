"""Gradient x attention: only rows behind the query count, and each target has its own."""

from typing import Any

import numpy as np
import torch
from objectives import mixed_objective

from probes.gradient_attention import GradientAttention


def test_it_is_the_sum_over_the_reading_rows(tiny_model: Any) -> None:
    objective = mixed_objective(tiny_model)
    expected = torch.zeros(5, len(objective.columns))
    for number, attention, gradient in objective.attention_gradients():
        for row in {*objective.thoughts, *objective.readers[number]}:
            for head in range(len(attention)):
                product = attention[head, row] * gradient[head, row]
                expected[number] += product[list(objective.columns)].clamp(min=0) / len(attention)
    found = GradientAttention().attribute(objective).relevance
    assert (found.max(axis=1) > 0).all()
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-8)


def test_words_written_from_the_thoughts_alone_are_read_through_them(tiny_model: Any) -> None:
    """The text's own rows see no image in the context latents_only, so without the think rows its map would be 0."""
    objective = mixed_objective(tiny_model)
    words = list(objective.readers[3])
    for attention in objective.attention():
        assert not attention[:, words][..., list(objective.columns)].any()
    assert GradientAttention().attribute(objective).relevance[3].max() > 0
