"""Formulas that compare two spaces, each against an independent implementation or sums written out."""

import itertools
import math

import numpy as np
import pytest
import scipy.spatial
import scipy.spatial.distance
import scipy.stats
import sklearn.neighbors

from workbench import stats, stats_spaces


def cloud(n: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim))


def hsic_by_sums(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. 2012, equation 4: U-statistics over samples that all differ, summed one by one."""
    n = len(k)
    pairs = sum(k[i, j] * m[i, j] for i, j in itertools.permutations(range(n), 2))
    triples = sum(k[i, j] * m[i, q] for i, j, q in itertools.permutations(range(n), 3))
    quads = sum(k[i, j] * m[q, r] for i, j, q, r in itertools.permutations(range(n), 4))
    return pairs / math.perm(n, 2) + quads / math.perm(n, 4) - 2 * triples / math.perm(n, 3)


def cka_by_sums(a: np.ndarray, b: np.ndarray) -> float:
    k, m = a @ a.T, b @ b.T
    return hsic_by_sums(k, m) / math.sqrt(hsic_by_sums(k, k) * hsic_by_sums(m, m))


def biased_cka(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(0), b - b.mean(0)
    return np.linalg.norm(a.T @ b) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))


def debiased(a: np.ndarray, b: np.ndarray) -> float:
    return stats_spaces.debiased_cka(stats_spaces.u_centred(a), stats_spaces.u_centred(b))


@pytest.mark.parametrize(("n", "dim", "other"), [(4, 2, 2), (7, 3, 5), (9, 20, 2)])
def test_debiased_cka_agrees_with_sums_over_all_quadruples(n: int, dim: int, other: int) -> None:
    a = cloud(n, dim) + 3
    b = cloud(n, other, seed=1) + a[:, :1]
    assert debiased(a, b) == pytest.approx(cka_by_sums(a, b), abs=1e-10)


def test_a_u_centred_product_is_the_unbiased_hsic() -> None:
    a, b = cloud(8, 3), cloud(8, 4, seed=1)
    found = (stats_spaces.u_centred(a) * stats_spaces.u_centred(b)).sum() / (8 * 5)
    assert found == pytest.approx(hsic_by_sums(a @ a.T, b @ b.T), abs=1e-12)


def test_independent_noise_reads_alike_only_under_the_biased_cka() -> None:
    a, b = cloud(64, 2048), cloud(64, 2048, seed=1)
    assert biased_cka(a, b) > 0.96
    assert abs(debiased(a, b)) < 0.05


def test_cka_is_blind_to_turns_scale_and_shift() -> None:
    a = cloud(30, 6)
    turn, _ = np.linalg.qr(cloud(6, 6, seed=2))
    assert debiased(a, a @ turn * 7 + 100) == pytest.approx(1)
    assert debiased(a, np.zeros((30, 3))) == 0


def test_cka_of_three_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="4 samples or more, not 3"):
        stats_spaces.u_centred(cloud(3, 2))


def test_a_shuffled_cka_is_that_of_shuffled_samples() -> None:
    a, b = cloud(12, 5), cloud(12, 3, seed=1)
    orders = np.stack([np.random.default_rng(seed).permutation(12) for seed in range(4)])
    found = stats_spaces.shuffled_cka(stats_spaces.u_centred(a), stats_spaces.u_centred(b), orders)
    np.testing.assert_allclose(found, [debiased(a, b[order]) for order in orders], atol=1e-7)
    same = stats_spaces.u_centred(np.ones((12, 3)))
    assert stats_spaces.shuffled_cka(stats_spaces.u_centred(a), same, orders).tolist() == [0] * 4


def test_a_null_holds_its_level_and_finds_what_is_there() -> None:
    orders = np.stack([np.random.default_rng(seed).permutation(40) for seed in range(99)])

    def p(a: np.ndarray, b: np.ndarray) -> float:
        one, other = stats_spaces.u_centred(a), stats_spaces.u_centred(b)
        return stats_spaces.permutation_p(
            stats_spaces.debiased_cka(one, other), stats_spaces.shuffled_cka(one, other, orders)
        )

    by_chance = [p(cloud(40, 100, seed), cloud(40, 100, seed + 1000)) for seed in range(100)]
    assert 0.3 < np.mean(by_chance) < 0.7
    assert np.mean(np.array(by_chance) <= 0.05) < 0.15
    assert p(cloud(40, 100), cloud(40, 100) + cloud(40, 100, seed=5)) == 0.01


def test_a_p_value_counts_the_observation_in() -> None:
    assert stats_spaces.permutation_p(2.0, np.array([0.0, 1.0, 3.0])) == 0.5
    assert stats_spaces.permutation_p(9.0, np.array([0.0, 1.0, 3.0])) == 0.25


def test_a_shuffle_that_changes_nothing_is_a_tie_whatever_the_last_bits() -> None:
    third = sum([0.1] * 3) / 3  # above 0.1 by its last bit
    assert third > 0.1
    assert stats_spaces.permutation_p(third, np.array([0.1, 0.1])) == 1
    assert stats_spaces.permutation_p(0.5 + 1e-4, np.array([0.5, 0.5])) == pytest.approx(1 / 3)
    # Of real figures: orders that leave the samples where they are.
    a, b = cloud(60, 5), cloud(60, 5, seed=1)
    still = np.broadcast_to(np.arange(60), (20, 60))
    one, other = stats_spaces.unit_neighbours(a, 10), stats_spaces.unit_neighbours(b, 10)
    for k in range(1, 11):
        observed = float(stats.overlap(one[:, :k], other[:, :k]).mean())
        null = stats_spaces.shuffled_overlap(one[:, :k], other[:, :k], still)
        assert stats_spaces.permutation_p(observed, null) == 1
    kernels = stats_spaces.u_centred(a), stats_spaces.u_centred(b)
    null = stats_spaces.shuffled_cka(*kernels, still)
    assert stats_spaces.permutation_p(stats_spaces.debiased_cka(*kernels), null) == 1


def test_centred_points_keep_distances_in_few_dimensions() -> None:
    for a in (cloud(9, 40), cloud(40, 9)):
        points = stats_spaces.centred_points(a + 7)
        assert points.shape == (len(a), 9)
        np.testing.assert_allclose(scipy.spatial.distance.pdist(points), scipy.spatial.distance.pdist(a))
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize(("n", "dim", "other"), [(20, 4, 4), (8, 30, 30), (8, 30, 3), (40, 5, 2)])
def test_the_residual_agrees_with_scipy(n: int, dim: int, other: int) -> None:
    a, b = cloud(n, dim) + 5, cloud(n, other, seed=1) - 2
    wide = max(dim, other)
    padded = [np.pad(space, ((0, 0), (0, wide - space.shape[1]))) for space in (a, b)]
    assert stats_spaces.procrustes_residual(a, b) == pytest.approx(scipy.spatial.procrustes(*padded)[2], abs=1e-9)


def test_a_turned_copy_leaves_nothing_and_a_point_leaves_all() -> None:
    a = cloud(9, 12)
    turn, _ = np.linalg.qr(cloud(12, 12, seed=3))
    assert stats_spaces.procrustes_residual(a, 4 * a @ turn + 1) == pytest.approx(0, abs=1e-9)
    assert stats_spaces.procrustes_residual(a, np.ones((9, 3))) == 1


def test_neighbours_by_cosine_and_their_overlap_agree_with_scikit_learn() -> None:
    a, b = cloud(50, 6), cloud(50, 4, seed=1)
    b[:, 0] += 2 * a[:, 0]

    def near(vectors: np.ndarray) -> np.ndarray:
        found = sklearn.neighbors.NearestNeighbors(n_neighbors=7, metric="cosine", algorithm="brute").fit(vectors)
        return found.kneighbors(return_distance=False)

    found = stats.overlap(stats_spaces.unit_neighbours(a, 7), stats_spaces.unit_neighbours(b, 7))
    wanted = [len(set(one) & set(other)) / 7 for one, other in zip(near(a), near(b), strict=True)]
    np.testing.assert_allclose(found, wanted)


def test_a_shuffled_overlap_is_that_of_shuffled_samples_and_chance_on_average() -> None:
    a, b = cloud(30, 6), cloud(30, 4, seed=1)
    orders = np.stack([np.random.default_rng(seed).permutation(30) for seed in range(200)])
    one, other = stats_spaces.unit_neighbours(a, 5), stats_spaces.unit_neighbours(b, 5)
    found = stats_spaces.shuffled_overlap(one, other, orders)
    for order, value in zip(orders[:3], found[:3], strict=True):
        assert value == pytest.approx(stats.overlap(one, stats_spaces.unit_neighbours(b[order], 5)).mean())
    assert found.mean() == pytest.approx(5 / 29, abs=0.01)


def test_a_paired_difference_agrees_with_scipy() -> None:
    first = cloud(80, 1)[:, 0]
    second = first + 0.2 + 0.1 * cloud(80, 1, seed=1)[:, 0]
    found = stats.paired_interval(first, second, seed=0, n_resamples=20_000)
    wanted = scipy.stats.bootstrap(
        (second, first),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=1,
    ).confidence_interval
    assert found.value == pytest.approx(second.mean() - first.mean())
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-3)
    # Paired: far narrower than either mean is known.
    assert found.high - found.low < 0.2 * np.ptp(stats.bootstrap_interval(first, seed=0)[1:3])
