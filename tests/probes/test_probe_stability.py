import numpy as np
import pytest
from linear_world import linear_case, picture

from probes.stability import Stability, _shake
from workbench import store
from workbench.images import open_image, refer
from workbench.render.html import panel_html

WEIGHTS = np.random.default_rng(0).normal(size=(2, 15))
CELLS = np.random.default_rng(1).uniform(0.1, 0.9, size=(3, 5))


def test_a_smooth_map_is_stable_and_a_noisy_one_is_not() -> None:
    smooth = Stability().judge(linear_case(WEIGHTS, CELLS))
    noisy = Stability().judge(linear_case(WEIGHTS, CELLS, kind="noisy"))
    assert smooth.checks[0].passed
    assert not noisy.checks[0].passed
    assert (smooth.measure("sensitivity").values < 0.1).all()
    assert (noisy.measure("sensitivity").values > 0.5).all()
    assert all(check.passed for check in smooth.checks[1:])


def test_a_map_that_never_changes_has_no_sensitivity() -> None:
    result = Stability().judge(linear_case(WEIGHTS, CELLS, kind="even"))
    assert result.measure("sensitivity").values.tolist() == [0, 0]


def test_a_target_that_the_noise_moves_is_said() -> None:
    result = Stability(grey=64).judge(linear_case(WEIGHTS * 100, CELLS))
    assert not result.checks[1].passed
    assert result.measure("value_change").values.max() > 0.1


def test_repeatable_and_drawn() -> None:
    case = linear_case(WEIGHTS, CELLS)
    result = Stability(draws=2).judge(case)
    assert store.dumps(result) == store.dumps(Stability(draws=2).judge(case))
    assert all(panel_html(panel, result) for panel in Stability().view(result))


def test_the_noise_is_no_larger_than_it_says() -> None:
    ref = refer(picture(np.full((2, 3), 0.5)))
    shaken = np.asarray(open_image(_shake(ref, 4, np.random.default_rng(0))), dtype=int)
    moved = np.abs(shaken - np.asarray(open_image(ref), dtype=int))
    assert moved.max() == 4
    assert pytest.approx(moved.mean(), abs=0.3) == 20 / 9
