"""From finished runs to what can be said: mean and range over seeds, and which cells are told apart from the base."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.ablation.cells import BASE, CONTROL, GROUPS, Cell, Group, all_cells, members
from workbench.ablation.running import Result
from workbench.ablation.spread import LEAST, RULE, Spread, all_on_one_side, luck, side

MEASURES: Mapping[str, tuple[str, bool]] = {
    "thought_exact": ("thought right", True),
    "answer_exact": ("answer right", True),
    "hit_at_1": ("Hit@1", True),
    "swapped_thought_exact": ("control: swapped thought", True),
    "thought_worth": ("thought right less control", True),
    "text": ("text loss, nats per token", False),
    "contrastive": ("contrastive loss, nats", False),
}
"""What is told of a run, in words, and whether more is better."""
COMPARED = ("thought_worth", "hit_at_1", "text", "contrastive")
"""Of what a thought tells only what the swapped one does not: a text that reads the query is often right without any thought."""
LOSSES = ("text", "contrastive")
HALF = "half the steps for each loss"
"""What stands beside a sequential cell, which has less training than the base besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cell."""

    cell: Cell
    measures: Mapping[str, Spread]
    """Over the seeds that are finished; without those that are not defined for it."""
    differences: Mapping[str, Spread]
    """Cell minus base, seed by seed, over the seeds that both have finished. Of the base none."""
    base: Mapping[str, Spread]
    """The base's own measures that this cell can be held against. Of the base none."""
    seconds: float | None
    """Median of the runs whose whole time is known."""

    def side(self, name: str) -> int | None:
        """1 or -1 where the cell is told to lie above or below the base, else 0; None where seeds are lacking, or the measure."""
        found, base = self.measures.get(name), self.base.get(name)
        return None if found is None or base is None else side(found, base)


def rows_of(results: Sequence[Result], cells: Sequence[Cell]) -> list[Row]:
    """One row for each cell that has a finished run, in the order given."""
    of: dict[str, dict[int, Result]] = {}
    for result in results:
        of.setdefault(result.cell, {})[result.seed] = result
    base = of.get(BASE.name, {})
    return [_row(cell, of[cell.name], base) for cell in cells if cell.name in of]


def _row(cell: Cell, runs: Mapping[int, Result], base: Mapping[int, Result]) -> Row:
    measures: dict[str, Spread] = {}
    differences: dict[str, Spread] = {}
    against: dict[str, Spread] = {}
    for name in MEASURES:
        values, others = _values(runs, name), _values(base, name)
        if values:
            measures[name] = Spread.of(list(values.values()))
        if cell == BASE or not values or not others:
            continue
        against[name] = Spread.of(list(others.values()))
        both = [value - others[seed] for seed, value in values.items() if seed in others]
        if both:
            differences[name] = Spread.of(both)
    known = [run.seconds for run in runs.values() if run.seconds is not None]
    return Row(
        cell=cell,
        measures=measures,
        differences=differences,
        base=against,
        seconds=statistics.median(known) if known else None,
    )


def _values(runs: Mapping[int, Result], name: str) -> dict[int, float]:
    return {seed: value for seed, run in runs.items() if (value := getattr(run, name)) is not None}


def sentences(results: Sequence[Result]) -> list[str]:
    """What the runs show, group by group: which cells are told apart from the base, by which rule, and how far that goes."""
    base = rows_of(results, (BASE,))
    n_base = base[0].measures["hit_at_1"].n if base else 0
    if n_base < LEAST:
        seeds = f"{n_base} seed{'' if n_base == 1 else 's'}"
        return [f"Nothing is called better or worse yet: the base has {seeds}, and it takes {LEAST}."]
    said = []
    for group in GROUPS:
        rows = [row for row in rows_of(results, members(group)) if row.base]
        said += [_sentence(group, name, rows) for name in COMPARED if rows]
        if any(row.cell.dependency == "sequential" for row in rows):
            said.append(
                f"{group.capitalize()}, sequential cells: half of the steps are for the text and the others, with what is left "
                "of the learning rate, for the contrastive loss; with shared and two_pass a single input row learns from it. "
                "So their differences are of less training, too."
            )
    return [*said, *_against_control(results), *_luck(results)]


def _sentence(group: Group, name: str, rows: Sequence[Row]) -> str:
    words, more = MEASURES[name]
    better = [row for row in rows if row.side(name) == (1 if more else -1)]
    worse = [row for row in rows if row.side(name) == (-1 if more else 1)]
    lacking = len([row for row in rows if row.side(name) is None])
    rest = len(rows) - len(better) - len(worse) - lacking
    counted = f"{rest} not told apart from it" + (f"; {lacking} with fewer than {LEAST} seeds" if lacking else "")
    said = f"{group.capitalize()}, {words}: better than the base: {_named(better, name)}; worse: {_named(worse, name)}; {counted}."
    if group == "decoder context" and name == "text":
        said += " A text that reads the query is easier to write: query-and-latents is measured so, both with the thoughts alone."
    return said


def _against_control(results: Sequence[Result]) -> list[str]:
    control = rows_of(results, (CONTROL,))
    if not control or not control[0].base:
        return []
    verbs = {1: "higher", -1: "lower", 0: "not told apart", None: f"fewer than {LEAST} seeds"}
    said = [
        f"Without thinking (no-think), {MEASURES[name][0]} against the base: {verbs[control[0].side(name)]}, "
        f"{difference(control[0], name)}."
        for name in ("hit_at_1", "contrastive")
    ]
    if control[0].side("hit_at_1") in (0, 1):
        said[0] += (
            " Nothing shows that finding the document needs thinking here, so Hit@1 says little of how a cell thinks."
        )
    return said


def comparisons(results: Sequence[Result]) -> list[float]:
    """For each comparison of a cell with the base that has the seeds it takes: how often luck alone would tell a difference."""
    rows = rows_of(results, all_cells())
    made = [(row, name) for row in rows for name in COMPARED if row.side(name) is not None]
    return [luck(row.measures[name].n, row.base[name].n) for row, name in made]


def _luck(results: Sequence[Result]) -> list[str]:
    found = comparisons(results)
    if not found:
        return []
    return [
        f"How far to trust this: a cell is called better or worse than the base where {RULE}. Were no cell any different, about "
        f"{sum(found):.1f} of these {len(found)} comparisons would be called so by luck ({luck(LEAST, LEAST):.1%} of those of {LEAST} "
        f"seeds with {LEAST}; that all seeds lie on one side would happen in {all_on_one_side(LEAST, LEAST):.0%})."
    ]


def _named(rows: Sequence[Row], name: str) -> str:
    if not rows:
        return "none"
    ordered = sorted(rows, key=lambda row: -abs(row.measures[name].mean - row.base[name].mean))
    return ", ".join(f"`{row.cell.name}` ({_told(row, name)})" for row in ordered)


def _told(row: Row, name: str) -> str:
    said = difference(row, name)
    return f"{said}; {HALF}" if row.cell.dependency == "sequential" else said


def difference(row: Row, name: str) -> str:
    """Mean less that of the base, and the ranges over seeds of both: shares in points and per cent, losses as they are."""
    found, base = row.measures[name], row.base[name]
    by = found.mean - base.mean
    if name in LOSSES:
        return f"{by:+.3f}: {found.low:.3f} to {found.high:.3f} against {base.low:.3f} to {base.high:.3f}"
    return f"{by * 100:+.1f} points: {found.low:.1%} to {found.high:.1%} against {base.low:.1%} to {base.high:.1%}"


def value(found: Spread, name: str) -> str:
    """A mean with its range over seeds."""
    if name in LOSSES:
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
            "told_apart": {name: row.side(name) for name in COMPARED if name in row.base},
            "median_seconds": row.seconds,
        }
        for row in rows_of(results, cells)
    ]
