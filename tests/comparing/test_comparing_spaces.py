"""Likeness of planted states: who goes with whom, what is told at each depth, and its chance beside it."""

from pathlib import Path

import numpy as np
import pytest
from readings import write_reading

from workbench.comparing.spaces import (
    MEASURED,
    draw_measured,
    like_depth,
    liken_alone,
    liken_thoughts,
    make_space,
    n_neighbours,
)

LEAST_P = 1 / 200
N = 60


def noise(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def turned(states: np.ndarray, seed: int) -> np.ndarray:
    """The same in other coordinates and at another scale."""
    turn, _ = np.linalg.qr(noise(states.shape[-1], states.shape[-1], seed=seed))
    return 3 * states @ turn.astype(np.float32)


def test_permuted_thoughts_of_more_tokens_find_each_other(tmp_path: Path) -> None:
    # Token 1 of the reference is token 4 of the other, 2 is 1, 3 is 3; the other's 2 and 5 are noise.
    order = (3, 0, 2)
    one = noise(N, 2, 3, 8, seed=1)
    other = noise(N, 3, 5, 8, seed=2)
    for mine, yours in enumerate(order):
        # Layers of like depth: the first with the first, the last with the last.
        other[:, 0, yours], other[:, 2, yours] = turned(one[:, 0, mine], mine), turned(one[:, 1, mine], mine)
    found = liken_thoughts(write_reading(tmp_path / "a", one), write_reading(tmp_path / "b", other), np.arange(N))
    paired = [(match.reference, match.other) for match in found.matches]
    assert paired == [(1, 4), (2, 1), (3, 3), (None, 2), (None, 5)]
    assert [match.overlap for match in found.matches[:3]] == [1, 1, 1]
    assert found.steps.overlap.shape == (3, 5)
    pooled, single = (
        [one for one in found.by_depth if one.of == "thoughts"],
        [one for one in found.by_depth if one.of == "thought"],
    )
    assert [one.layer for one in pooled] == [(1, 1), (2, 3)]
    assert [(one.layer, one.think) for one in single] == [
        (layer, pair) for layer in ((1, 1), (2, 3)) for pair in ((1, 4), (2, 1), (3, 3))
    ]
    for one in single:
        assert (one.overlap.value, one.overlap_p, one.cka_p) == (1, LEAST_P, LEAST_P)
        assert one.cka == pytest.approx(1, abs=1e-4)
        assert one.residual == pytest.approx(0, abs=1e-5)
        assert one.residual_chance > 0.6
    # The last layers chose who goes with whom, so their chance is that of the best match; the first ones chose nothing.
    fixed = n_neighbours(N) / (N - 1)
    assert all(fixed + 0.01 < one.overlap_chance < fixed + 0.1 for one in single[3:])
    assert all(one.overlap_chance == pytest.approx(fixed, abs=0.01) for one in single[:3])
    # At the last layers the same stands in the first table.
    assert found.likeness == (pooled[-1], *single[-3:])
    assert found.depths.rows == ("layer 1 | 1", "layer 2 | 3")
    assert found.depths.cols == ("think 1 | 4", "think 2 | 1", "think 3 | 3")
    np.testing.assert_array_equal(found.depths.overlap, np.ones((2, 3)))
    assert found.depths.overlap_chance == pytest.approx(np.mean([one.overlap_chance for one in single]))


def test_equally_many_stay_in_their_places(tmp_path: Path) -> None:
    one = noise(N, 2, 3, 8, seed=1)
    crossed = turned(one[:, :, [1, 0, 2]], 4)
    found = liken_thoughts(write_reading(tmp_path / "a", one), write_reading(tmp_path / "b", crossed), np.arange(N))
    assert [(match.reference, match.other) for match in found.matches] == [(1, 1), (2, 2), (3, 3)]
    first, second, third = found.likeness[1:]
    assert third.overlap.value == 1
    assert third.overlap_chance == n_neighbours(N) / (N - 1) == found.depths.overlap_chance
    # Noise against noise: near its chance, and p says so at one of the two at least.
    for one in (first, second):
        assert one.overlap.value == pytest.approx(one.overlap_chance, abs=0.06)
        assert one.residual == pytest.approx(one.residual_chance, abs=0.12)
    assert max(first.overlap_p, second.overlap_p) > 0.05
    assert found.depths.rows == ("layer 1", "layer 2")
    # What is crossed is found where all are set against all, and the mean does not see it at all.
    np.testing.assert_allclose(found.steps.overlap[[0, 1, 2], [1, 0, 2]], 1)
    assert found.likeness[0].overlap.value == pytest.approx(1)


def test_layers_may_differ_in_what_joins_them(tmp_path: Path) -> None:
    one, other = noise(N, 3, 2, 8, seed=1), noise(N, 3, 2, 8, seed=2)
    other[:, 1] = turned(one[:, 1], 3)
    found = liken_thoughts(write_reading(tmp_path / "a", one), write_reading(tmp_path / "b", other), np.arange(N))
    pooled = [one for one in found.by_depth if one.of == "thoughts"]
    assert [one.layer for one in pooled] == [(1, 1), (2, 2), (3, 3)]
    assert [one.cka > 0.9 for one in pooled] == [False, True, False]
    assert [one.residual < 0.1 for one in pooled] == [False, True, False]
    assert (pooled[1].overlap_p, pooled[1].cka_p) == (LEAST_P, LEAST_P)
    assert found.layers.overlap[1, 1] == pytest.approx(pooled[1].overlap.value)


def test_only_rows_that_are_measured_count(tmp_path: Path) -> None:
    one = noise(N, 1, 2, 8, seed=1)
    other = turned(one, 2)
    other[::3] = noise(len(other[::3]), 1, 2, 8, seed=3)
    at = np.array([row for row in range(N) if row % 3])
    found = liken_thoughts(write_reading(tmp_path / "a", one), write_reading(tmp_path / "b", other), at)
    assert {one.n for one in found.by_depth} == {len(at)}
    assert {one.overlap.value for one in found.by_depth} == {1}


def test_the_share_done_is_told_and_may_stop_it(tmp_path: Path) -> None:
    readings = [write_reading(tmp_path / name, noise(8, 4, 2, 4, seed=1)) for name in "ab"]
    told: list[float] = []
    liken_thoughts(readings[0], readings[1], np.arange(8), told.append)
    assert told == [0, 0.25, 0.5, 0.75]

    def stop(done: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        liken_thoughts(readings[0], readings[1], np.arange(8), stop)


def test_a_space_beside_its_copy_and_beside_noise() -> None:
    space = make_space(noise(N, 300, seed=1))  # wider than it has samples
    copy = liken_alone(space, make_space(turned(noise(N, 300, seed=1), 2)), "embedding")
    assert (copy.overlap.value, copy.overlap_p, copy.cka_p) == (1, LEAST_P, LEAST_P)
    assert (copy.cka, copy.residual) == (pytest.approx(1, abs=1e-4), pytest.approx(0, abs=1e-4))
    assert (copy.think, copy.layer, copy.n, copy.neighbours) == ((), (), N, 10)
    strange = [liken_alone(space, make_space(noise(N, 300, seed=seed)), "embedding") for seed in range(2, 12)]
    assert np.mean([one.overlap_p for one in strange]) > 0.25
    assert np.mean([one.cka_p for one in strange]) > 0.25
    for one in strange:
        assert one.overlap_chance == 10 / (N - 1)
        assert one.cka == pytest.approx(one.cka_chance, abs=0.15)
        assert one.residual == pytest.approx(one.residual_chance, abs=0.05)


def test_layers_of_like_depth() -> None:
    assert [like_depth(layer, 4, 7) for layer in range(4)] == [0, 2, 4, 6]
    assert [like_depth(layer, 7, 4) for layer in range(7)] == [0, 0, 1, 2, 2, 2, 3]
    assert [like_depth(layer, 5, 5) for layer in range(5)] == [0, 1, 2, 3, 4]
    assert [like_depth(0, 1, 5), like_depth(3, 4, 1)] == [4, 0]


def test_of_many_samples_some_are_drawn() -> None:
    few = np.arange(3, 3 + MEASURED)
    np.testing.assert_array_equal(draw_measured(few), few)
    many = np.arange(0, 3 * MEASURED, 2)
    drawn = draw_measured(many)
    assert len(drawn) == len(set(drawn.tolist())) == MEASURED
    assert set(drawn.tolist()) <= set(many.tolist())
    assert drawn.tolist() == sorted(drawn.tolist())
    assert drawn[-1] > many[MEASURED]  # not just the first
    np.testing.assert_array_equal(draw_measured(many), drawn)


def test_neighbours_are_fewer_than_half() -> None:
    assert [n_neighbours(n) for n in (4, 5, 20, 21, 22, 500)] == [1, 2, 9, 10, 10, 10]
