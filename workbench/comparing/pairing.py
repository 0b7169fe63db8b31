"""The reference and one other checkpoint: what may be set beside each other, and what must not."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int

from workbench.comparing.groups import Groups, tell_groups
from workbench.comparing.looking import liken_looks
from workbench.comparing.matching import by_position
from workbench.comparing.reading import Reading
from workbench.comparing.scores import LEAST_PAIRS, SEED, UNKNOWN, Scores, estimate, tell_differences, untold
from workbench.comparing.spaces import (
    Thoughts,
    draw_measured,
    liken_alone,
    liken_thoughts,
    make_space,
    n_neighbours,
)
from workbench.comparison import Agreement, Change, Likeness, PairComparison, Refused
from workbench.errors import BadInput, Cancelled
from workbench.stages import Progress, quiet
from workbench.stats import bootstrap_interval, overlap, spearman, top_k
from workbench.stats_spaces import LEAST, unit_neighbours
from workbench.words import changed_words

FIRST = 10
"""Candidates of which it is counted how many both rankings begin with."""
LEAST_RANKED = 2

Two = tuple[Reading, Reading]


def compare_pair(
    readings: Two,
    scores: tuple[Scores, Scores],
    names: tuple[str, str],
    other: int,
    groups: Groups,
    *,
    tell: Progress = quiet,
    cancelled: Callable[[], bool] = lambda: False,
) -> PairComparison:
    """Compare what may be compared, and say of the rest why it may not.

    Args:
        readings: of the reference and of the other.
        scores: of the same.
        names: what sentences call them.
        other: number of the other side.
        groups: of the rows.
        tell: told the share done.
        cancelled: asked before each figure.

    Raises:
        BadInput: when both readings have no sample in common, or are of other samples or another revision of the data.
        Cancelled: when `cancelled` said so.
    """

    def step(done: float, message: str) -> None:
        if cancelled():
            raise Cancelled("The comparison was cancelled; what was read so far is kept.")
        tell(done, message)

    common = find_common(readings, names)
    apart = _other_grids(readings, common)
    refused = _refuse(readings, scores, names, common, apart)
    ranked = not any(one.what == "rankings" for one in refused)
    step(0.1, "Comparing rankings")
    agreements = _agree(scores, common) if ranked else ()
    likeness, thoughts = _liken(readings, common, step)
    n_think = [reading.info.n_think for reading in readings]
    matches = thoughts.matches if thoughts else by_position(*n_think) if all(n_think) else ()
    step(0.8, "Comparing attention")
    looks = liken_looks(readings, draw_measured(common[~apart]), matches)
    return PairComparison(
        reference=0,
        other=other,
        differences=tell_differences(*scores, ranked=ranked),
        groups=tell_groups(groups, *scores, ranked=ranked),
        agreements=agreements,
        looks=looks,
        likeness=likeness,
        by_depth=thoughts.by_depth if thoughts else (),
        layers=thoughts and thoughts.layers,
        steps=thoughts and thoughts.steps,
        depths=thoughts and thoughts.depths,
        matches=matches,
        matched="likeness" if thoughts and n_think[0] != n_think[1] else "position",
        changes=_changes(readings, scores, common, ranked=ranked),
        refused=tuple(refused),
    )


def _liken(
    readings: Two, common: Int[np.ndarray, " n"], step: Callable[[float, str], None]
) -> tuple[tuple[Likeness, ...], Thoughts | None]:
    """How alike the embeddings are, and the thoughts where both have some; nothing for too few samples."""
    step(0.2, "Comparing embeddings")
    if len(common) < LEAST:
        return (), None
    measured = draw_measured(common)
    spaces = [make_space(reading.embeddings()[measured]) for reading in readings]
    embeddings = liken_alone(spaces[0], spaces[1], "embedding")
    step(0.3, "Comparing thoughts")
    if not all(reading.info.n_think for reading in readings):
        return (embeddings,), None
    thoughts = liken_thoughts(*readings, measured, lambda done: step(0.3 + 0.5 * done, "Comparing thoughts"))
    return (embeddings, *thoughts.likeness), thoughts


def find_common(readings: Two, names: tuple[str, str]) -> Int[np.ndarray, " n"]:
    """Rows that both could read. Raises BadInput when there are none, or when both were asked different things."""
    one, other = (reading.about for reading in readings)
    if one.data_revision != other.data_revision:
        raise BadInput(
            f"'{names[0]}' and '{names[1]}' read different revisions of the data ({one.data_revision[:20]} and "
            f"{other.data_revision[:20]}); read both again."
        )
    if one.question != other.question:
        raise BadInput(f"'{names[0]}' and '{names[1]}' were asked other samples or candidates; read both again.")
    could = [np.array([not row.error for row in reading.rows]) for reading in readings]
    common = np.flatnonzero(could[0] & could[1])
    if not len(common):
        read = [
            f"'{name}' could read {int(mine.sum())} of {len(mine)}" for name, mine in zip(names, could, strict=True)
        ]
        reasons = [row.error for reading in readings for row in reading.rows if row.error]
        raise BadInput(f"There is no sample in common: {' and '.join(read)}. The first reason: {reasons[0]}")
    return common


def _refuse(
    readings: Two,
    scores: tuple[Scores, Scores],
    names: tuple[str, str],
    common: Int[np.ndarray, " n"],
    apart: Bool[np.ndarray, " n"],
) -> list[Refused]:
    found: list[Refused] = []
    refused = [reading.refused_documents for reading in readings]
    if set(refused[0]) != set(refused[1]):
        counts = " and ".join(f"'{name}' without {len(one):,}" for name, one in zip(names, refused, strict=True))
        why = f"Each ranks other candidates: {counts} of {readings[0].about.n_documents:,} that it could not embed."
        found.append(Refused(what="rankings", why=why))
    elif not (total := readings[0].about.n_documents):
        found.append(
            Refused(what="rankings", why="No right document is known or could be read, so there is nothing to rank.")
        )
    elif (known := total - len(refused[0])) < LEAST_RANKED:
        why = f"Both could embed {known:,} of {total:,} candidates, and a ranking is of {LEAST_RANKED} or more."
        found.append(Refused(what="rankings", why=why))
    n = len(common)
    if n < LEAST_PAIRS:
        found.append(Refused(what="differences", why="One sample has no spread; metrics are compared over 2 or more."))
    else:
        found += [Refused(what=metric, why=why) for metric, why in untold(*scores).items()]
    if n < LEAST:
        why = f"Likeness of spaces is defined for {LEAST} samples or more, and both could read {n}."
        found.append(Refused(what="embeddings and thoughts", why=why))
    bare = [name for name, reading in zip(names, readings, strict=True) if not reading.info.n_think]
    if bare:
        told = " and ".join(f"'{name}'" for name in bare)
        have = "has" if len(bare) == 1 else "have"
        found.append(
            Refused(what="thoughts", why=f"{told} {have} no think tokens, so no states of thoughts can be compared.")
        )
    for mine, yours in ((0, 1), (1, 0)):
        for metric, why in scores[mine].undefined.items():
            if metric in scores[yours].values:
                found.append(Refused(what=metric, why=why))
    if why := _unlike_texts(scores, names):
        found.append(Refused(what="decoded thoughts", why=why))
    if apart.any():
        why = (
            f"The images of {int(apart.sum()):,} of {n:,} samples are cut into other patches, so their attention maps are "
            "not laid over each other."
        )
        found.append(Refused(what="attention maps", why=why))
    return found


def _unlike_texts(scores: tuple[Scores, Scores], names: tuple[str, str]) -> str:
    """Why the words of decoded thoughts may not be set against each other; empty when they may."""
    silent = [name for name, one in zip(names, scores, strict=True) if one.writes == "nothing"]
    if silent:
        told = " and ".join(f"'{name}'" for name in silent)
        return f"{told} {'writes' if len(silent) == 1 else 'write'} no text, so there is no diff of words."
    if scores[0].writes == scores[1].writes:
        return ""
    one, other = (
        f"'{name}' writes {'its reasoning' if one.writes == 'reasoning' else 'the words of the document to be found'}"
        for name, one in zip(names, scores, strict=True)
    )
    return f"{one} and {other}; such texts differ in nearly every word, which would mean nothing."


def _other_grids(readings: Two, common: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    return np.array([bool(apart_by_grids(readings, int(row))) for row in common])


def apart_by_grids(readings: Two, row: int) -> str:
    """Why the maps of a row may not lie over each other; empty when they may."""
    shapes = [[(g.frames, g.rows, g.cols) for g in reading.rows[row].grids] for reading in readings]
    if shapes[0] == shapes[1]:
        return ""
    told = [", ".join(f"{rows} x {cols}" for _, rows, cols in one) or "none" for one in shapes]
    return (
        f"The two cut the image into other patches ({told[0]} and {told[1]}), so shares of attention on a patch cannot be "
        "compared, and the maps are not laid over each other."
    )


def _agree(scores: tuple[Scores, Scores], common: Int[np.ndarray, " n"]) -> tuple[Agreement, ...]:
    known = np.isfinite(scores[0].cosines[common]).all(axis=0)
    one, other = (side.cosines[common][:, known] for side in scores)
    m = one.shape[1]
    k = min(FIRST, m)
    best = [top_k(side, k) for side in (one, other)]
    figures = (
        (
            "same first",
            "Share of the queries for which both rank the same candidate first.",
            best[0][:, 0] == best[1][:, 0],
        ),
        (
            f"first {k} in common",
            f"Share of the first {k} candidates that are the same, in any order; {k / m:.2f} by chance.",
            overlap(best[0], best[1]),
        ),
        (
            "rank correlation",
            "Spearman's correlation of the two rankings of all candidates, 0 by chance. Most of it is about documents that "
            "neither would show.",
            spearman(one, other),
        ),
    )
    return tuple(
        Agreement(name=name, about=about, value=estimate(bootstrap_interval(np.asarray(values, np.float64), seed=SEED)))
        for name, about, values in figures
    )


def _changes(
    readings: Two, scores: tuple[Scores, Scores], common: Int[np.ndarray, " n"], *, ranked: bool
) -> tuple[Change, ...]:
    moved = np.full(len(common), np.nan)
    if len(common) >= LEAST:
        k = n_neighbours(len(common))
        near = [unit_neighbours(reading.embeddings()[common], k) for reading in readings]
        moved = 1 - overlap(near[0], near[1])
    found = []
    for row, neighbours in zip(common.tolist(), moved.tolist(), strict=True):
        ranks = [int(side.ranks[row]) if ranked and side.ranks[row] != UNKNOWN else None for side in scores]
        thoughts = [reading.rows[row].thought for reading in readings]
        words = None
        if thoughts[0] is not None and thoughts[1] is not None and scores[0].writes == scores[1].writes:
            words = changed_words(thoughts[0].text, thoughts[1].text)
        found.append(
            Change(
                sample=row,
                rank_reference=ranks[0],
                rank_other=ranks[1],
                words=words,
                neighbours=neighbours if np.isfinite(neighbours) else None,
            )
        )
    return tuple(found)
