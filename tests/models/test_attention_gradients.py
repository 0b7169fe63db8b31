"""Attention of the decoder and its gradients, layer by layer, against one graph over the whole stack."""

from typing import Any

import numpy as np
import torch
from objectives import mixed_objective, noise_sample

from workbench.models.capture import AttentionTap


def test_gradients_equal_those_of_one_graph(tiny_model: Any) -> None:
    objective = mixed_objective(tiny_model)
    family, model = objective._backbone.family, objective._backbone.model
    taps = [AttentionTap(objective._plan.mask) for _ in range(objective.n_layers)]
    states = objective._inputs(objective.features[None].requires_grad_())
    for index, tap in enumerate(taps):
        states = objective._run_layer(index, states, tap)
    values = objective._read(family.final_norm(model)(states))[0]
    found = list(objective.attention_gradients())
    n = len(objective.targets)
    assert [number for number, _, _ in found] == [*range(n)] * objective.n_layers
    for place, (number, attention, gradient) in enumerate(found):
        weights = taps[objective.n_layers - 1 - place // n].weights
        [expected] = torch.autograd.grad(values[number], weights, retain_graph=True)
        assert (attention - weights[0]).abs().max() < 1e-6
        assert (gradient - expected[0]).abs().max() < 1e-5 * max(1.0, float(expected.abs().max()))
        assert number in (1, 2) or expected.abs().max() > 1e-6


def test_attention_is_that_of_the_trace(tiny_model: Any) -> None:
    objective = mixed_objective(tiny_model)
    [trace] = tiny_model.trace([tiny_model.prepare(noise_sample())])
    layers = list(objective.attention())
    assert len(layers) == objective.n_layers == len(trace.attention)
    own = len(trace.tokens.ids)
    assert objective.thoughts == tuple(range(trace.think.start, trace.think.stop))
    for layer, expected in zip(reversed(layers), trace.attention, strict=True):
        assert layer.shape[1:] == (objective.length, objective.length)
        rows = layer[:, [*objective.thoughts, trace.embed]]
        assert np.abs(rows[..., :own].numpy() - expected).max() < 1e-5
        assert not rows[..., own:].any(), "nothing of the sample sees what stands behind it"


def test_reading_is_shared_among_the_readers(tiny_model: Any) -> None:
    objective = mixed_objective(tiny_model)
    rows = objective.reading()
    assert rows.shape == (len(objective.targets), objective.length)
    for row, readers in zip(rows, objective.readers, strict=True):
        assert row.nonzero()[:, 0].tolist() == sorted(readers)
        torch.testing.assert_close(row[list(readers)], torch.full((len(readers),), 1 / len(readers)))
