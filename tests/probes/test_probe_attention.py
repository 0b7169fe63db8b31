"""The attention probe on traces whose attention is known: one hot patch, two images, several frames, text only."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import N_HEADS, N_LAYERS, N_THINK, planted_sample, planted_trace

from probes.attention import Attention
from workbench.errors import BadInput
from workbench.models.checkpoint import load_checkpoint
from workbench.types import Sample, Trace
from workbench.views import Note, Overlay

HOT = (2, 1)


def hot_trace() -> Trace:
    """A 30 x 50 pixel image (5 rows, 3 columns) before it, then the one with the hot patch: 3 rows, 7 columns."""
    return planted_trace(planted_sample(sizes=((30, 50), (70, 30)), hot=HOT))


def with_attention(trace: Trace, attention: np.ndarray) -> Trace:
    return dataclasses.replace(trace, attention=attention.astype(np.float32))


def test_hot_patch_is_where_it_was_put_in_a_non_square_grid() -> None:
    result = Attention().measure(hot_trace())
    plain, hot = result.measure("attention_image_0"), result.measure("attention_image_1")
    assert plain.values.shape == (N_THINK + 1, 5, 3)
    assert hot.values.shape == (N_THINK + 1, 3, 7)
    assert hot.coords["row"] == ("think 1", "think 2", "think 3", "think 4", "embed")
    for row in hot.values:
        assert np.unravel_index(row.argmax(), row.shape) == HOT
        assert row.max() > 0.5
    assert len(np.unique(plain.values[0])) == 1


def test_shares_are_the_counts_where_attention_is_even() -> None:
    trace = planted_trace(planted_sample(sizes=((50, 30),), text="one two three"))
    share = Attention().measure(trace).measure("share")
    assert share.coords["part"] == ("text", "control", "image 1", "think", "embed")
    # Row 0 sees 2 control tokens, 15 patches, 3 words and itself: 21 positions, all alike.
    np.testing.assert_allclose(share.values[0], np.array([3, 2, 15, 1, 0]) / 21, rtol=1e-5)
    np.testing.assert_allclose(share.values[-1], np.array([3, 2, 15, N_THINK, 1]) / 25, rtol=1e-5)
    np.testing.assert_allclose(share.values.sum(axis=1), 1, rtol=1e-5)


def test_written_reasoning_is_a_part_of_its_own(tiny_kinds: dict[str, Path]) -> None:
    """A query of two words and what a real model writes behind it: every position is counted once, in its own part."""
    model: Any = load_checkpoint(tiny_kinds["explicit-cot"], device="cpu")
    [trace] = model.trace([model.prepare(Sample(id="t", text="red star"))])
    [thought] = model.decode([trace])
    # Behind the reasoning stand its end and the embed token.
    end = len(trace.tokens.kinds) - 2
    begin = end - len(thought.token_ids)
    assert tuple(trace.tokens.ids[begin:end]) == thought.token_ids
    share = Attention().measure(trace).measure("share")
    assert share.coords["part"] == ("text", "control", "think", "reasoning", "embed")
    row = trace.attention.mean(axis=(0, 1))[0]
    found = dict(zip(share.coords["part"], share.values[0].tolist(), strict=True))
    assert found["reasoning"] == pytest.approx(row[begin:end].sum(), rel=1e-5)
    asked = [place for place, kind in enumerate(trace.tokens.kinds[:begin]) if kind == "text"]
    assert found["text"] == pytest.approx(row[asked].sum(), rel=1e-5)
    assert share.values.sum() == pytest.approx(1, rel=1e-5)


def test_layer_and_head_are_counted_from_one() -> None:
    trace = hot_trace()
    attention = np.zeros_like(trace.attention)
    attention[..., 0] = 1
    attention[1, 0] = trace.attention[1, 0]
    trace = with_attention(trace, attention)

    def hottest(layer: int, head: int) -> float:
        return float(Attention(layer=layer, head=head).measure(trace).measure("attention_image_1").values.max())

    assert hottest(2, 1) > 0.5
    assert hottest(2, 2) == hottest(1, 1) == hottest(3, 1) == 0
    assert hottest(2, 0) == pytest.approx(hottest(2, 1) / N_HEADS)
    assert hottest(0, 1) == pytest.approx(hottest(2, 1) / N_LAYERS)


def test_reductions_differ_as_they_should() -> None:
    trace = hot_trace()
    position = trace.grids[1].start + 4
    attention = np.zeros_like(trace.attention)
    attention[..., 0] = 1  # a control token
    attention[0, 1, :, 0], attention[0, 1, :, position] = 0.2, 0.8
    attention[1, 0, :, 0], attention[1, 0, :, position] = 0.6, 0.4
    trace = with_attention(trace, attention)

    def at_patch(**choice: object) -> float:
        return Attention(**choice).measure(trace).measure("attention_image_1").values[2].ravel()[4]

    assert at_patch(reduce="mean") == pytest.approx(1.2 / (N_LAYERS * N_HEADS))
    assert at_patch(reduce="max") == pytest.approx(0.8)
    assert at_patch(reduce="top", top_heads=1) == pytest.approx(0.8)
    assert at_patch(reduce="top", top_heads=2) == pytest.approx(0.6)
    assert at_patch(reduce="top", top_heads=100) == at_patch(reduce="mean")
    per_head = Attention().measure(trace).measure("per_head_image_share")
    assert per_head.dims == ("layer", "head", "row")
    np.testing.assert_allclose(per_head.values[0, 1], 0.8, rtol=1e-6)
    np.testing.assert_allclose(per_head.values[2], 0)


def test_maximum_over_heads_leaves_the_shares_a_distribution() -> None:
    share = Attention(reduce="max").measure(hot_trace()).measure("share")
    np.testing.assert_allclose(share.values.sum(axis=1), 1, rtol=1e-5)


def test_patch_that_every_row_attends_to_is_a_sink_and_can_be_dropped() -> None:
    trace = hot_trace()
    sinks = Attention().measure(trace).measure("sinks_image_1").values
    assert sinks.sum() == 1
    assert sinks[HOT] == 1
    assert not Attention().measure(trace).measure("sinks_image_0").values.any()
    dropped = Attention(drop_sinks=True).measure(trace)
    assert not dropped.measure("attention_image_1").values[:, 2, 1].any()
    kept = Attention().measure(trace)
    np.testing.assert_array_equal(dropped.measure("share").values, kept.measure("share").values)


def test_patch_that_only_some_rows_attend_to_is_no_sink() -> None:
    trace = planted_trace(planted_sample(sizes=((50, 30),), hot=(0, 0)))
    attention = trace.attention.copy()
    elsewhere = trace.grids[0].start + 7
    attention[..., 2, trace.grids[0].start] -= 0.5
    attention[..., 2, elsewhere] += 0.5
    assert not Attention().measure(with_attention(trace, attention)).measure("sinks_image_0").values.any()


def test_frames_have_an_axis_of_their_own() -> None:
    sample = planted_sample(sizes=((40, 30),))
    sample = dataclasses.replace(sample, metadata={**sample.metadata, "frames": 2})
    trace = planted_trace(sample)
    attention = np.zeros_like(trace.attention)
    attention[..., trace.grids[0].start + 12 + 5] = 1
    measure = Attention().measure(with_attention(trace, attention)).measure("attention_image_0")
    assert measure.dims == ("row", "frame", "rows", "cols")
    assert measure.values.shape == (N_THINK + 1, 2, 3, 4)
    assert measure.values[0, 1, 1, 1] == pytest.approx(1)


def test_even_attention_fails_the_uniform_control_and_a_hot_patch_passes_it() -> None:
    [_, even] = Attention().measure(planted_trace(planted_sample())).checks
    assert even.name == "maps against uniform"
    assert even.value == pytest.approx(1, abs=1e-5)
    assert not even.passed
    sharp = Attention().measure(planted_trace(planted_sample(hot=(1, 1))))
    assert sharp.checks[1].passed
    # 15 patches: one holds h, the rest share 1 - h evenly.
    weights = sharp.measure("attention_image_0").values[0].ravel()
    p = weights / weights.sum()
    assert sharp.measure("evenness").values[0, 0] == pytest.approx(-(p * np.log(p)).sum() / np.log(15), rel=1e-5)


def test_image_of_one_patch_is_even_by_nature() -> None:
    result = Attention().measure(planted_trace(planted_sample(sizes=((10, 10),))))
    np.testing.assert_array_equal(result.measure("evenness").values, 1)


def test_rows_that_do_not_sum_to_one_are_told() -> None:
    trace = planted_trace(planted_sample())
    check = Attention().measure(with_attention(trace, trace.attention * 0.9)).checks[0]
    assert check.name == "rows sum to 1"
    assert check.value == pytest.approx(0.1, abs=1e-5)
    assert not check.passed
    assert Attention().measure(trace).checks[0].passed


@pytest.mark.parametrize("reduce", ["mean", "max", "top"])
def test_text_alone_has_shares_and_says_so(reduce: str) -> None:
    trace = planted_trace(Sample(id="t", text="one two", metadata={"thought": (" red",)}))
    probe = Attention(reduce=reduce)
    result = probe.measure(trace)
    assert result.measure("share").coords["part"] == ("text", "control", "think", "embed")
    np.testing.assert_allclose(result.measure("share").values[0], [2 / 3, 0, 1 / 3, 0], rtol=1e-5)
    panels = probe.view(result)
    assert not any(isinstance(panel, Overlay) for panel in panels)
    assert any(isinstance(panel, Note) and "no image" in panel.text for panel in panels)


def test_without_an_image_no_head_is_most_on_it_so_all_are_taken() -> None:
    trace = planted_trace(Sample(id="t", text="one two", metadata={"thought": (" red",)}))
    attention = np.zeros_like(trace.attention)
    attention[..., 0] = 1
    attention[2, 1, :, 0], attention[2, 1, :, 1] = 0, 1
    attention[..., 2, :], attention[..., 2, 2] = 0, 1
    trace = with_attention(trace, attention)
    top, mean = (Attention(reduce=reduce, top_heads=1).measure(trace).measure("share") for reduce in ("top", "mean"))
    np.testing.assert_array_equal(top.values, mean.values)
    said = Attention(reduce="top").measure(trace)
    assert [check.name for check in said.checks if not check.passed] == ["top heads"]
    assert any("mean of all heads" in panel.text for panel in Attention().view(said) if isinstance(panel, Note))
    assert not any(check.name == "top heads" for check in Attention().measure(trace).checks)
    assert not any(check.name == "top heads" for check in Attention(reduce="top").measure(hot_trace()).checks)


@pytest.mark.parametrize("wrong", [{"layer": N_LAYERS + 1}, {"head": N_HEADS + 1}, {"layer": -1}])
def test_layer_or_head_that_is_not_there_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadInput, match=r"There is no (layer|head) .* counted from 1"):
        Attention(**wrong).measure(hot_trace())


def test_trace_without_attention_is_refused() -> None:
    trace = with_attention(hot_trace(), hot_trace().attention[:, :0])
    with pytest.raises(BadInput, match="holds no attention"):
        Attention().measure(trace)


def test_each_image_has_an_overlay_on_one_scale() -> None:
    probe = Attention()
    overlays = [panel for panel in probe.view(probe.measure(hot_trace())) if isinstance(panel, Overlay)]
    assert [(o.image, o.measure, o.scale) for o in overlays] == [
        (0, "attention_image_0", "shared"),
        (1, "attention_image_1", "shared"),
    ]
