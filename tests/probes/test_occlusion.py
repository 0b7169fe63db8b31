import numpy as np
import pytest
from toy_objective import GRIDS, N_CELLS, ToyObjective, polynomials

from probes.occlusion import Occlusion
from workbench.types import PatchGrid


def by_hand(objective: ToyObjective, target: int, side: int) -> np.ndarray:
    own, base = objective.scores(objective.features), objective.scores(objective.baseline("blur"))
    lost, times, begin = np.zeros(N_CELLS), np.zeros(N_CELLS), 0
    for grid in GRIDS:
        place = begin + np.arange(grid.n_tokens).reshape(grid.rows, grid.cols)
        begin += grid.n_tokens
        down, across = min(side, grid.rows), min(side, grid.cols)
        for row in range(grid.rows - down + 1):
            for col in range(grid.cols - across + 1):
                cells = place[row : row + down, col : col + across].reshape(-1)
                without = own.copy()
                without[cells] = base[cells]
                lost[cells] += objective.value(target, own) - objective.value(target, without)
                times[cells] += 1
    return lost / times


@pytest.mark.parametrize("level", ["tokens", "pixels"])
@pytest.mark.parametrize("window", [1, 2, 32])
def test_windows_slide_over_each_image_by_itself(level, window) -> None:
    objective = ToyObjective(polynomials(), level=level)
    found = Occlusion(level=level, window=window).attribute(objective)
    for target in range(2):
        np.testing.assert_allclose(found.relevance[target], by_hand(objective, target, window), rtol=1e-3, atol=1e-3)


def test_a_stride_leaves_no_cell_uncovered() -> None:
    strip = (PatchGrid(frames=1, rows=1, cols=9, start=0),)
    every, second, far = (
        Occlusion(window=2, stride=stride).attribute(ToyObjective(polynomials(), grids=strip)) for stride in (1, 2, 32)
    )
    # 8 and 5 windows, and the sample as it is; the last of the 5 covers the ninth cell.
    assert (every.passes, second.passes, far.passes) == (9, 6, 6)
    assert (far.relevance != 0).all()
    np.testing.assert_array_equal(far.relevance, second.relevance)
