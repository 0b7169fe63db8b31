"""Pieces of a text are its tokens' shares of it, split characters included."""

from typing import Any

import pytest

from workbench.models.thoughts import pieces


def bit_by_bit(tokenizer: Any, ids: list[int]) -> list[str]:
    """Each token's text as the text grows with it, where it grows by whole characters."""
    grown = [tokenizer.decode(ids[:count], clean_up_tokenization_spaces=False) for count in range(len(ids) + 1)]
    found, done = [], ""
    for text in grown[1:]:
        whole = text is grown[-1] or not text.endswith("\N{REPLACEMENT CHARACTER}")
        found.append(text[len(done) :] if whole else "")
        done = text if whole else done
    return found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "two objects. top left: large red circle.",
        "  spaces ,and\nlines ",
        "naïve 🦊🦊 foxes",
        "日本 red <|im_end|>",
    ],
)
def test_pieces_are_the_text(tiny_model: Any, text: str) -> None:
    tokenizer = tiny_model._backbone.processor.tokenizer
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = pieces(tokenizer, ids)
    assert found == bit_by_bit(tokenizer, ids)
    assert "".join(found) == text


def test_a_text_cut_within_a_character_says_so(tiny_model: Any) -> None:
    tokenizer = tiny_model._backbone.processor.tokenizer
    ids = tokenizer("red 🦊", add_special_tokens=False)["input_ids"][:-1]
    found = pieces(tokenizer, ids)
    assert found == bit_by_bit(tokenizer, ids)
    assert found[-1].endswith("\N{REPLACEMENT CHARACTER}")


class Joining:
    """A tokenizer whose tokens do not stand for themselves: it drops the space before the first word."""

    words = (" red", " blue", " ring")

    def decode(self, ids: list[int], *, clean_up_tokenization_spaces: bool) -> str:
        assert not clean_up_tokenization_spaces
        return "".join(self.words[identity] for identity in ids).lstrip()

    def batch_decode(self, texts: list[list[int]], *, clean_up_tokenization_spaces: bool) -> list[str]:
        return [self.decode(ids, clean_up_tokenization_spaces=clean_up_tokenization_spaces) for ids in texts]


def test_tokens_that_mean_something_else_alone_are_read_together() -> None:
    assert pieces(Joining(), [1, 0, 2]) == ["blue", " red", " ring"]
