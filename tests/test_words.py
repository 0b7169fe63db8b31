"""Pieces of tokens become words without losing one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.words import join_pieces


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
