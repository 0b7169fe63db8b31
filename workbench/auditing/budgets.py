"""How many thoughts are needed: Hit@1 against k, and a policy that stops when further thoughts change nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench.audit import Budget, Policy, PolicyPoint
from workbench.auditing.figures import estimates
from workbench.auditing.fitting import LEAST, Fit
from workbench.auditing.parts import Measured
from workbench.auditing.planned import Planned, places, truncations
from workbench.comparison import Estimate

TOLERANCES = (0.0, 0.01, 0.02, 0.05)
LOSS = 0.01
"""Hit@1 that counts as nothing lost, where the curve is called saturated."""
_POINTS = 10
"""Thresholds of the curve of Hit@1 against thoughts taken, besides never stopping."""
_NEVER = 2.0
"""Above every cosine: it never stops."""
Hits = Float[np.ndarray, "rows steps"]
Agree = Float[np.ndarray, "rows think"]


def curve(
    measured: Measured, planned: Sequence[Planned], seed: int, rows: Bool[np.ndarray, " rows"] | None = None
) -> tuple[Estimate, ...]:
    """Hit@1 with the first 0 ... K thoughts; empty where nothing is ranked."""
    hits, _ = _hits(measured, planned, rows)
    return tuple(estimates({str(k): hits[:, k] for k in range(hits.shape[1])}, seed).values())


def find_budget(measured: Measured, planned: Sequence[Planned], fit: Fit | None, seed: int) -> Budget | None:
    """The curve, where it saturates, and the adaptive policies; None where nothing is ranked.

    Args:
        measured: of the audited rows.
        planned: the edits.
        fit: of the rows that thresholds are chosen on; None, or too few of them: each half of the audited rows for the other.
        seed: of halves and intervals.
    """
    hits, agree = _hits(measured, planned, None)
    if not len(hits):
        return None
    n_think = hits.shape[1] - 1
    changes = estimates({str(k): hits[:, k] - hits[:, -1] for k in range(n_think)}, seed)
    enough = next((k for k in range(n_think) if changes[str(k)].low >= -LOSS), None)
    folds = find_folds(hits, agree, fit, seed)
    return Budget(
        hit_at_1=curve(measured, planned, seed),
        enough=enough,
        fitted_on=fit.split if fit is not None and fit.is_enough else "",
        n_fitted=sum(len(one.fit_hits) for one in folds),
        policies=tuple(fit_policy(hits, agree, folds, tolerance, seed) for tolerance in TOLERANCES) if folds else (),
        points=_points(hits, agree, folds, seed),
    )


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows that a threshold is chosen on, and places of those that it is measured on."""

    fit_hits: Hits
    fit_agree: Agree
    test: Int[np.ndarray, " tested"]


def find_folds(hits: Hits, agree: Agree, fit: Fit | None, seed: int) -> tuple[Fold, ...]:
    """One fold with other rows to choose on, or two halves each for the other; none where there are too few rows."""
    if fit is not None and fit.is_enough:
        return (Fold(fit.hits, fit.agree, np.arange(len(hits))),)
    if len(hits) < LEAST:
        return ()
    order = np.random.default_rng([seed, 3]).permutation(len(hits))
    one, other = order[::2], order[1::2]
    return Fold(hits[one], agree[one], other), Fold(hits[other], agree[other], one)


def fit_policy(hits: Hits, agree: Agree, folds: Sequence[Fold], tolerance: float, seed: int) -> Policy:
    """The most thrifty threshold whose loss on the rows it is chosen on stays within the tolerance, measured on others.

    Args:
        hits: whether the right candidate ranks first with the first 0 ... K thoughts.
        agree: cosine of the embedding from k thoughts with that from k + 1.
        folds: which rows thresholds are chosen and measured on.
        tolerance: Hit@1 that may be lost where the threshold is chosen.
        seed: of intervals.
    """
    thresholds = [_thriftiest(fold.fit_hits, fold.fit_agree, tolerance) for fold in folds]
    found = _outcome(hits, agree, folds, thresholds, seed)
    return Policy(
        tolerance=tolerance,
        thresholds=tuple(thresholds),
        hit_at_1=found["hit"],
        hit_change=found["change"],
        thoughts=found["thoughts"],
    )


def _points(hits: Hits, agree: Agree, folds: Sequence[Fold], seed: int) -> tuple[PolicyPoint, ...]:
    """Hit@1 against thoughts taken, threshold by threshold; thresholds are quantiles of the agreement where they are chosen."""
    found = []
    for share in np.linspace(0, 1, _POINTS + 1) if folds else ():
        thresholds = [float(np.quantile(fold.fit_agree, share)) if share < 1 else _NEVER for fold in folds]
        one = _outcome(hits, agree, folds, thresholds, seed)
        found.append(PolicyPoint(quantile=round(float(share), 3), hit_at_1=one["hit"], thoughts=one["thoughts"]))
    return tuple(found)


def _outcome(
    hits: Hits, agree: Agree, folds: Sequence[Fold], thresholds: Sequence[float], seed: int
) -> dict[str, Estimate]:
    """What comes of stopping each fold's rows at its threshold."""
    taken = np.zeros(len(hits), dtype=np.int64)
    for fold, threshold in zip(folds, thresholds, strict=True):
        taken[fold.test] = stops(agree[fold.test], threshold)
    got = hits[np.arange(len(hits)), taken]
    return estimates({"hit": got, "change": got - hits[:, -1], "thoughts": taken.astype(float)}, seed)


def stops(agree: Agree, threshold: float) -> Int[np.ndarray, " rows"]:
    """Thoughts taken: k + 1 at the first k whose embedding agrees with the next to at least the threshold, else all K.

    To see that k + 1 thoughts change nothing they have to be thought, so that one is counted.
    """
    n_think = agree.shape[1]
    enough = agree >= threshold
    return np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, n_think)


def _thriftiest(hits: Hits, agree: Agree, tolerance: float) -> float:
    best, fewest = np.inf, float(agree.shape[1])
    for threshold in np.unique(np.quantile(agree, np.linspace(0, 1, 51))):
        taken = stops(agree, threshold)
        lost = (hits[:, -1] - hits[np.arange(len(hits)), taken]).sum()
        # Counted in rows: a difference of means may exceed the tolerance by its last bit alone.
        if lost <= tolerance * len(hits) + 1e-9 and taken.mean() < fewest:
            best, fewest = float(threshold), float(taken.mean())
    return best if np.isfinite(best) else _NEVER


def _hits(measured: Measured, planned: Sequence[Planned], rows: np.ndarray | None) -> tuple[Hits, Agree]:
    known = places(planned)
    columns = [known[name] for name in truncations(measured.agree.shape[1])]
    chosen = measured.rank[:, 0] > 0 if rows is None else rows & (measured.rank[:, 0] > 0)
    return (measured.rank[chosen][:, columns] == 1).astype(np.float64), measured.agree[chosen].astype(np.float64)
