"""From a target as it was asked for to the numbers of one sample, on planted thoughts."""

import numpy as np
import pytest
from planted import END, N_THINK, VOCABULARY, PlantedModel, planted_sample, planted_trace

from workbench.errors import BadInput, Unsupported
from workbench.resolution import Candidates, resolve
from workbench.targets import EmbeddingTarget, Target, ThinkEffect, ThinkState, WordTarget, parse_target
from workbench.types import DecodedThought

WORDS = (" red", " cir", "cle", ".")
MODEL = PlantedModel()
TRACE = planted_trace(planted_sample(WORDS))
[THOUGHT] = MODEL.decode([TRACE])
VECTORS = np.eye(3, dtype=np.float32)
CANDIDATES = Candidates(names=("best", "second", "third"), embeddings=VECTORS)


def resolved(
    text: str, *, thought: DecodedThought | None = THOUGHT, candidates: Candidates | None = CANDIDATES
) -> tuple[Target, ...]:
    return resolve(parse_target(text), MODEL, TRACE, thought, candidates)


def test_every_word_is_a_target_over_its_tokens() -> None:
    found = resolved("words", candidates=None)
    assert [(t.label, t.start, t.stop, t.alternative) for t in found if isinstance(t, WordTarget)] == [
        ("word 1: red", 0, 1, ()),
        ("word 2: circle", 1, 3, ()),
    ]
    assert {t.tokens for t in found if isinstance(t, WordTarget)} == {THOUGHT.token_ids}


def test_a_word_against_another_keeps_the_space_before_it() -> None:
    [target] = resolved("word:1/blue")
    assert isinstance(target, WordTarget)
    assert target.label == "word 1: red against blue"
    assert target.alternative == (VOCABULARY.index(" blue"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word:3", "There is no word 3: the decoded thought has 2 words"),
        ("word:1/red", "The word 'red' is compared with itself"),
        ("think:99", f"There is no think token 99: this checkpoint has {N_THINK}"),
        ("embedding:cosine:fourth", "There is no candidate 'fourth'; there are: best, second, third"),
    ],
)
def test_what_is_not_there_is_named(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        resolved(text)


def test_what_the_sample_lacks_is_told() -> None:
    with pytest.raises(Unsupported, match="choose the target embedding"):
        resolved("words", thought=None)
    [silent] = MODEL.decode([planted_trace(planted_sample((VOCABULARY[END],)))])
    with pytest.raises(BadInput, match="holds no word"):
        resolved("words", thought=silent)
    for text in ("embedding", "think:effect"):
        with pytest.raises(BadInput, match="give some"):
            resolved(text, candidates=None)


def test_thoughts_are_projected_on_the_words_they_read_as() -> None:
    found = resolved("think", candidates=None)
    assert [t.think for t in found if isinstance(t, ThinkState)] == list(range(N_THINK))
    first = found[0]
    assert isinstance(first, ThinkState)
    assert (first.word, first.label) == (VOCABULARY.index(" red"), "think 1: reads 'red'")
    [third] = resolved("think:3")
    assert isinstance(third, ThinkState)
    assert (third.think, third.label) == (2, "think 3: reads 'cle'")


def test_a_thought_that_reads_as_the_end_says_so() -> None:
    trace = planted_trace(planted_sample((" red",)))
    [second] = resolve(parse_target("think:2"), MODEL, trace, None, None)
    assert isinstance(second, ThinkState)
    assert (second.word, second.label) == (END, "think 2: reads '(text end)'")


def test_effects_are_on_the_contrast_of_the_best() -> None:
    found = resolved("think:2:effect")
    [target] = found
    assert isinstance(target, ThinkEffect)
    assert (target.think, target.label, target.score.kind) == (1, "think 2: effect on contrast", "contrast")
    np.testing.assert_array_equal(target.score.positive, VECTORS[0])
    np.testing.assert_array_equal(target.score.others, VECTORS[1:])
    assert len(resolved("think:effect")) == N_THINK


def score(text: str, candidates: Candidates) -> tuple[str, np.ndarray, np.ndarray]:
    [target] = resolved(text, candidates=candidates)
    assert isinstance(target, EmbeddingTarget)
    return target.score.kind, target.score.positive, target.score.others


def test_a_score_is_of_the_best_or_of_the_named_candidate() -> None:
    kind, positive, others = score("embedding", CANDIDATES)
    assert kind == "contrast"
    np.testing.assert_array_equal(positive, VECTORS[0])
    np.testing.assert_array_equal(others, VECTORS[1:])
    kind, positive, others = score("embedding:margin:second", CANDIDATES)
    assert kind == "margin"
    np.testing.assert_array_equal(positive, VECTORS[1])
    np.testing.assert_array_equal(others, VECTORS[[0, 2]])
    kind, _, others = score("embedding:cosine", CANDIDATES)
    assert (kind, others.shape) == ("cosine", (0, 3))


def test_copies_of_the_candidate_are_nothing_to_compare_with() -> None:
    """Under another name the same vector would make a contrast that is 0 everywhere."""
    twice = Candidates(names=("one", "copy", "other"), embeddings=VECTORS[[0, 0, 1]])
    np.testing.assert_array_equal(score("embedding:contrast", twice)[2], VECTORS[1:2])
    alone = Candidates(names=("one", "copy"), embeddings=VECTORS[[0, 0]])
    assert score("embedding", alone)[0] == "cosine"
    with pytest.raises(BadInput, match="there is no other candidate"):
        resolved("embedding:margin", candidates=alone)


def test_long_lists_of_candidates_are_cut_in_messages() -> None:
    many = Candidates(names=tuple(f"c{n}" for n in range(8)), embeddings=np.eye(8, dtype=np.float32))
    with pytest.raises(BadInput, match="c0, c1, c2, c3, c4 and 3 more"):
        resolved("embedding:cosine:none", candidates=many)
