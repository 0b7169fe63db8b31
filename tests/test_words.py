"""Tokens are told for people to read, and their pieces become words without losing one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.models.layout import Layout, lame, tte_flash
from workbench.words import join_pieces, tell_token


@pytest.mark.parametrize("layout", [lame(2), tte_flash(2)])
def test_start_and_end_of_a_text_are_told_by_their_meaning(layout: Layout) -> None:
    assert tell_token(layout.decoder_start) == "(text start)"
    assert tell_token(layout.decoder_end) == "(text end)"


@pytest.mark.parametrize(
    ("token", "told"), [(" red", "red"), ("cle", "cle"), ("  ", "␣"), ("", "␣"), ("<|im_end|>", "<|im_end|>")]
)
def test_any_other_token_is_told_as_it_is(token: str, told: str) -> None:
    assert tell_token(token) == told


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["The", " red", " cir", "cle", "."], ["The", "red", "circle."]),
        ([" a", " ", "b", "\n", "\n", "c"], ["a", "b", "c"]),
        (["", "a", "", " b", ""], ["a", "b"]),
        (["a", "  ", "<|x|>", "y"], ["a", "<|x|>y"]),
        (["\n", " a"], ["a"]),
        ([" red", " red"], ["red", "red"]),
        ([], []),
        ([" "], [""]),
    ],
)
def test_pieces_join_into_words(pieces: list[str], words: list[str]) -> None:
    assert [word for word, _ in join_pieces(pieces)] == words


@given(st.lists(st.text(alphabet="ab \n", max_size=3), max_size=8))
def test_words_hold_every_piece_once_and_spell_the_text(pieces: list[str]) -> None:
    joined = join_pieces(pieces)
    assert [index for _, indices in joined for index in indices] == list(range(len(pieces)))
    assert "".join(word for word, _ in joined).split() == "".join(w.strip() for w, _ in joined).split()
    spelt = " ".join(word for word, _ in joined).split()
    assert spelt == "".join(pieces).split()
