"""Every formula against an independent implementation or a value worked out by hand."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workbench import stats

LOGITS = hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1), elements=st.floats(-500, 500))


@given(LOGITS)
def test_softmax_agrees_with_scipy(logits: np.ndarray) -> None:
    np.testing.assert_allclose(stats.softmax(logits), scipy.special.softmax(logits, axis=-1), atol=1e-12)
    np.testing.assert_allclose(stats.log_softmax(logits), scipy.special.log_softmax(logits, axis=-1), atol=1e-9)


def test_softmax_of_a_masked_entry_is_zero() -> None:
    np.testing.assert_array_equal(stats.softmax(np.array([0.0, -np.inf, 0.0])), [0.5, 0.0, 0.5])


def test_softmax_keeps_float32() -> None:
    assert stats.softmax(np.ones((2, 3), dtype=np.float32)).dtype == np.float32
    assert stats.entropy(np.ones((2, 3), dtype=np.float32) / 3).dtype == np.float32


@given(LOGITS)
def test_entropy_agrees_with_scipy(logits: np.ndarray) -> None:
    probabilities = scipy.special.softmax(logits, axis=-1)
    np.testing.assert_allclose(stats.entropy(probabilities), scipy.stats.entropy(probabilities, axis=-1), atol=1e-9)


def test_entropy_of_certainty_is_zero_and_of_uniform_is_log_n() -> None:
    np.testing.assert_allclose(stats.entropy(np.array([[0.0, 1.0, 0.0, 0.0], [0.25] * 4])), [0.0, np.log(4)])


def test_cosine_agrees_with_scipy_and_is_zero_for_a_zero_vector() -> None:
    from scipy.spatial.distance import cosine

    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 5, 7))
    np.testing.assert_allclose(stats.cosine(a, b), [1 - cosine(x, y) for x, y in zip(a, b, strict=True)])
    assert stats.cosine(np.zeros(3), np.ones(3)) == 0.0


def test_cosine_broadcasts_one_vector_over_many() -> None:
    many = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    np.testing.assert_allclose(stats.cosine(many, np.array([5.0, 0.0])), [1.0, 0.0, -1.0])


def test_share_by_hand() -> None:
    weights = np.array([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(stats.share(weights, np.array([True, False, True])), [0.5, 0.0])


def test_top_k_is_largest_first_and_settles_ties_by_index() -> None:
    np.testing.assert_array_equal(stats.top_k(np.array([1.0, 3.0, 3.0, 2.0]), 3), [1, 2, 3])
    np.testing.assert_array_equal(stats.top_k(np.array([2.0, 1.0]), 5), [0, 1])


def test_top_k_refuses_zero() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        stats.top_k(np.ones(3), 0)


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 3), st.integers(130, 300))), st.integers(1, 4))
def test_top_k_of_many_equals_a_full_stable_sort(values: np.ndarray, k: int) -> None:
    # int8 has few values, so that ties at the threshold are the rule.
    numbers = values.astype(np.float64)
    expected = [sorted(range(len(row)), key=lambda i: (-row[i], i))[:k] for row in numbers.tolist()]
    np.testing.assert_array_equal(stats.top_k(numbers, k), expected)


def test_rank_counts_ties_and_nan_against_the_entry() -> None:
    scores = np.array([[0.9, 0.1, 0.5], [0.5, 0.5, 0.5], [np.nan, 0.2, 0.1], [0.3, np.nan, 0.1]])
    np.testing.assert_array_equal(stats.rank_of(scores, np.array([2, 0, 0, 0])), [2, 3, 3, 2])


@given(hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1, 1)), st.data())
def test_rank_agrees_with_scipy(scores: np.ndarray, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(scores) - 1))
    expected = scipy.stats.rankdata(-scores, method="max")[index]
    assert stats.rank_of(scores, np.array(index)) == expected


def test_bootstrap_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).exponential(size=80)
    mine = stats.bootstrap_interval(values, seed=0, n_resamples=4000)
    theirs = scipy.stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=2).confidence_interval
    width = theirs.high - theirs.low
    assert mine.value == pytest.approx(values.mean())
    assert abs(mine.low - theirs.low) < 0.08 * width
    assert abs(mine.high - theirs.high) < 0.08 * width
    assert mine.n == 80


def test_bootstrap_is_repeatable_in_blocks_and_takes_truth_values(monkeypatch: pytest.MonkeyPatch) -> None:
    hits = np.arange(10) < 7
    first = stats.bootstrap_interval(hits, seed=3)
    assert first == stats.bootstrap_interval(hits, seed=3)
    assert first.value == pytest.approx(0.7)
    assert 0.3 <= first.low < 0.7 < first.high <= 1.0
    monkeypatch.setattr(stats, "_BLOCK", 1000)
    assert stats.bootstrap_interval(hits, seed=3) == first


def test_bootstrap_of_one_value_has_no_width() -> None:
    assert stats.bootstrap_interval(np.array([0.25]), seed=0) == (0.25, 0.25, 0.25, 1)


@pytest.mark.parametrize("values", [np.array([]), np.array([1.0, np.nan]), np.ones((2, 2))])
def test_bootstrap_refuses_what_has_no_mean(values: np.ndarray) -> None:
    with pytest.raises((ValueError, TypeError)):
        stats.bootstrap_interval(values, seed=0)


@given(hnp.arrays(np.float64, (3, 9), elements=st.integers(-4, 4).map(float)))
def test_ranks_are_those_of_scipy(values: np.ndarray) -> None:
    np.testing.assert_array_equal(stats.ranks(values), scipy.stats.rankdata(values, axis=1))


@given(st.integers(0, 2**32 - 1))
def test_spearman_is_that_of_scipy(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 6, size=(2, 20)).astype(float)
    a[0], b[0] = 9, 9
    assert stats.spearman(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)


def test_a_constant_map_agrees_with_nothing() -> None:
    assert stats.spearman(np.ones(5), np.arange(5.0)) == 0
    assert stats.spearman(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1)


@given(st.integers(0, 2**32 - 1))
def test_area_is_the_mean_height_by_trapezoids(seed: int) -> None:
    draw = np.random.default_rng(seed)
    at, curves = np.cumsum(draw.integers(1, 5, size=7)), draw.normal(size=(3, 7))
    np.testing.assert_allclose(stats.area_under(curves, at), np.trapezoid(curves, at) / (at[-1] - at[0]))
    assert stats.area_under(np.full(7, 2.5), at) == pytest.approx(2.5)


def test_infidelity_is_what_a_best_scale_leaves() -> None:
    actual = np.array([1.0, 2.0, 3.0])
    assert stats.infidelity(actual * 5, actual) == pytest.approx(0)
    assert stats.infidelity(-actual, actual) == 1
    assert stats.infidelity(np.zeros(3), actual) == 1
    assert stats.infidelity(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1
    assert stats.infidelity(actual, np.zeros(3)) == 1


def test_relative_change() -> None:
    assert stats.relative_change(np.array([3.0, 4.0]), np.array([3.0, 0.0])) == pytest.approx(0.8)
    assert stats.relative_change(np.zeros(2), np.zeros(2)) == 0
    assert stats.relative_change(np.zeros(2), np.ones(2)) == np.inf


def test_intervals_of_many_columns_are_those_of_each() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(200, 3))
    values[50:, 1] = np.nan
    values[:, 2] = np.nan
    one, some, none = stats.column_intervals(values, seed=0, n_resamples=4000)
    assert none is None
    assert one is not None
    assert some is not None
    assert (one.value, one.n) == (pytest.approx(values[:, 0].mean()), 200)
    assert (some.value, some.n) == (pytest.approx(values[:50, 1].mean()), 50)
    alone = stats.bootstrap_interval(values[:, 0], seed=1, n_resamples=4000)
    assert one.low == pytest.approx(alone.low, abs=0.02)
    assert one.high == pytest.approx(alone.high, abs=0.02)
    # Rows that a column lacks widen it as much as if they were not there.
    few = stats.bootstrap_interval(values[:50, 1], seed=1, n_resamples=4000)
    assert some.high - some.low == pytest.approx(few.high - few.low, rel=0.15)


def test_the_interval_of_a_ratio_is_that_of_its_sums() -> None:
    draw = np.random.default_rng(0)
    whole = draw.uniform(1, 2, 100)
    found = stats.ratio_interval(0.3 * whole, whole, seed=0)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3))
    found = stats.ratio_interval(draw.uniform(0, 1, 100), whole, seed=0)
    assert found is not None
    assert found.low < found.value < found.high
    assert stats.ratio_interval(np.zeros(3), np.zeros(3), seed=0) is None


def test_ndcg_of_one_right_candidate() -> None:
    assert stats.ndcg_of_rank(np.array([1, 2, 3, 10, 11])) == pytest.approx([1, 0.63093, 0.5, 0.28906, 0], abs=1e-5)


def test_effective_rank() -> None:
    assert stats.effective_rank(np.array([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3)
    assert stats.effective_rank(np.array([5.0, 0.0])) == pytest.approx(1)
    assert stats.effective_rank(np.zeros(3)) == 0


def test_slopes_of_the_effective_rank_are_its_differences() -> None:
    variances = np.array([3.0, 1.0, 0.5, 0.2])
    steps = 1e-6 * np.eye(4)
    differences = [
        (stats.effective_rank(variances + step) - stats.effective_rank(variances - step)) / 2e-6 for step in steps
    ]
    assert stats.effective_rank_slopes(variances) == pytest.approx(differences, rel=1e-6)
    # To scale all variances changes nothing.
    assert stats.effective_rank_slopes(variances) @ variances == pytest.approx(0, abs=1e-12)
    assert np.isfinite(stats.effective_rank_slopes(np.array([1.0, 0.0]))).all()
    assert not stats.effective_rank_slopes(np.zeros(3)).any()
