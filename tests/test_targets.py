"""Targets as people write them, and the words of a thought."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput
from workbench.targets import Compared, Score, TargetSpec, parse_target, words_of

PIECES = st.lists(st.text(alphabet=" ab3é_-'’.,\n\u0301ह\u093fक❤\ufe0f", max_size=4), max_size=12)
NAMES = st.from_regex(r"[a-z/:][a-z0-9/: ]{0,6}[a-z]", fullmatch=True)
NUMBERS = st.integers(1, 999_999)


def named(pieces: list[str]) -> list[tuple[str, int, int]]:
    return [(word.text, word.start, word.stop) for word in words_of(pieces)]


def test_words_are_runs_of_letters_over_their_pieces() -> None:
    pieces = [" red", " cir", "cle", ", red", " half", "-full", ".", " a", "_b", "", " it", "’s"]
    assert named(pieces) == [
        ("red", 0, 1),
        ("circle", 1, 3),
        ("red", 3, 4),
        ("half-full", 4, 6),
        ("a", 7, 8),
        ("b", 8, 9),
        ("it’s", 10, 12),
    ]


def test_two_words_of_one_token_both_hold_it() -> None:
    assert named([" 3.5", " red/blue"]) == [("3", 0, 1), ("5", 0, 1), ("red", 1, 2), ("blue", 1, 2)]


def test_signs_that_stand_on_letters_do_not_end_words() -> None:
    assert named(["हिन्", "दी", " cafe", "\u0301"]) == [("हिन्दी", 0, 2), ("cafe\u0301", 2, 4)]
    assert named(["❤\ufe0f", " \u0301", "-"]) == []


@given(PIECES)
@settings(deadline=None)
def test_every_letter_belongs_to_one_word_and_words_to_their_pieces(pieces: list[str]) -> None:
    words = words_of(pieces)
    text = "".join(pieces)
    assert [s for word in words for s in word.text if s.isalnum()] == [s for s in text if s.isalnum()]
    for word in words:
        assert word.text[0].isalnum()
        assert 0 <= word.start < word.stop <= len(pieces)
        assert word.text in "".join(pieces[word.start : word.stop])
        assert pieces[word.start]
        assert pieces[word.stop - 1]
    assert [word.start for word in words] == sorted(word.start for word in words)


@given(PIECES)
@settings(deadline=None)
def test_words_do_not_hang_on_how_the_text_is_cut(pieces: list[str]) -> None:
    assert [word.text for word in words_of(pieces)] == [word.text for word in words_of(list("".join(pieces)))]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("embedding", TargetSpec(about="embedding")),
        (" embedding:margin ", TargetSpec(about="embedding", kind="margin")),
        ("embedding:cosine:a: b", TargetSpec(about="embedding", kind="cosine", candidate="a: b")),
        ("think", TargetSpec(about="think")),
        ("think:3", TargetSpec(about="think", number=3)),
        ("think:effect", TargetSpec(about="think", effect=True)),
        ("think:3:effect", TargetSpec(about="think", number=3, effect=True)),
        ("words", TargetSpec(about="words")),
        ("word:3", TargetSpec(about="words", number=3)),
        ("word:3/light blue", TargetSpec(about="words", number=3, alternative="light blue")),
    ],
)
def test_the_forms_of_the_documentation(text: str, spec: TargetSpec) -> None:
    assert parse_target(text) == spec


SPECS = st.one_of(
    st.builds(
        lambda kind, name: TargetSpec(about="embedding", kind=kind, candidate=name if kind else None),
        st.sampled_from([None, "cosine", "contrast", "margin"]),
        st.none() | NAMES,
    ),
    st.builds(lambda n, effect: TargetSpec(about="think", number=n, effect=effect), st.none() | NUMBERS, st.booleans()),
    st.builds(
        lambda n, other: TargetSpec(about="words", number=n, alternative=other if n else None),
        st.none() | NUMBERS,
        st.none() | NAMES,
    ),
)


@given(SPECS)
@settings(deadline=None)
def test_a_spec_written_out_is_read_back(spec: TargetSpec) -> None:
    words = spec.about
    if spec.about == "words" and spec.number is not None:
        words = "word"
    parts = [words, *(str(part) for part in (spec.kind, spec.candidate, spec.number) if part is not None)]
    written = ":".join([*parts, *(["effect"] if spec.effect else [])])
    assert parse_target(written + (f"/{spec.alternative}" if spec.alternative is not None else "")) == spec


@given(st.text(max_size=30))
@settings(deadline=None)
def test_anything_else_is_one_sentence_that_names_the_forms(text: str) -> None:
    try:
        spec = parse_target(text)
    except BadInput as error:
        assert "embedding:cosine:NAME" in str(error) or "word" in str(error) or "counts from 1" in str(error)
    else:
        assert re.match(r"embedding|think|word", text.strip())
        assert spec.number is None or spec.number > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word", "names no word"),
        ("word:3/ ", r"There is no target|names no alternative"),
        ("word:3/", "There is no target"),
        ("word:0", "counts from 1"),
        ("think:0", "counts from 1"),
        ("think:one", "There is no target 'think:one'; write embedding"),
        ("embedding:nearest", "There is no target"),
        ("", "There is no target ''"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_target(text)


@pytest.mark.parametrize("kind", ["contrast", "margin"])
def test_a_comparison_needs_something_to_compare_with(kind: Compared) -> None:
    positive = np.ones(3, dtype=np.float32)
    with pytest.raises(ValueError, match="needs other candidates"):
        Score(kind=kind, positive=positive, others=np.zeros((0, 3), dtype=np.float32))
