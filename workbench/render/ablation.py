"""The ablation as terminal table and as the block of its page."""

from collections.abc import Sequence

from workbench.ablation.cells import CONTROL, GROUPS, Cell, all_cells, members
from workbench.ablation.running import Result, Scale
from workbench.ablation.summary import MEASURES, Row, rows_of, sentences, value

BLOCK = "ablation"
"""Of the page."""
HEAD = ("cell", *(words for words, _ in MEASURES.values()), "seeds", "seconds per run")
NONE = "No run is finished yet."


def cells_text(results: Sequence[Result], cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """One row for each cell that has a finished run."""
    return [_texts(row) for row in rows_of(results, cells)]


def _texts(row: Row) -> tuple[str, ...]:
    shown = [value(row.measures[name], name) if name in row.measures else "-" for name in MEASURES]
    seeds = row.measures["hit_at_1"].n
    return row.cell.name, *shown, str(seeds), "-" if row.seconds is None else f"{row.seconds:.0f}"


def block(results: Sequence[Result], scale: Scale, command: str) -> str:
    """What stands between the marks of the page: how it was made, a table for each group, and what it shows."""
    if not results:
        return NONE
    few, many = scale.fewest, scale.most
    scenes = f"{few} to {many} objects" if few < many else f"{few} object{'s' * (few > 1)}"
    done, n_seeds = {result.cell for result in results}, len({result.seed for result in results})
    made = (
        f"`{command}`: {len(results)} finished runs of {len(done)} of {len(all_cells())} cells, up to {n_seeds} seeds each. "
        f"{scale.steps:,} steps of {scale.batch} queries on {scale.rows:,} rows, scenes of {scenes}, one vision tower of "
        f"{scale.tower_steps:,} warm-up steps for all runs; {scale.test:,} unseen samples against "
        f"{max(result.n_candidates for result in results):,} candidates. Mean over seeds, lowest and highest in brackets."
    )
    parts = [made]
    for group in GROUPS:
        cells = members(group)
        rows = cells_text(results, cells if group != "think tokens" else (*cells, CONTROL))
        if rows:
            table = "\n".join("| " + " | ".join(row) + " |" for row in (HEAD, tuple("---" for _ in HEAD), *rows))
            parts += [f"### {group.capitalize()}", table]
    parts += ["### What it shows", "\n".join(f"- {sentence}" for sentence in sentences(results))]
    return "\n\n".join(parts)
