"""From finished runs to what can be said: mean and spread over seeds, and the difference to the base seed by seed."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.ablation.cells import BASE, CONTROL, GROUPS, Cell, members
from workbench.ablation.running import Result

MEASURES: Mapping[str, tuple[str, bool]] = {
    "thought_exact": ("thought right", True),
    "answer_exact": ("answer right", True),
    "hit_at_1": ("Hit@1", True),
    "swapped_thought_exact": ("control: swapped thought", True),
    "text": ("text loss, nats per token", False),
    "contrastive": ("contrastive loss, nats", False),
}
"""What is told of a run, in words, and whether more is better."""
COMPARED = ("thought_exact", "hit_at_1", "text", "contrastive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A measure over seeds."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cell."""

    cell: Cell
    measures: Mapping[str, Spread]
    """Over the seeds that are finished; without those that are not defined for it."""
    differences: Mapping[str, Spread]
    """Cell minus base, seed by seed, over the seeds that both have finished. Of the base none."""
    seconds: float
    """Median of a run."""

    def stands_apart(self, name: str) -> int:
        """1 or -1 where each of two seeds or more differs from the base in that direction, else 0.

        Of cells that do not differ at all a quarter would do so by luck with three seeds.
        """
        found = self.differences.get(name)
        if found is None or found.n < 2 or found.low * found.high <= 0:
            return 0
        return 1 if found.low > 0 else -1


def rows_of(results: Sequence[Result], cells: Sequence[Cell]) -> list[Row]:
    """One row for each cell that has a finished run, in the order given."""
    of: dict[str, dict[int, Result]] = {}
    for result in results:
        of.setdefault(result.cell, {})[result.seed] = result
    base = of.get(BASE.name, {})
    rows = []
    for cell in cells:
        runs = of.get(cell.name)
        if not runs:
            continue
        measures, differences = {}, {}
        for name in MEASURES:
            values = {seed: value for seed, run in runs.items() if (value := getattr(run, name)) is not None}
            if values:
                measures[name] = _spread(list(values.values()))
            both = [
                value - other
                for seed, value in values.items()
                if seed in base and (other := getattr(base[seed], name)) is not None
            ]
            if both and cell != BASE:
                differences[name] = _spread(both)
        rows.append(
            Row(
                cell=cell,
                measures=measures,
                differences=differences,
                seconds=statistics.median(run.seconds for run in runs.values()),
            )
        )
    return rows


def sentences(results: Sequence[Result]) -> list[str]:
    """What the runs show, group by group: which cells differ from the base in every seed, and which do not."""
    said = []
    for group in GROUPS:
        rows = [row for row in rows_of(results, members(group)) if row.cell != BASE and row.differences]
        if not rows:
            continue
        for name in COMPARED:
            words, more = MEASURES[name]
            apart = [row for row in rows if row.stands_apart(name)]
            better = [row for row in apart if (row.stands_apart(name) > 0) == more]
            worse = [row for row in apart if row not in better]
            rest = len([row for row in rows if name in row.differences]) - len(apart)
            said.append(
                f"{group.capitalize()}, {words}: better than the base in every seed: {_named(better, name)}; worse in every "
                f"seed: {_named(worse, name)}; {rest} not told apart from it."
            )
    said += _against_control(results)
    return said


def _against_control(results: Sequence[Result]) -> list[str]:
    control = rows_of(results, (CONTROL,))
    if not control or "hit_at_1" not in control[0].differences:
        return []
    found = control[0].differences["hit_at_1"]
    verb = (
        "less" if control[0].stands_apart("hit_at_1") < 0 else "more" if control[0].stands_apart("hit_at_1") > 0 else ""
    )
    what = f"in every seed {verb}" if verb else "not told apart"
    return [
        f"Without thinking (no-think), Hit@1 against the base: {what}, {found.mean * 100:+.1f} points ({found.low * 100:+.1f} to "
        f"{found.high * 100:+.1f})."
    ]


def _named(rows: Sequence[Row], name: str) -> str:
    if not rows:
        return "none"
    ordered = sorted(rows, key=lambda row: -abs(row.differences[name].mean))
    return ", ".join(f"`{row.cell.name}` ({difference(row.differences[name], name)})" for row in ordered)


def difference(found: Spread, name: str) -> str:
    """A mean difference with its range over seeds: shares in points, losses as they are."""
    if name in ("text", "contrastive"):
        return f"{found.mean:+.3f}, {found.low:+.3f} to {found.high:+.3f}"
    return f"{found.mean * 100:+.1f}, {found.low * 100:+.1f} to {found.high * 100:+.1f} points"


def value(found: Spread, name: str) -> str:
    """A mean with its range over seeds."""
    if name in ("text", "contrastive"):
        return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"
    return f"{found.mean:.1%} ({found.low:.1%} to {found.high:.1%})"


def summary_json(results: Sequence[Result], cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Every row as JSON values."""

    def spread(found: Spread) -> dict[str, Any]:
        return {"mean": found.mean, "low": found.low, "high": found.high, "seeds": found.n}

    return [
        {
            "cell": row.cell.name,
            "extraction": row.cell.extraction,
            "dependency": row.cell.dependency,
            "contexts": list(row.cell.contexts),
            "think_tokens": row.cell.think,
            "measures": {name: spread(found) for name, found in row.measures.items()},
            "minus_base": {name: spread(found) for name, found in row.differences.items()},
            "median_seconds": row.seconds,
        }
        for row in rows_of(results, cells)
    ]


def _spread(values: Sequence[float]) -> Spread:
    return Spread(mean=statistics.fmean(values), low=min(values), high=max(values), n=len(values))
