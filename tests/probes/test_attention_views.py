"""Composed and relative attention where the tower and the generic prompt's attention are known."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from planted import N_THINK, PlantedModel, planted_sample

from probes.attention_views import AttentionViews
from workbench.embedder import Keep
from workbench.errors import BadInput, Unsupported
from workbench.probe import Subject
from workbench.types import Encoded, ProbeResult, Sample, Trace
from workbench.views import Note, Overlay

HOT, ELSEWHERE = (2, 1), (0, 5)
SIZES = ((30, 50), (70, 30))
"""5 x 3 and 3 x 7 patches."""
GENERIC = "Describe this image."


class AskedModel(PlantedModel):
    """For the generic prompt every row looks at another patch than for a question."""

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        return super().trace([self._turned(encoded) for encoded in batch], keep)

    def _turned(self, encoded: Encoded) -> Encoded:
        if encoded.sample.text != GENERIC:
            return encoded
        metadata = {**encoded.sample.metadata, "hot": ELSEWHERE}
        return dataclasses.replace(encoded, sample=dataclasses.replace(encoded.sample, metadata=metadata))


def views(model: PlantedModel, **choice: object) -> ProbeResult:
    sample = planted_sample(sizes=SIZES, hot=HOT)
    [trace] = model.trace([model.prepare(sample)])
    return AttentionViews(**choice).measure(Subject(trace=trace), model)


class Headed(AskedModel):
    """Head 1 looks at the image for a question, head 2 for the generic prompt."""

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        found = []
        for trace in super().trace(batch, keep):
            attention = trace.attention.copy()
            attention[:, int(trace.sample.text != GENERIC)] *= 0.01
            attention[:, 2:] *= 0.001
            found.append(dataclasses.replace(trace, attention=attention))
        return found


def test_relative_maps_compare_the_same_heads() -> None:
    model, sample = Headed(), planted_sample(sizes=SIZES, hot=HOT)
    [trace] = model.trace([model.prepare(sample)])
    [plain] = model.trace([model.prepare(dataclasses.replace(sample, text=GENERIC))])
    result = views(model, reduce="top", top_heads=1, layer=1)
    own, other = trace.attention[0, 0], plain.attention[0, 0]
    grid = trace.grids[0]
    cells = np.concatenate([np.arange(len(trace.tokens.ids))[one.positions] for one in trace.grids])
    mine, theirs = (rows[:, cells] / rows[:, cells].sum(axis=1, keepdims=True) for rows in (own, other))
    found = result.measure("relative_image_0").values.reshape(N_THINK + 1, -1)
    np.testing.assert_allclose(found, (mine - theirs)[:, : grid.rows * grid.cols], atol=1e-5)


def test_composed_maps_are_the_tokens_attention_through_the_tower() -> None:
    result = views(AskedModel())
    plain, hot = result.measure("composed_image_0").values, result.measure("composed_image_1").values
    assert plain.shape == (N_THINK + 1, 5, 3)
    assert hot.shape == (N_THINK + 1, 3, 7)
    [trace] = AskedModel().trace([AskedModel().prepare(planted_sample(sizes=SIZES, hot=HOT))])
    grid = trace.grids[1]
    tokens = trace.attention.mean(axis=(0, 1))[:, grid.positions]
    np.testing.assert_allclose(hot.reshape(N_THINK + 1, -1), 0.5 * tokens + 0.5 * tokens.mean(1, keepdims=True))
    for row in hot:
        assert np.unravel_index(row.argmax(), row.shape) == HOT


def test_relative_maps_rise_where_the_query_looks_and_fall_where_any_prompt_does() -> None:
    for choice in ("difference", "ratio"):
        result = views(AskedModel(), compare=choice)
        measure = result.measure("relative_image_1")
        assert measure.signed
        for row in measure.values:
            assert np.unravel_index(row.argmax(), row.shape) == HOT
            assert np.unravel_index(row.argmin(), row.shape) == ELSEWHERE
            assert row[ELSEWHERE] < 0 < row[HOT]
        assert np.abs(result.measure("relative_image_0").values).max() < measure.values.max() / 5


def test_difference_and_distance_are_those_of_the_shares() -> None:
    result = views(AskedModel())
    both = [result.measure(f"relative_image_{i}").values.reshape(N_THINK + 1, -1) for i in (0, 1)]
    relative = np.concatenate(both, axis=1)
    np.testing.assert_allclose(relative.sum(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(result.measure("distance_from_generic").values, 0.5 * np.abs(relative).sum(1), rtol=1e-5)
    assert all(check.passed for check in result.checks)


def test_a_query_that_changes_nothing_is_told() -> None:
    result = views(PlantedModel())
    [failed] = [check for check in result.checks if not check.passed]
    assert failed.name == "rows against a generic prompt"
    assert np.abs(result.measure("relative_image_1").values).max() < 0.02
    notes = [panel.text for panel in AttentionViews().view(result) if isinstance(panel, Note)]
    assert any("noise" in note for note in notes)


def test_a_tower_that_loses_mass_is_told() -> None:
    class Leaking(AskedModel):
        def through_vision(self, encoded: Encoded, rows: np.ndarray) -> np.ndarray:
            return 0.9 * rows

    assert [check.name for check in views(Leaking()).checks if not check.passed] == ["the tower keeps the mass"]


def test_each_image_has_both_views() -> None:
    panels = AttentionViews().view(views(AskedModel()))
    shown = [(panel.measure, panel.image) for panel in panels if isinstance(panel, Overlay)]
    assert shown == [
        ("composed_image_0", 0),
        ("composed_image_1", 1),
        ("relative_image_0", 0),
        ("relative_image_1", 1),
    ]


def test_text_alone_and_an_empty_prompt_are_refused() -> None:
    model = PlantedModel()
    [trace] = model.trace([model.prepare(Sample(id="t", text="one", metadata={"thought": (" red",)}))])
    with pytest.raises(Unsupported, match="no image"):
        AttentionViews().measure(Subject(trace=trace), model)
    with pytest.raises(BadInput, match="generic prompt is empty"):
        views(model, generic=" ")
