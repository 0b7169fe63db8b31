"""What docs/ablation.md says of rule and training is what the code does."""

import statistics
from pathlib import Path

import pytest

from workbench.ablation.cells import BASE, CONTROL, Cell, all_cells
from workbench.ablation.running import Result, Scale, settings_of
from workbench.ablation.spread import luck
from workbench.ablation.summary import comparisons
from workbench.cli import main
from workbench.cli.ablate import _command
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


def test_the_command_of_a_page_is_what_made_it() -> None:
    everything = [finished(cell, seed) for cell in all_cells() for seed in range(3)]
    assert _command(Path("runs/ablation"), Scale(), everything) == "thinkscope ablate --out runs/ablation"
    part = _command(Path("a b"), Scale(steps=200, most=2), [finished(BASE, 0), finished(CONTROL, 0)])
    assert part.startswith("thinkscope ablate --out 'a b' --steps 200 --most 2 --seeds 0 --cells ")
    assert set(part.rpartition(" ")[2].split(",")) == {BASE.name, CONTROL.name}


@pytest.mark.parametrize("option", [["--steps", "5"], ["--seeds", "0,1,2"], ["--cells", "no-think"]])
def test_a_summary_takes_nothing_that_it_would_ignore(
    option: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["ablate", "--out", str(tmp_path), "--summary", *option]) == 2
    assert f"--summary trains nothing, so {option[0]} has nothing to act on" in capsys.readouterr().err


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
