from dataclasses import replace

import numpy as np
from linear_world import linear_case, linear_trace

from probes.sanity import Sanity, other_than
from workbench import store
from workbench.render.html import panel_html
from workbench.targets import EmbeddingTarget, Score, ThinkEffect, ThinkState, WordTarget
from workbench.types import ProbeResult

WEIGHTS = np.random.default_rng(5).normal(size=(3, 40))
CELLS = np.random.default_rng(1).uniform(0.1, 0.9, size=(5, 8))


def judged(kind: str) -> ProbeResult:
    return Sanity().judge(linear_case(WEIGHTS, CELLS, kind=kind))


def test_a_map_of_the_model_falls_with_its_weights() -> None:
    result = judged("perfect")
    cascade = result.measure("cascading").values
    assert (cascade[:, 0] == 1).all()
    assert (cascade[:, 1] > cascade[:, 2]).all()
    assert np.abs(cascade[:, 2]).max() < 0.5
    assert result.checks[0].passed


def test_independent_is_one_part_at_a_time() -> None:
    result = judged("perfect")
    alone, cascade = result.measure("independent").values, result.measure("cascading").values
    np.testing.assert_array_equal(alone[:, 1], cascade[:, 1])
    assert (alone[:, 2] > cascade[:, 2]).all()


def test_a_map_of_the_image_alone_survives_and_is_caught() -> None:
    result = judged("image")
    assert (result.measure("cascading").values > 0.999).all()
    assert (result.measure("other_target").values > 0.999).all()
    assert not any(check.passed for check in result.checks)


def test_a_map_that_answers_the_question_changes_with_the_target() -> None:
    case = linear_case(WEIGHTS, CELLS)
    found = [replace(case.targets[0], word=word) for word in range(3)]  # pyright: ignore[reportArgumentType]
    maps = case.explain_again(targets=found)
    assert abs(np.corrcoef(maps)[0, 1]) < 0.5


def test_deep_models_are_taken_in_few_steps() -> None:
    result = Sanity(stages=1).judge(linear_case(WEIGHTS, CELLS))
    assert result.measure("cascading").coords["random"] == ("none", "second half to first half")


def test_repeatable_and_drawn() -> None:
    result = judged("perfect")
    assert store.dumps(result) == store.dumps(judged("perfect"))
    assert all(panel_html(panel, result) for panel in Sanity().view(result))
    assert linear_trace  # the trace is never read by this model


def test_another_target_is_of_the_same_kind_and_asks_for_something_else() -> None:
    draw = np.random.default_rng(0)
    word = WordTarget(label="w", tokens=(5, 6, 6, 7), start=1, stop=3)
    other = other_than(word, draw, 50)
    assert isinstance(other, WordTarget)
    assert other.tokens[:1] == (5,)
    assert other.tokens[1] in (5, 7)
    assert (other.start, other.stop) == (1, 2)
    lone = replace(word, tokens=(6,), start=0, stop=1, alternative=(0,))
    assert {other_than(lone, draw, 3).tokens for _ in range(9)} <= {(1,), (2,)}  # pyright: ignore[reportAttributeAccessIssue]
    state = ThinkState(label="s", think=2, word=49)
    changed = other_than(state, draw, 50)
    assert isinstance(changed, ThinkState)
    assert changed.word != 49
    assert 0 <= changed.word < 50
    axes = np.eye(4, dtype=np.float32)
    contrast = EmbeddingTarget(label="e", score=Score(kind="contrast", positive=axes[0], others=axes[1:3]))
    swapped = other_than(contrast, draw, 0)
    assert isinstance(swapped, EmbeddingTarget)
    assert not np.array_equal(swapped.score.positive, axes[0])
    assert any(np.array_equal(axes[0], row) for row in swapped.score.others)
    effect = ThinkEffect(label="t", think=1, score=Score(kind="cosine", positive=axes[0], others=axes[:0]))
    assert abs(np.linalg.norm(other_than(effect, draw, 0).score.positive) - 1) < 1e-6  # pyright: ignore[reportAttributeAccessIssue]
