"""Tokens as people read them, their pieces joined into words, and the words by which two texts differ."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal

START = "<|reason_start|>"
END = "<|reason_end|>"
"""What begins and ends a written text, unless a checkpoint names other tokens for it."""
_TOLD = {START: "(text start)", END: "(text end)"}


def tell_token(token: str) -> str:
    """A single token for people to read: without the space around it, never empty, start and end of a text by their meaning.

    For pages, reports and terminals alone; what is kept or exported holds the token as it is.
    """
    bare = token.strip()
    return _TOLD.get(bare, bare) or "␣"


def join_pieces(pieces: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Join token pieces into words: a word begins where whitespace stands before it, and empty pieces join a neighbour.

    Returns each word with the indices of its pieces; together they hold every index once, in order. A script without
    spaces comes back as one long word.
    """
    words: list[tuple[str, list[int]]] = []
    open_word = False
    for index, piece in enumerate(pieces):
        begins = bool(piece.strip()) and (piece[0].isspace() or not open_word) and bool(words and words[-1][0].strip())
        if begins or not words:
            words.append((piece, [index]))
        else:
            words[-1] = (words[-1][0] + piece, [*words[-1][1], index])
        open_word = open_word if not piece else not piece[-1].isspace()
    return [(word.strip(), indices) for word, indices in words]


def diff_words(before: str, after: str) -> list[tuple[Literal["same", "gone", "new"], str]]:
    """Runs of words that stayed, went and came, in order; space between words does not count.

    What stayed and went makes the first text, what stayed and came the second. The longest common run is taken first
    (`difflib`), which reads well but need not be the fewest changes.
    """
    one, other = before.split(), after.split()
    found: list[tuple[Literal["same", "gone", "new"], str]] = []
    for change, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if change == "equal":
            found.append(("same", " ".join(one[a:b])))
            continue
        if b > a:
            found.append(("gone", " ".join(one[a:b])))
        if d > c:
            found.append(("new", " ".join(other[c:d])))
    return found


def changed_words(before: str, after: str) -> float:
    """Share of the words of both texts together that the other has not, by `diff_words`: 0 for equal texts, 1 for strangers."""
    n = len(before.split()) + len(after.split())
    same = sum(2 * len(run.split()) for kind, run in diff_words(before, after) if kind == "same")
    return 1 - same / n if n else 0.0
