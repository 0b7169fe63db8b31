"""One sample of a comparison side by side, from what lies on the disk: no model is asked again."""

import numpy as np

from workbench.attribution import AttributionProbe
from workbench.comparing.attributing import AttributedRow, read_attributed
from workbench.comparing.kept import mark_used
from workbench.comparing.making import Compared
from workbench.comparing.pairing import apart_by_grids
from workbench.comparing.reading import ReadRow
from workbench.comparison import Attributed, Card, PairComparison, ReadAs, SampleView, Standing, WordPiece
from workbench.errors import BadInput
from workbench.stats import top_k
from workbench.words import diff_words

SHOWN = 5
"""Candidates of each ranking that stand in the list."""


def open_sample(
    compared: Compared, sample: int, pair: int = 0, *, method: AttributionProbe | None = None
) -> SampleView:
    """Everything about one sample under the reference and one other checkpoint.

    Args:
        compared: the comparison.
        sample: its number.
        pair: which of the pairs.
        method: whose maps it comes with, where `attribute_samples` made them.

    Raises:
        BadInput: for a number that there is not, a sample that one of them could not read, or when somebody cleared what they
            read.
    """
    comparison = compared.comparison
    if not 0 <= pair < len(comparison.pairs):
        raise BadInput(f"There is no pair {pair + 1} of checkpoints; there are {len(comparison.pairs)}.")
    if not 0 <= sample < len(comparison.samples):
        raise BadInput(f"There is no sample {sample + 1}; the comparison has {len(comparison.samples):,}.")
    found = comparison.pairs[pair]
    row = compared.question.rows[sample]
    readings = compared.readings[found.reference], compared.readings[found.other]
    mark_used(reading.folder for reading in readings)
    read = readings[0].rows[sample], readings[1].rows[sample]
    for side, one in zip((found.reference, found.other), read, strict=True):
        if row.pair is None or one.error:
            raise BadInput(
                f"'{comparison.sides[side].name}' could not read sample '{row.id}': {one.error or row.error}"
            )
    assert row.pair is not None
    return SampleView(
        pair=pair,
        sample=sample,
        images=row.pair.query.images,
        diff=() if any(one.what == "decoded thoughts" for one in found.refused) else _diff(*read),
        cards=_cards(found, read, (readings[0].info.n_think, readings[1].info.n_think)),
        grids=(read[0].grids, read[1].grids),
        maps=(readings[0].attention(sample), readings[1].attention(sample)),
        apart=apart_by_grids(readings, sample),
        standings=_standings(compared, found, sample),
        attributed=None if method is None else _attributed(compared, found, sample, method),
    )


def _attributed(compared: Compared, found: PairComparison, sample: int, method: AttributionProbe) -> Attributed | None:
    sides = (found.reference, found.other)
    made = [read_attributed(compared.readings[side], sample, method, compared.question) for side in sides]
    if not any(made):
        return None
    none = (AttributedRow(notes=("No map was made.",)), np.zeros((0, 0), dtype=np.float32))
    rows, maps = zip(*(one or none for one in made), strict=True)
    names = [compared.comparison.sides[side].name for side in sides]
    notes = (f"{name}: {note}" for name, row in zip(names, rows, strict=True) for note in row.notes)
    return Attributed(
        method=method.name,
        title=method.title,
        signed=method.signed,
        maps=(maps[0], maps[1]),
        gaps=(rows[0].gaps, rows[1].gaps),
        notes=tuple(notes),
    )


def _diff(one: ReadRow, other: ReadRow) -> tuple[WordPiece, ...]:
    if one.thought is None or other.thought is None:
        return ()
    return tuple(WordPiece(kind=kind, text=text) for kind, text in diff_words(one.thought.text, other.thought.text))


def _cards(found: PairComparison, read: tuple[ReadRow, ReadRow], n_think: tuple[int, int]) -> tuple[Card, ...]:
    def reads(side: int, think: int | None) -> ReadAs | None:
        if think is None or think > len(read[side].think):
            return None
        words = read[side].think[think - 1]
        return ReadAs(words=words.words, probabilities=words.probabilities)

    pairs = [(match.reference, match.other) for match in found.matches]
    alone = not pairs  # one of them has no think tokens at all
    if alone:
        pairs = [(k + 1, None) for k in range(n_think[0])] + [(None, k + 1) for k in range(n_think[1])]
    cards = [
        Card(
            label=_label(one, other, alone=alone),
            reference=None if one is None else one - 1,
            other=None if other is None else other - 1,
            read_reference=reads(0, one),
            read_other=reads(1, other),
        )
        for one, other in pairs
    ]
    embed = Card(label="Embedding", reference=n_think[0], other=n_think[1], read_reference=None, read_other=None)
    return (*cards, embed)


def _label(one: int | None, other: int | None, *, alone: bool) -> str:
    if alone or one == other:
        return f"Thought {one or other}"
    return f"Thought {one or 'none'} | {other or 'none'}"


def _standings(compared: Compared, found: PairComparison, sample: int) -> tuple[Standing, ...]:
    """The first candidates of both sides and the right ones; none where rankings are not compared."""
    question = compared.question
    if any(one.what == "rankings" for one in found.refused):
        return ()
    readings = compared.readings[found.reference], compared.readings[found.other]
    cosines = [reading.documents() @ reading.embeddings()[sample] for reading in readings]
    known = np.isfinite(cosines[0]) & np.isfinite(cosines[1])
    ranked = [np.where(known, one, -np.inf) for one in cosines]
    # Counted as the ranks of the right document are: ties count against a candidate.
    places = [known.sum() - (one[known][None] < one[:, None]).sum(axis=1) for one in ranked]
    right = question.rows[sample].right
    shown = {int(at) for one in ranked for at in top_k(one, SHOWN) if known[at]}
    shown.update(at for at in right if known[at])
    if len(right) == 1 and known[right[0]]:
        for place, side in zip(places, (found.reference, found.other), strict=True):
            # As it was counted over all samples at once, where sums may end in another last bit.
            place[right[0]] = compared.comparison.samples[sample].ranks[side] or place[right[0]]
    return tuple(
        Standing(
            text=question.told(at),
            is_target=at in right,
            rank_reference=int(places[0][at]),
            rank_other=int(places[1][at]),
            score_reference=float(cosines[0][at]),
            score_other=float(cosines[1][at]),
        )
        for at in sorted(shown, key=lambda at: places[0][at])
    )
