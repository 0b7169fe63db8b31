"""From token ids to the records that cross the seam: the text, the piece of it that each token is, and how likely it was."""

from collections.abc import Sequence
from typing import Any

from workbench.models.decoding import Scored, Written
from workbench.types import Context, DecodedThought, TextScore

_BROKEN = "\N{REPLACEMENT CHARACTER}"


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Text of each token such that joined they are the whole text; bytes of a split character go to its last token."""
    if not ids:
        return []
    texts = tokenizer.batch_decode([[identity] for identity in ids], clean_up_tokenization_spaces=False)
    # Most tokens are whole words that mean the same anywhere; only where one is not must the text be decoded bit by bit.
    if not any(_BROKEN in text for text in texts) and "".join(texts) == _decoded(tokenizer, ids):
        return texts
    found, done = [], ""
    for count in range(1, len(ids) + 1):
        text = _decoded(tokenizer, ids[:count])
        if text.endswith(_BROKEN) and count < len(ids):
            found.append("")
            continue
        found.append(text[len(done) :])
        done = text
    return found


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)


def to_thought(tokenizer: Any, written: Written, context: Context) -> DecodedThought:
    """What was written, as the record that crosses the seam."""
    parts = pieces(tokenizer, written.ids)
    return DecodedThought(
        text="".join(parts),
        tokens=tuple(parts),
        token_ids=written.ids,
        log_probabilities=written.log_probabilities,
        context=context,
        finish="end" if written.ended else "length",
    )


def to_scores(tokenizer: Any, end: str, texts: Sequence[Sequence[int]], scored: Sequence[Scored]) -> list[TextScore]:
    """Scores of texts and, last, of the end token, as the records that cross the seam."""
    # One text is often scored under many thoughts.
    known = {ids: (*pieces(tokenizer, ids), end) for ids in {tuple(text) for text in texts}}
    return [
        TextScore(tokens=known[tuple(ids)], log_probabilities=one.log_probabilities, likeliest=one.likeliest)
        for ids, one in zip(texts, scored, strict=True)
    ]
