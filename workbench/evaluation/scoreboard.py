"""Every attribution method where the evidence is known: where maps lie, and whether targets follow them.

All targets of a sample are attributed together, and all methods share the passes that fill cells: a pass gives every
target, and a set of cells that several maps agree on runs once.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from workbench.attribution import CONVERGED, AttributionProbe, held_text, methods
from workbench.embedder import Differentiable, Embedder, Filling, Level
from workbench.errors import BadInput, UnknownName, Unsupported
from workbench.evaluation.known_maps import KINDS, KnownSample
from workbench.localising import pointing_game, relevance_mass, touched
from workbench.perturbation import (
    SHARES,
    Curves,
    centre_map,
    count_at,
    order_of,
    random_orders,
    trace_curves,
    values_filled,
)
from workbench.probe import missing
from workbench.stages import quiet
from workbench.stats import Interval, area_under, bootstrap_interval
from workbench.types import Provenance

SCORES = ("pointing_game", "relevance_mass", "insertion", "deletion")
_BY_HINGING = ("pointing_if_hinging", "pointing_if_not")
RANDOM, CENTRE = "random maps", "centre map"
FILLINGS: tuple[Filling, ...] = ("blur", "mean")
N_RANDOM = 5
LEAST_DROP = 0.1
"""A fill that lowers a target by less (probability, cosine; or this part of a projection) cannot tell maps apart."""
BOOTSTRAP_SEED = 0
ALIKE = 0.01
"""Mean scores that lie closer than this do not decide between methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """How one method does for one kind of target. Scores are means over samples with 95% bootstrap intervals."""

    method: str
    target: str
    scores: Mapping[str, Interval | None]
    """By the names in `SCORES`; None where no sample could be scored."""
    by_hinging: tuple[Interval | None, Interval | None] = (None, None)
    """Pointing game of the targets that hinge on their evidence (`Board.hinging`), and of the others."""
    seconds_per_map: float
    """Time to attribute a sample's targets together, over how many they are."""

    @property
    def overall(self) -> float:
        """Mean of the scores, deletion turned round; what the board is ranked by."""
        known = {name: found.value for name, found in self.scores.items() if found is not None}
        return float(np.mean([1 - value if name == "deletion" else value for name, value in known.items()]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The ranking, target by target, and what it rests on."""

    rows: tuple[BoardRow, ...]
    """By target, best first."""
    controls: tuple[BoardRow, ...]
    """Random maps and a map of the image's centre, under the same scores."""
    data: str
    """What the samples are."""
    n: int
    """Samples that were looked at."""
    used: Mapping[str, int]
    """Samples that had a target of each kind."""
    hinging: Mapping[str, float]
    """Of the targets of each kind, the share that loses half its value or more when the evidence alone is filled with the mean
    colour. Of the others it is not sure that the model uses the evidence, so a map that points elsewhere may be right."""
    converged: Mapping[str, float]
    """Of each method whose relevances should sum to what they explain: the share of its maps whose completeness gap is small."""
    remarks: tuple[str, ...]
    provenance: Provenance

    @property
    def default(self) -> str | None:
        """The method to use: the best one, or of those within `ALIKE` of it the one that most often converges."""
        standings = self.standings
        alike = [
            (self.converged.get(name, 0.0), score, name) for name, score in standings if score > standings[0][1] - ALIKE
        ]
        return max(alike)[2] if alike else None

    @property
    def standings(self) -> tuple[tuple[str, float], ...]:
        """Methods that were scored for every kind of target, by their mean over words and embedding, best first."""
        counted = {row.target for row in self.rows} & {"words", "embedding"} or {row.target for row in self.rows}
        held: dict[str, list[float]] = defaultdict(list)
        for row in self.rows:
            if row.target in counted:
                held[row.method].append(row.overall)
        full = [(method, float(np.mean(values))) for method, values in held.items() if len(values) == len(counted)]
        return tuple(sorted(full, key=lambda pair: (-pair[1], pair[0])))


def choose_methods(names: Sequence[str] | None) -> dict[str, AttributionProbe]:
    """Methods by name with their default settings, all of them for None. Raises UnknownName or BadInput."""
    known = methods()
    if names is None:
        return {name: probe() for name, probe in known.items()}
    if not names:
        raise BadInput(f"No method was named; known: {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise UnknownName("attribution method", name, known)
    return {name: known[name]() for name in dict.fromkeys(names)}


def score_maps(
    model: Embedder,
    chosen: Mapping[str, AttributionProbe],
    *,
    known: Iterable[KnownSample],
    n: int,
    data: str,
    progress: Callable[[float, str], None] = quiet,
) -> Board:
    """Score methods on samples with targets of known evidence.

    Args:
        model: gives the objectives.
        chosen: methods by name.
        known: `known_maps.known_samples` (Shapes) or `planted_evidence.planted_samples`.
        n: how many samples there are at most.
        data: what they are, for the record.
        progress: told the share done, and may raise to stop.

    Insertion and deletion are areas under curves over 0, 5, 10, 20, 50 and 100% of the cells, as a share of what the fill
    takes from the target: 1 is the whole image, 0 the filled one, and beyond them counts as 1 and 0. Cells are filled with
    the blurred image and with its mean colour; a target gets its mean over the fills that lower it by `LEAST_DROP` or more.
    Equal arguments give equal scores. Raises Unsupported when the model has no gradients, or when no sample has a target
    of known evidence.
    """
    if not isinstance(model, Differentiable):
        raise Unsupported(f"'{model.info.name}' cannot be attributed: it gives no gradients.")
    tally = _Tally()
    able, remarks = _able(model, chosen)
    remarks += held_text(model.info)
    looked_at = 0
    for number, sample in enumerate(known):
        looked_at += 1
        progress(number / n, f"sample {number + 1} of {n}")
        for kind in set(sample.kinds):
            tally.used[kind] += 1
        if sample.targets:
            _score_sample(model, able, sample, number, tally)
    progress(1.0, "done")
    if not tally.used:
        raise Unsupported(
            f"None of {looked_at} samples has a word, an answer or a thought that '{model.info.name}' gets right, so nothing is "
            "known to compare its maps with."
        )
    remarks += [f"{name} left out {count} samples: {reason}" for (name, reason), count in tally.refused.items()]
    return Board(
        rows=_rows(tally, chosen),
        controls=_rows(tally, (RANDOM, CENTRE)),
        data=data,
        n=looked_at,
        used={kind: tally.used[kind] for kind in KINDS},
        hinging={kind: float(np.mean(halved)) for kind, halved in tally.hinges.items()},
        converged={name: float(np.mean(gaps)) for name, gaps in tally.converged.items()},
        remarks=tuple(remarks),
        provenance=model.info.provenance,
    )


class _Tally:
    """What was measured, sample by sample."""

    def __init__(self) -> None:
        self.scores: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
        self.seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.used: dict[str, int] = defaultdict(int)
        self.hinges: dict[str, list[bool]] = defaultdict(list)
        self.converged: dict[str, list[bool]] = defaultdict(list)
        self.refused: dict[tuple[str, str], int] = defaultdict(int)


def _able(model: Embedder, chosen: Mapping[str, AttributionProbe]) -> tuple[dict[str, AttributionProbe], list[str]]:
    reasons = {name: missing(type(method), model) for name, method in chosen.items()}
    remarks = [f"{name} was left out: {reason}" for name, reason in reasons.items() if reason]
    return {name: method for name, method in chosen.items() if not reasons[name]}, remarks


def _score_sample(
    model: Any,
    chosen: Mapping[str, AttributionProbe],
    sample: KnownSample,
    seed: int,
    tally: _Tally,
) -> None:
    maps = _attribute(model, chosen, sample, tally)
    objective = model.objective(sample.encoded, sample.targets, level="pixels", context=sample.context)
    n_targets, n_cells = sample.truth.shape
    randoms = random_orders(N_RANDOM, n_cells, seed)
    # A random map as numbers: the order's ranks, so that its mass too is that of a map without sense.
    drawn = np.argsort(randoms, axis=1) / max(1, n_cells - 1)
    middle = centre_map(objective.grids)[None]
    stacked = [*maps.values(), 1 - drawn, middle]
    orders = np.concatenate([order_of(relevance, seed) for relevance in stacked])
    counts = np.unique([0, *(count_at(share, n_cells) for share in SHARES), n_cells])
    by_fill = [trace_curves(objective, orders, counts, filling) for filling in FILLINGS]
    areas = {name: _mean_known([_normalised(curves, name) for curves in by_fill]) for name in ("insertion", "deletion")}
    hinges = _note_hinges(tally, sample, objective, by_fill[-1].full)
    for place, (name, relevance) in enumerate(maps.items()):
        own = np.arange(n_targets)
        faithful = {which: area[place * n_targets + own, own] for which, area in areas.items()}
        located = _located(relevance, sample.truth)
        by_hinging = dict(zip(_BY_HINGING, _parted(located["pointing_game"], hinges), strict=True))
        _note(tally, name, sample, {**located, **by_hinging, **faithful})
    at = len(maps) * n_targets
    for name, rows, relevance in ((RANDOM, slice(at, at + N_RANDOM), 1 - drawn), (CENTRE, slice(-1, None), middle)):
        located = [_located(np.broadcast_to(one, sample.truth.shape), sample.truth) for one in relevance]
        found = {key: np.mean([one[key] for one in located], axis=0) for key in located[0]}
        _note(tally, name, sample, {**found, **{which: area[rows].mean(axis=0) for which, area in areas.items()}})


def _attribute(
    model: Any, chosen: Mapping[str, AttributionProbe], sample: KnownSample, tally: _Tally
) -> dict[str, Float[np.ndarray, "targets cells"]]:
    opened: dict[Level, Any] = {}
    maps = {}
    for name, method in chosen.items():
        if method.level not in opened:
            opened[method.level] = model.objective(
                sample.encoded, sample.targets, level=method.level, context=sample.context
            )
        begin = time.perf_counter()
        try:
            found = method.attribute(opened[method.level])
        except Unsupported as error:
            tally.refused[name, str(error)] += 1
            continue
        seconds = (time.perf_counter() - begin) / len(sample.targets)
        relevance = found.relevance.astype(np.float64)
        if not np.isfinite(relevance).all():
            tally.refused[name, "its numbers were not finite."] += 1
            continue
        maps[name] = relevance
        if found.gap is not None:
            tally.converged[name] += (found.gap <= CONVERGED).tolist()
        for kind in set(sample.kinds):
            tally.seconds[name, kind].append(seconds)
    return maps


def _located(
    relevance: Float[np.ndarray, "targets cells"], truth: Float[np.ndarray, "targets cells"]
) -> dict[str, Float[np.ndarray, " targets"]]:
    return {"pointing_game": pointing_game(relevance, truth), "relevance_mass": relevance_mass(relevance, truth)}


def _normalised(curves: Curves, which: str) -> Float[np.ndarray, "orders targets"]:
    """Areas as a share of what the fill takes; NaN for targets that it hardly lowers.

    Points beyond the whole or the filled image count as those: where the fill takes little, a half-filled image can overshoot
    by many times of it, and a single such sample would decide a mean.
    """
    drop = curves.full - curves.empty
    least = LEAST_DROP * np.maximum(1, np.abs(curves.full))
    height = (getattr(curves, which) - curves.empty) / np.where(drop >= least, drop, np.nan)
    return area_under(np.moveaxis(np.clip(height, 0, 1), 1, -1), curves.counts)


def _mean_known(areas: list[Float[np.ndarray, "orders targets"]]) -> Float[np.ndarray, "orders targets"]:
    """Mean over the fills that could be used; NaN where none could."""
    stacked = np.stack(areas)
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, stacked, 0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _note_hinges(
    tally: "_Tally", sample: KnownSample, objective: Any, full: Float[np.ndarray, " targets"]
) -> Bool[np.ndarray, " targets"]:
    halved = np.diagonal(values_filled(objective, touched(sample.truth), "mean")) <= full / 2
    for kind, hinges in zip(sample.kinds, halved, strict=True):
        tally.hinges[kind].append(bool(hinges))
    return halved


def _parted(
    values: Float[np.ndarray, " targets"], chosen: Bool[np.ndarray, " targets"]
) -> tuple[Float[np.ndarray, " targets"], Float[np.ndarray, " targets"]]:
    """The chosen values and the others, each with NaN in the other's places."""
    return np.where(chosen, values, np.nan), np.where(chosen, np.nan, values)


def _note(tally: _Tally, method: str, sample: KnownSample, found: Mapping[str, Float[np.ndarray, " targets"]]) -> None:
    # Words of one image are no independent draws: a sample counts once, by the mean of its targets.
    kinds = np.array(sample.kinds)
    for kind in set(sample.kinds):
        held = {}
        for score, values in found.items():
            finite = values[kinds == kind]
            finite = finite[np.isfinite(finite)]
            held[score] = float(finite.mean()) if finite.size else float("nan")
        tally.scores[method, kind].append(held)


def _rows(tally: _Tally, names: Sequence[str] | Mapping[str, Any]) -> tuple[BoardRow, ...]:
    found = []
    for kind in KINDS:
        rows = [_row(tally, name, kind) for name in names if tally.scores.get((name, kind))]
        found += sorted(rows, key=lambda row: (-row.overall, row.method))
    return tuple(found)


def _row(tally: _Tally, name: str, kind: str) -> BoardRow:
    held, seconds = tally.scores[name, kind], tally.seconds.get((name, kind), [0.0])
    hinging, other = (_interval(held, score) for score in _BY_HINGING)
    return BoardRow(
        method=name,
        target=kind,
        scores={score: _interval(held, score) for score in SCORES},
        by_hinging=(hinging, other),
        seconds_per_map=float(np.mean(seconds)),
    )


def _interval(held: Sequence[Mapping[str, float]], score: str) -> Interval | None:
    values = np.array([one.get(score, np.nan) for one in held])
    values = values[np.isfinite(values)]
    return bootstrap_interval(values, seed=BOOTSTRAP_SEED) if values.size else None
