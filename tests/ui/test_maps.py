"""The maps that the explorer is sent are those of the attention probe."""

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import planted_sample, planted_trace

from probes.attention import Attention
from workbench.types import Trace
from workbench.ui.maps import REDUCTIONS, TOP_HEADS, head_maps, pack, reduced_maps, sends_heads


@pytest.fixture
def trace() -> Trace:
    """Two images of different, non-square grids, and attention that differs in every layer, head and row."""

    made = planted_trace(planted_sample(sizes=((50, 30), (20, 70))))
    drawn = np.random.default_rng(0).gamma(0.3, size=(3, 6, *made.attention.shape[2:])).astype(np.float32)
    return replace(made, attention=drawn / drawn.sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_reduced_maps_equal_the_probe(trace: Trace, reduction: Any, layer: int) -> None:
    result = Attention(layer=layer, reduce=reduction, top_heads=TOP_HEADS).measure(trace)
    for number, grid in enumerate(trace.grids):
        expected = result.measure(f"attention_image_{number}").values
        found = reduced_maps(trace, reduction)[layer][:, grid.positions]
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-6)


def test_one_head_equals_the_probe(trace: Trace) -> None:
    result = Attention(layer=2, head=5).measure(trace)
    grid = trace.grids[1]
    expected = result.measure("attention_image_1").values
    np.testing.assert_allclose(head_maps(trace, 4)[2][:, grid.positions].reshape(expected.shape), expected, rtol=1e-6)
    everywhere = Attention(head=5).measure(trace).measure("attention_image_1").values
    np.testing.assert_allclose(
        head_maps(trace, 4)[0][:, grid.positions].reshape(everywhere.shape), everywhere, rtol=1e-6
    )


def test_packing_loses_less_than_a_thousandth(trace: Trace) -> None:
    maps, grid = reduced_maps(trace, "mean"), trace.grids[0]
    bytes_ = base64.b64decode(pack(maps, grid))
    assert len(bytes_) == 2 * 4 * 5 * grid.rows * grid.cols
    found = np.frombuffer(bytes_, dtype="<f2").astype(np.float32).reshape(4, 5, -1)
    np.testing.assert_allclose(found, maps[..., grid.positions], rtol=1e-3, atol=1e-6)


def test_heads_stay_behind_when_they_are_heavy(trace: Trace) -> None:

    assert sends_heads(trace)
    many = np.broadcast_to(trace.attention[:, :1], (3, 2000, *trace.attention.shape[2:]))
    assert not sends_heads(replace(trace, attention=many[:, :, :, :]))
