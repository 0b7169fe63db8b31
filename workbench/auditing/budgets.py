"""How many thoughts are needed: Hit@1 against k, and a policy that stops when further thoughts change nothing."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench.audit import Budget, Policy
from workbench.auditing.figures import estimates
from workbench.auditing.measuring import truncations
from workbench.auditing.parts import Measured
from workbench.auditing.planned import Planned, places
from workbench.comparison import Estimate

TOLERANCES = (0.0, 0.01, 0.02, 0.05)
LOSS = 0.01
"""Hit@1 that counts as nothing lost, where the curve is called saturated."""
LEAST = 20
"""Ranked samples below which nothing is fitted."""


def curve(
    measured: Measured, planned: Sequence[Planned], seed: int, rows: Bool[np.ndarray, " rows"] | None = None
) -> tuple[Estimate, ...]:
    """Hit@1 with the first 0 ... K thoughts; empty where nothing is ranked."""
    hits, _ = _hits(measured, planned, rows)
    return tuple(estimates({str(k): hits[:, k] for k in range(hits.shape[1])}, seed).values())


def find_budget(measured: Measured, planned: Sequence[Planned], seed: int) -> Budget | None:
    """The curve, where it saturates, and the adaptive policies; None where nothing is ranked."""
    hits, agree = _hits(measured, planned, None)
    if not len(hits):
        return None
    n_think = hits.shape[1] - 1
    changes = estimates({str(k): hits[:, k] - hits[:, -1] for k in range(n_think)}, seed)
    enough = next((k for k in range(n_think) if changes[str(k)].low >= -LOSS), None)
    policies = tuple(fit_policy(hits, agree, tolerance, seed) for tolerance in TOLERANCES) if len(hits) >= LEAST else ()
    return Budget(hit_at_1=curve(measured, planned, seed), enough=enough, policies=policies)


def fit_policy(
    hits: Float[np.ndarray, "rows steps"], agree: Float[np.ndarray, "rows think"], tolerance: float, seed: int
) -> Policy:
    """The most thrifty threshold whose loss on one half stays within the tolerance, measured on the other; both ways.

    Args:
        hits: whether the right candidate ranks first with the first 0 ... K thoughts.
        agree: cosine of the embedding from k thoughts with that from k + 1.
        tolerance: Hit@1 that may be lost where the threshold is chosen.
        seed: of halves and intervals.
    """
    order = np.random.default_rng([seed, 3]).permutation(len(hits))
    halves = (order[::2], order[1::2])
    taken = np.zeros(len(hits), dtype=np.int64)
    chosen = []
    for fit, test in (halves, halves[::-1]):
        threshold = _thriftiest(hits[fit], agree[fit], tolerance)
        chosen.append(threshold)
        taken[test] = stops(agree[test], threshold)
    got = hits[np.arange(len(hits)), taken]
    found = estimates({"hit": got, "change": got - hits[:, -1], "thoughts": taken.astype(float)}, seed)
    return Policy(
        tolerance=tolerance,
        thresholds=tuple(chosen),
        hit_at_1=found["hit"],
        hit_change=found["change"],
        thoughts=found["thoughts"],
    )


def stops(agree: Float[np.ndarray, "rows think"], threshold: float) -> Int[np.ndarray, " rows"]:
    """Thoughts taken: k + 1 at the first k whose embedding agrees with the next to at least the threshold, else all K.

    To see that k + 1 thoughts change nothing they have to be thought, so that one is counted.
    """
    n_think = agree.shape[1]
    enough = agree >= threshold
    return np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, n_think)


def _thriftiest(hits: np.ndarray, agree: np.ndarray, tolerance: float) -> float:
    best, fewest = np.inf, float(agree.shape[1])
    for threshold in np.unique(np.quantile(agree, np.linspace(0, 1, 51))):
        taken = stops(agree, threshold)
        loss = hits[:, -1].mean() - hits[np.arange(len(hits)), taken].mean()
        if loss <= tolerance and taken.mean() < fewest:
            best, fewest = float(threshold), float(taken.mean())
    # Above every cosine: it never stops.
    return best if np.isfinite(best) else 2.0


def _hits(
    measured: Measured, planned: Sequence[Planned], rows: np.ndarray | None
) -> tuple[Float[np.ndarray, "rows steps"], Float[np.ndarray, "rows think"]]:
    known = places(planned)
    columns = [known[name] for name in truncations(measured.agree.shape[1])]
    chosen = measured.rank[:, 0] > 0 if rows is None else rows & (measured.rank[:, 0] > 0)
    return (measured.rank[chosen][:, columns] == 1).astype(np.float64), measured.agree[chosen].astype(np.float64)
