"""From what was measured on every sample to figures with paired bootstrap intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from workbench.audit import EditFigures
from workbench.auditing.parts import Measured
from workbench.auditing.planned import Planned, places
from workbench.auditing.texts import WRITTEN
from workbench.comparison import Estimate
from workbench.stats import column_intervals, ndcg_of_rank

SCALE = ("mean.all", "swap-random.all", "swap-nearest.all", "swap-image.all", "hide.all", "zero.all", "noise.all")


def estimates(columns: Mapping[str, Float[np.ndarray, " rows"]], seed: int) -> dict[str, Estimate]:
    """Means with 95% intervals of those columns that have a value."""
    if not columns:
        return {}
    found = column_intervals(np.stack(list(columns.values()), axis=1), seed=seed)
    return {
        name: Estimate(value=one.value, low=one.low, high=one.high, n=one.n)
        for name, one in zip(columns, found, strict=True)
        if one is not None
    }


def edit_figures(measured: Measured, planned: Sequence[Planned], seed: int) -> tuple[EditFigures, ...]:
    """What each edit does."""
    at_written = {places(planned)[name]: place for place, name in enumerate(WRITTEN)}
    columns: dict[str, np.ndarray] = {}
    for column, one in enumerate(planned):
        found = _ranking(measured, column)
        if one.kind.startswith("swap") or one.kind == "patch":
            found["toward"] = measured.toward[:, column]
        found["log_probability_change"] = measured.own[:, column] - measured.own[:, 0]
        found["text_kept"] = measured.kept[:, column]
        if one.kind in ("swap-random", "patch"):
            follows = measured.other[:, column] - measured.own[:, column]
            found["follows"] = np.where(np.isfinite(follows), follows > 0, np.nan)
        if (place := at_written.get(column)) is not None:
            found["words_changed"], found["fluency"] = measured.words[:, place], measured.fluency[:, place]
        columns |= {f"{column} {name}": values for name, values in found.items()}
    told = estimates(columns, seed)
    return tuple(
        EditFigures(
            name=one.name,
            kind=one.kind,
            thought=None if one.thought is None else one.thought + 1,
            layer=one.layer,
            about=one.about,
            measures={name.split(" ")[1]: value for name, value in told.items() if int(name.split(" ")[0]) == column},
        )
        for column, one in enumerate(planned)
    )


def _ranking(measured: Measured, column: int) -> dict[str, np.ndarray]:
    rank, before = measured.rank[:, column], measured.rank[:, 0]
    known = (rank > 0) & (before > 0)

    def where(values: np.ndarray) -> np.ndarray:
        return np.where(known, values, np.nan)

    found = {
        "hit_at_1": where(rank == 1),
        "rank": where(rank),
        "embedding_change": 1 - measured.cosine[:, column],
    }
    if column:
        found |= {
            "hit_change": where((rank == 1).astype(float) - (before == 1)),
            "ndcg_change": where(ndcg_of_rank(rank) - ndcg_of_rank(before)),
            "rank_change": where((rank - before).astype(float)),
            "rank_moved": where(rank != before),
            "margin_change": measured.margin[:, column] - measured.margin[:, 0],
        }
    return found


def whole_figures(measured: Measured, planned: Sequence[Planned], n_candidates: int, seed: int) -> dict[str, Estimate]:
    """Figures that are of no single edit."""
    known = measured.rank[:, 0] > 0
    base = np.where(known, ndcg_of_rank(measured.rank[:, 0]), np.nan)
    columns = {"hit_at_1": np.where(known, measured.rank[:, 0] == 1, np.nan), "ndcg_at_10": base}
    at, own = places(planned), measured.own
    columns["own_log_probability"] = own[:, 0]
    columns["thought_dependence"] = own[:, 0] - own[:, at["swap-random.all"]]
    columns["image_dependence"] = own[:, 0] - own[:, at["swap-image.all"]]
    columns["text_specificity"] = own[:, 0] - measured.other[:, 0]
    for name, ranks in (("bm25", measured.bm25), ("text", measured.alone)):
        asked = ("query", "thought", "both")[: ranks.shape[1]]
        hits = np.where(ranks > 0, ranks == 1, np.nan)
        columns |= {f"{name}_{what}": hits[:, place] for place, what in enumerate(asked)}
        columns[f"{name}_gain"] = hits[:, -1] - hits[:, 0]
    columns |= _round_trip(measured, places(planned)["hide.all"])
    found = estimates(columns, seed)
    if known.any():
        chance = chance_hit(n_candidates)
        found["chance_hit_at_1"] = Estimate(value=chance, low=chance, high=chance, n=int(known.sum()))
    return found


def _round_trip(measured: Measured, hidden: int) -> dict[str, np.ndarray]:
    """What the decoded text does as words of the query, beside what the thoughts do and what nothing does."""
    ranks = measured.spoken_rank
    hits = np.where(ranks > 0, ranks == 1, np.nan)
    before, without = (
        np.where(rank > 0, rank == 1, np.nan) for rank in (measured.rank[:, 0], measured.rank[:, hidden])
    )
    return {
        "round_trip_hit_at_1": hits[:, 0],
        "round_trip_agrees": measured.spoken_agrees[:, 0],
        "round_trip_change": hits[:, 0] - before,
        "round_trip_gain": hits[:, 0] - without,
        "round_trip_other_agrees": measured.spoken_agrees[:, 1],
        "round_trip_other_change": hits[:, 1] - before,
    }


def chance_hit(n: int) -> float:
    """Hit@1 of n candidates in random order."""
    return 1 / n if n else 0.0


def shares(
    measured: Measured,
    planned: Sequence[Planned],
    n_candidates: int,
    seed: int,
    rows: Bool[np.ndarray, " rows"] | None = None,
) -> dict[str, Estimate]:
    """By edit, the share of the Hit@1 above chance that it costs: 0 nothing, 1 all; below 0 where it helps.

    Hit@1 and not nDCG, because among few candidates a wrong order has a high nDCG too. The interval is of the loss; what it is
    a share of is taken as it is.
    """
    chosen = measured.rank[:, 0] > 0 if rows is None else rows & (measured.rank[:, 0] > 0)
    hits = (measured.rank[chosen] == 1).astype(np.float64)
    above = hits[:, 0].mean() - chance_hit(n_candidates) if chosen.any() else 0.0
    if above <= 0:
        return {}
    columns = {
        one.name: np.where(measured.rank[chosen, column] > 0, (hits[:, 0] - hits[:, column]) / above, np.nan)
        for column, one in enumerate(planned)
        if column
    }
    return estimates(columns, seed)
