"""The lens on planted latents: the identity head, so that every number is known."""

import dataclasses

import numpy as np
import pytest
from planted import N_LAYERS, N_THINK, STRENGTH, VOCABULARY, PlantedModel, planted_sample, planted_trace

from probes.lens import Lens
from workbench.errors import BadInput
from workbench.probe import Subject
from workbench.types import ProbeResult

WORDS = (" red", " cir", "cle", " red")


def measure(top_k: int = 3, words: tuple[str, ...] = WORDS) -> ProbeResult:
    return Lens(top_k=top_k).measure(Subject(trace=planted_trace(planted_sample(words))), PlantedModel())


def test_planted_words_come_first_at_every_layer() -> None:
    word = measure().measure("word")
    assert word.dims == ("layer", "think", "rank")
    assert word.coords["layer"] == (1, 2, 3)
    for layer in range(N_LAYERS):
        assert tuple(word.values[layer, :, 0]) == WORDS


def test_probability_and_entropy_by_hand() -> None:
    result = measure()
    n = len(VOCABULARY)
    for layer in range(N_LAYERS):
        top = np.exp(STRENGTH * (layer + 1) / N_LAYERS)
        p = top / (top + n - 1)
        rest = (1 - p) / (n - 1)
        np.testing.assert_allclose(result.measure("probability").values[layer, :, 0], p, rtol=1e-5)
        np.testing.assert_allclose(result.measure("probability").values[layer, :, 1], rest, rtol=1e-5)
        expected = -(p * np.log(p) + (n - 1) * rest * np.log(rest))
        np.testing.assert_allclose(result.measure("entropy").values[layer], expected, rtol=1e-5)


def test_planted_reading_is_sharper_than_noise_and_the_check_holds_the_gap() -> None:
    result = measure()
    [check] = result.checks
    gap = (result.measure("control_entropy").values[-1] - result.measure("entropy").values[-1]).mean()
    assert check.passed
    assert check.value == pytest.approx(float(gap))
    assert result.measure("control_entropy").values.shape == (N_LAYERS, N_THINK)


def test_control_keeps_the_norms_of_the_latents() -> None:
    seen: list[np.ndarray] = []

    class Listening(PlantedModel):
        def vocabulary(self, hidden: np.ndarray) -> np.ndarray:
            seen.append(hidden)
            return super().vocabulary(hidden)

    trace = planted_trace(planted_sample(WORDS))
    Lens().measure(Subject(trace=trace), Listening())
    assert len(seen) == 1
    latents, noise = np.split(seen[0], 2)
    np.testing.assert_array_equal(latents, trace.latents.reshape(-1, len(VOCABULARY)))
    np.testing.assert_allclose(np.linalg.norm(noise, axis=1), np.linalg.norm(latents, axis=1), rtol=1e-5)


def test_latents_without_content_fail_the_control() -> None:
    trace = planted_trace(planted_sample(WORDS))
    blank = dataclasses.replace(trace, latents=np.ones_like(trace.latents))
    probe = Lens()
    result = probe.measure(Subject(trace=blank), PlantedModel())
    assert not result.checks[0].passed
    assert any("random latents" in getattr(panel, "text", "") for panel in probe.view(result))


def test_more_words_than_the_vocabulary_holds_are_cut_to_it() -> None:
    assert measure(top_k=50).measure("word").values.shape == (N_LAYERS, N_THINK, len(VOCABULARY))
    np.testing.assert_allclose(measure(top_k=50).measure("probability").values.sum(axis=-1), 1, rtol=1e-5)


def test_many_states_are_read_in_several_calls_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure()
    monkeypatch.setattr("workbench.vocabulary._STATES_AT_ONCE", 5)
    parts = measure()
    for first, second in zip(whole.measures, parts.measures, strict=True):
        np.testing.assert_array_equal(first.values, second.values)


def test_trace_without_latents_is_refused() -> None:
    trace = planted_trace(planted_sample())
    trace = dataclasses.replace(trace, latents=trace.latents[..., :0])
    with pytest.raises(BadInput, match="holds no latents"):
        Lens().measure(Subject(trace=trace), PlantedModel())
