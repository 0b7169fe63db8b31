"""Formulas of neighbours and maps, against scikit-learn, SciPy or a value worked out by hand."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import sklearn.neighbors
from hypothesis import given
from hypothesis import strategies as st
from sklearn.manifold import trustworthiness as published_trustworthiness

from workbench import stats


def cloud(n: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim))


@pytest.mark.parametrize(("n", "dim", "k"), [(2, 3, 1), (40, 3, 7), (300, 64, 15), (9, 2, 50)])
def test_neighbours_agree_with_scikit_learn(n: int, dim: int, k: int) -> None:
    vectors = cloud(n, dim)
    found = stats.nearest_neighbours(vectors, k)
    distances, indices = (
        sklearn.neighbors.NearestNeighbors(n_neighbors=min(k, n - 1), algorithm="brute").fit(vectors).kneighbors()
    )
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)


def test_neighbours_far_from_the_origin_are_still_told_apart() -> None:
    # Products of float32 lose distances of 0.01 beside lengths of 1,000; the exact ranking brings them back.
    line = np.zeros((6, 2), dtype=np.float32)
    line[:, 0] = 1000 + 0.01 * np.arange(6) ** 2
    found = stats.nearest_neighbours(line, 2)
    np.testing.assert_array_equal(found.indices[0], [1, 2])
    np.testing.assert_array_equal(found.indices[5], [4, 3])


def test_equal_points_rank_by_index() -> None:
    np.testing.assert_array_equal(stats.nearest_neighbours(np.zeros((4, 2)), 3).indices[2], [0, 1, 3])


def test_one_point_has_no_neighbours() -> None:
    assert stats.nearest_neighbours(np.zeros((1, 2)), 5).indices.shape == (1, 0)


def test_overlap_by_hand() -> None:
    a = np.array([[1, 2, 3, 4], [5, 6, -1, -1], [0, 1, 2, 3]])
    b = np.array([[4, 3, 9, 8], [6, 7, -1, -1], [0, 1, 2, 3]])
    np.testing.assert_array_equal(stats.overlap(a, b), [0.5, 0.25, 1.0])


@pytest.mark.parametrize(("n", "k"), [(11, 5), (60, 12), (200, 3)])
@pytest.mark.parametrize("noise", [0.0, 0.3, 10.0])
def test_trustworthiness_agrees_with_scikit_learn(n: int, k: int, noise: float) -> None:
    vectors = cloud(n, 5)
    places = vectors[:, :2] + noise * cloud(n, 2, seed=1)
    near = stats.nearest_neighbours(places, k).indices
    ours = stats.trustworthiness(vectors, near, np.arange(n))
    assert ours == pytest.approx(published_trustworthiness(vectors, places, n_neighbors=k), abs=1e-12)


def test_trustworthiness_of_a_sample_estimates_that_of_all() -> None:
    vectors = cloud(400, 5)
    near = stats.nearest_neighbours(vectors[:, :2] + 0.5 * cloud(400, 2, seed=1), 10).indices
    whole = stats.trustworthiness(vectors, near, np.arange(400))
    halves = [stats.trustworthiness(vectors, near[part], part) for part in np.array_split(np.arange(400), 2)]
    assert np.mean(halves) == pytest.approx(whole, abs=1e-12)


def test_trustworthiness_refuses_more_neighbours_than_it_is_defined_for() -> None:
    with pytest.raises(ValueError, match="1 to 4 neighbours"):
        stats.trustworthiness(cloud(10, 3), np.zeros((10, 5), dtype=int), np.arange(10))


@given(st.integers(0, 10_000), st.booleans(), st.floats(0.1, 10))
def test_a_turned_copy_is_turned_back(seed: int, mirrored: bool, scale: float) -> None:
    fixed = cloud(20, 2, seed)
    angle = float(seed)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        turn = turn @ np.diag([1.0, -1.0])
    moving = fixed @ turn * scale + [3.0, -7.0]
    np.testing.assert_allclose(stats.procrustes(moving, fixed)(moving), fixed, atol=1e-9)


def test_procrustes_agrees_with_scipy() -> None:
    moving, fixed = cloud(30, 4), cloud(30, 4, seed=1)
    found = stats.procrustes(moving, fixed)
    turn, weight = scipy.linalg.orthogonal_procrustes(moving - moving.mean(0), fixed - fixed.mean(0))
    np.testing.assert_allclose(found.turn, turn, atol=1e-12)
    assert found.scale == pytest.approx(weight / ((moving - moving.mean(0)) ** 2).sum())
    left = ((found(moving) - fixed) ** 2).sum() / ((fixed - fixed.mean(0)) ** 2).sum()
    assert left == pytest.approx(scipy.spatial.procrustes(fixed, moving)[2])


def test_points_in_one_place_are_only_shifted() -> None:
    aligned = stats.procrustes(np.ones((5, 2)), cloud(5, 2))
    np.testing.assert_allclose(aligned(np.ones((5, 2))), np.tile(cloud(5, 2).mean(0), (5, 1)))
