"""What docs/ablation.md says of rule and training is what the code does."""

import statistics
from pathlib import Path

from workbench.ablation.cells import BASE, CONTROL, Cell, all_cells
from workbench.ablation.running import Result, Scale, settings_of
from workbench.ablation.spread import luck
from workbench.ablation.summary import comparisons
from workbench.recipes.loop import _rate
from workbench.recipes.parting import first_stage

PAGE = (Path(__file__).parents[2] / "docs" / "ablation.md").read_text(encoding="utf-8")


def test_the_page_says_how_little_a_sequential_cell_learns() -> None:
    nowhere = Path("none")
    config = settings_of(Cell(dependency="sequential"), 0, Scale(), nowhere, nowhere, nowhere)
    steps, first = config.optimiser.steps, first_stage(config)
    assert first == steps // 2
    rates = [_rate(step, steps, config.optimiser.warmup) for step in range(steps)]
    assert (
        f"over the default {steps} steps its mean is {statistics.fmean(rates):.0%} of the peak, in the second half "
        f"{statistics.fmean(rates[first:]):.0%}."
    ) in PAGE
    assert f"only the embed token's input row, {config.model.width} numbers, is left" in PAGE


def finished(cell: Cell, seed: int) -> Result:
    writes = None if cell == CONTROL else 0.5
    return Result(
        cell=cell.name,
        seed=seed,
        hit_at_1=0.5,
        thought_exact=writes,
        answer_exact=writes,
        swapped_thought_exact=writes,
        text=writes,
        contrastive=0.5,
        n_test=4,
        n_candidates=4,
        seconds=1.0,
    )


def test_the_page_says_how_many_comparisons_there_are_and_what_luck_does() -> None:
    made = comparisons([finished(cell, seed) for cell in all_cells() for seed in range(3)])
    others = [cell for cell in all_cells() if cell not in (BASE, CONTROL)]
    assert (
        f"there are {len(made)} comparisons: {len(others)} cells with four measures, and the control with two" in PAGE
    )
    assert f"by this rule it is {luck(3, 3):.1%}" in PAGE
    assert round(sum(made)) == 1
    assert f"about one of {len(made)}" in PAGE
    assert f"in 2 of 20 orders, which makes {len(made) * 2 // 20} of {len(made)};" in PAGE
