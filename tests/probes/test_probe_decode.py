"""Decoding planted thoughts: texts, probabilities and dependence are known."""

from dataclasses import replace

import numpy as np
import pytest
from planted import END, STRENGTH, VOCABULARY, PlantedModel, planted_sample, planted_trace

from probes.decode import Decode, _swapped
from workbench.probe import Subject
from workbench.types import Check, ProbeResult, TextScore
from workbench.views import Note, Table, Words

WORDS = (" red", " cir", "cle", ".")
KNOWN = STRENGTH - np.log(np.exp(STRENGTH) + len(VOCABULARY) - 1)
"""Log-probability of a planted word under its own thought."""


def measure(*others: tuple[str, ...], words: tuple[str, ...] = WORDS, **choice: object) -> ProbeResult:
    swapped = tuple(planted_trace(planted_sample(other, id=f"other {i}")) for i, other in enumerate(others))
    return Decode(**choice).measure(Subject(trace=planted_trace(planted_sample(words)), others=swapped), PlantedModel())


def check(result: ProbeResult, name: str) -> Check:
    [found] = [check for check in result.checks if check.name == name]
    return found


def test_text_and_probabilities_are_those_planted() -> None:
    result = measure()
    assert result.measure("text").values == " red circle."
    assert result.measure("finish").values == "end"
    assert result.measure("log_probability").coords["token"] == WORDS
    assert result.measure("token_id").values.tolist() == [VOCABULARY.index(word) for word in WORDS]
    np.testing.assert_allclose(result.measure("log_probability").values, KNOWN, rtol=1e-5)
    assert result.measure("word_log_probability").coords["word"] == ("red", "circle.")
    np.testing.assert_allclose(result.measure("word_log_probability").values, [KNOWN, 3 * KNOWN], rtol=1e-5)
    np.testing.assert_allclose(result.measure("word_probability").values, np.exp([KNOWN, 3 * KNOWN]), rtol=1e-5)
    assert check(result, "finished").passed


def test_dependence_is_the_strength_of_each_word_that_differs() -> None:
    # Under a thought that holds another word there, the logit falls by STRENGTH and the normaliser stays.
    result = measure((" blue", " cir", "cle", "."), (" blue", " left", "cle", "."))
    dependence = result.measure("image_dependence")
    assert dependence.signed
    assert dependence.coords["word"] == ("red", "circle.")
    np.testing.assert_allclose(dependence.values, [STRENGTH, STRENGTH / 2], rtol=1e-5)
    assert result.measure("total_image_dependence").values == pytest.approx(1.5 * STRENGTH, rel=1e-5)
    swapped = check(result, "swapped thought")
    assert swapped.passed
    assert swapped.value == pytest.approx(1.5 * STRENGTH, rel=1e-5)


def test_one_odd_thought_among_the_others_does_not_decide() -> None:
    """The mean over the others would pass the first and, with a copy of the sample among them, weaken the second."""
    odd, same, other = (" blue", " left", " left", " left"), WORDS, (" blue", " left", "cle", ".")
    guessed = measure(odd, same, same)
    assert guessed.measure("total_image_dependence").values == pytest.approx(4 * STRENGTH / 3, rel=1e-5)
    assert not check(guessed, "swapped thought").passed
    held = check(measure(same, other, other), "swapped thought")
    assert held.passed
    assert held.value == pytest.approx(2 * STRENGTH, rel=1e-5)
    assert "(0.0 to 12.0)" in held.about


@pytest.mark.parametrize(
    ("nats", "n_tokens", "passed"), [(2.9, 4, False), (3.1, 4, True), (4.9, 100, False), (5.1, 100, True)]
)
def test_the_text_must_be_twenty_times_likelier_and_beyond_rounding(nats: float, n_tokens: int, passed: bool) -> None:
    found = _swapped("", np.full((3, n_tokens), nats / n_tokens))
    assert found.passed is passed
    assert found.value == pytest.approx(nats)
    assert found.tolerance == pytest.approx(max(np.log(20), 0.05 * n_tokens))


def test_text_that_every_thought_predicts_fails_the_swap() -> None:
    swapped = check(measure(WORDS, WORDS), "swapped thought")
    assert swapped.value == pytest.approx(0, abs=1e-6)
    assert not swapped.passed


def test_without_others_the_result_says_that_nothing_was_tested() -> None:
    result = measure()
    assert "image_dependence" not in {measure.name for measure in result.measures}
    assert not check(result, "swapped thought").passed
    assert "not tested" in check(result, "swapped thought").about


def test_writing_and_reading_agree_and_a_gap_is_told() -> None:
    assert check(measure((" blue",)), "score agrees with decoding").passed

    class Disagreeing(PlantedModel):
        def score(self, *given: object, **options: object) -> list[TextScore]:
            scores = super().score(*given, **options)
            return [replace(score, log_probabilities=tuple(p - 1 for p in score.log_probabilities)) for score in scores]

    subject = Subject(trace=planted_trace(planted_sample()), others=(planted_trace(planted_sample((" blue",))),))
    gap = check(Decode().measure(subject, Disagreeing()), "score agrees with decoding")
    assert gap.value == pytest.approx(1)
    assert not gap.passed


def test_cut_text_is_told_with_its_limit() -> None:
    probe = Decode(max_tokens=2)
    result = measure(max_tokens=2)
    assert result.measure("text").values == " red cir"
    finished = check(result, "finished")
    assert not finished.passed
    assert "cut at 2 tokens" in finished.about
    assert any(isinstance(panel, Note) and "cut at 2" in panel.text for panel in probe.view(result))


def test_empty_thought_is_a_result_too() -> None:
    result = measure(WORDS, words=(VOCABULARY[END],))
    assert result.measure("text").values == ""
    assert result.measure("word_log_probability").values.shape == (0,)
    assert result.measure("token_id").coords["token"] == ()
    panels = Decode().view(result)
    assert not any(isinstance(panel, Words) for panel in panels)
    assert any(isinstance(panel, Note) and "no text" in panel.text for panel in panels)


def test_drawn_texts_repeat_with_the_seed_and_differ_without() -> None:
    first = measure(samples=6, temperature=3.0, seed=1)
    assert first.measure("sample_text").values.shape == (6,)
    np.testing.assert_array_equal(
        first.measure("sample_text").values, measure(samples=6, temperature=3.0, seed=1).measure("sample_text").values
    )
    other = measure(samples=6, temperature=3.0, seed=2)
    assert not np.array_equal(first.measure("sample_text").values, other.measure("sample_text").values)
    assert first.measure("text").values == " red circle."
    assert (first.measure("sample_log_probability").values <= 0).all()


def test_context_is_passed_on() -> None:
    assert measure().measure("context").values == "latents_only"
    assert measure(context="query_and_latents").measure("context").values == "query_and_latents"


def test_view_offers_words_dependence_and_tokens() -> None:
    panels = Decode(samples=2).view(measure((" blue",), samples=2))
    assert [panel.measure for panel in panels if isinstance(panel, Words)] == ["word_probability", "image_dependence"]
    assert [panel.measures[0] for panel in panels if isinstance(panel, Table)] == ["sample_text", "log_probability"]


def test_given_text_is_scored_under_own_and_swapped_thoughts() -> None:
    result = measure((" blue", " cir", "cle", "."), score_text=" blue circle.")
    assert result.measure("given_word_log_probability").coords["word"] == ("blue", "circle.")
    np.testing.assert_allclose(
        result.measure("given_word_log_probability").values, [KNOWN - STRENGTH, 3 * KNOWN], rtol=1e-5
    )
    # The end token after the fourth thought is a blank guess of the planted decoder.
    expected = 4 * KNOWN - STRENGTH - np.log(len(VOCABULARY))
    assert result.measure("given_log_probability").values == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(result.measure("given_image_dependence").values, [-STRENGTH, 0], atol=1e-5)
    assert not check(result, "swapped thought, given text").passed
    assert check(result, "swapped thought").passed
    titles = [panel.measure for panel in Decode().view(result) if isinstance(panel, Words)]
    assert titles[2:] == ["given_word_log_probability", "given_image_dependence"]


def test_given_text_is_scored_without_others_and_blank_text_is_not() -> None:
    alone = measure(score_text=" red circle.")
    assert alone.measure("given_word_log_probability").values.shape == (2,)
    assert not check(alone, "swapped thought, given text").passed
    assert not any(found.name.startswith("given") for found in measure(score_text="  ").measures)
