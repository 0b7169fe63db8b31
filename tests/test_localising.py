import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from workbench.localising import (
    belonging,
    cell_shares,
    overlap,
    pointing_game,
    relevance_mass,
    relevance_rank,
    touched,
)


def test_shares_of_cells_that_end_between_pixels() -> None:
    mask = np.zeros((4, 3), dtype=bool)
    mask[:, 0] = True
    # Three columns of pixels in two of cells: the first cell is one and a half pixels wide.
    np.testing.assert_allclose(cell_shares(mask, 2, 2), [[2 / 3, 0], [2 / 3, 0]])


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 7), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_shares_keep_the_area_and_equal_a_fine_raster(height: int, width: int, rows: int, cols: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.4
    found = cell_shares(mask, rows, cols)
    assert found.mean() == pytest.approx(mask.mean())
    # Independent: every pixel cut into rows x cols pieces, so that no piece lies in two cells.
    fine = np.kron(mask, np.ones((rows, cols)))
    np.testing.assert_allclose(found, fine.reshape(rows, height, cols, width).mean(axis=(1, 3)), atol=1e-12)


def test_shares_equal_a_box_filter() -> None:
    mask = np.random.default_rng(3).random((96, 128)) < 0.3
    image = Image.fromarray(mask.astype(np.float32)).resize((8, 6), Image.Resampling.BOX)
    np.testing.assert_allclose(cell_shares(mask, 6, 8), np.asarray(image), atol=1e-6)


REGION = np.array([0.0, 0.01, 0.6, 1.0, 0.4, 0.0])


def test_what_touches_and_what_belongs() -> None:
    assert touched(REGION).tolist() == [False, True, True, True, True, False]
    assert belonging(REGION).tolist() == [False, False, True, True, False, False]
    # A small object fills no cell by half: then the cell that it covers most is its own.
    assert belonging(np.array([0.1, 0.3, 0.0])).tolist() == [False, True, False]
    assert not belonging(np.zeros(3)).any()


@pytest.mark.parametrize(
    ("relevance", "hit", "mass", "rank", "iou"),
    [
        ([0, 0, 1, 2, 0, 0], 1, (0.6 + 2) / 3, 1, 1),
        ([5, 0, 0, 0, 0, 5], 0, 0, 0, 0),
        ([5, 1, 0, 4, 0, 0], 0, (0.01 + 4) / 10, 1 / 2, 1 / 3),
        ([0, 9, 0, 0, -9, 0], 1, 0.01, 1 / 4, 0),
    ],
)
def test_known_answers(relevance: list[float], hit: float, mass: float, rank: float, iou: float) -> None:
    given = np.array(relevance, dtype=np.float64)
    assert pointing_game(given, REGION) == pytest.approx(hit)
    assert relevance_mass(given, REGION) == pytest.approx(mass)
    assert relevance_rank(given, REGION) == pytest.approx(rank)
    assert overlap(given, REGION) == pytest.approx(iou)


def test_a_map_that_only_speaks_against_scores_by_chance() -> None:
    against = np.array([0.0, 0, -1, -2, 0, 0])
    assert pointing_game(against, REGION) == pytest.approx(2 / 4)
    assert relevance_mass(against, REGION) == pytest.approx(REGION.mean())
    assert overlap(against, REGION) == 0


def test_ties_at_the_last_place_count_by_their_share() -> None:
    # One of the two places goes to cell 3, the other to one of five equal cells, of which one belongs.
    assert relevance_rank(np.array([1.0, 1, 1, 2, 1, 1]), REGION) == pytest.approx((1 + 1 / 5) / 2)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rows_are_independent_and_scale_does_not_matter(seed: int) -> None:
    draw = np.random.default_rng(seed)
    maps, regions = draw.normal(size=(4, 12)), draw.random((4, 12)) * (draw.random((4, 12)) < 0.5)
    regions[:, 0] = 0.9
    for formula in (pointing_game, relevance_mass, relevance_rank, overlap):
        together = formula(maps, regions)
        assert ((together >= 0) & (together <= 1)).all()
        np.testing.assert_allclose(together, [formula(a, b) for a, b in zip(maps, regions, strict=True)])
        np.testing.assert_allclose(formula(maps * 7, regions), together)
