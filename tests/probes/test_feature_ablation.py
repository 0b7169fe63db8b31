import numpy as np
import pytest
from toy_objective import N_CELLS, ToyObjective, polynomials

from probes.feature_ablation import FeatureAblation


@pytest.mark.parametrize("level", ["tokens", "pixels"])
@pytest.mark.parametrize("baseline", ["blur", "mean"])
def test_every_cell_is_taken_away_by_itself(level, baseline) -> None:
    objective = ToyObjective(polynomials(), level=level)
    found = FeatureAblation(level=level, baseline=baseline).attribute(objective)
    own, base = objective.scores(objective.features), objective.scores(objective.baseline(baseline))
    for target in range(2):
        for cell in range(N_CELLS):
            without = np.where(np.arange(N_CELLS) == cell, base, own)
            lost = objective.value(target, own) - objective.value(target, without)
            assert found.relevance[target, cell] == pytest.approx(lost, rel=1e-3, abs=1e-3)
    assert found.passes == N_CELLS + 1


def test_cells_of_a_block_share_what_the_block_was_worth() -> None:
    objective = ToyObjective(polynomials())
    found = FeatureAblation(block=2).attribute(objective)
    own, base = objective.scores(objective.features), objective.scores(objective.baseline("blur"))
    # The first image is 2 x 3 cells: one block of 2 x 2, and the last column. The second is 3 x 1: blocks of 2 and 1.
    for cells in ((0, 1, 3, 4), (2, 5), (6, 7), (8,)):
        without = np.where(np.isin(np.arange(N_CELLS), cells), base, own)
        lost = objective.value(1, own) - objective.value(1, without)
        np.testing.assert_allclose(found.relevance[1, list(cells)], lost / len(cells), rtol=1e-3, atol=1e-3)
    assert found.passes == 4 + 1
