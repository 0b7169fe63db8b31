"""Token pieces joined into the words that people read."""

from collections.abc import Sequence


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
