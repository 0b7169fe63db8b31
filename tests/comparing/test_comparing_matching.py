"""Matching of think tokens, against brute force; and that a match of noise reads as noise."""

import itertools

import numpy as np
import pytest

from workbench.comparing.matching import SHUFFLES, by_position, left_over, match, place_of
from workbench.comparing.spaces import Space, liken, make_space
from workbench.comparison import Match
from workbench.stats import overlap


def clouds(n: int, count: int, seed: int) -> list[Space]:
    generator = np.random.default_rng(seed)
    return [make_space(generator.standard_normal((n, 6))) for _ in range(count)]


def near(spaces: list[Space]) -> np.ndarray:
    return np.stack([space.near for space in spaces])


def total(one: np.ndarray, other: np.ndarray, pairs: list[tuple[int, int]]) -> float:
    return sum(overlap(one[a], other[b]).sum() for a, b in pairs)


def most(one: np.ndarray, other: np.ndarray) -> float:
    """The largest sum that any choice of pairs has."""
    few, many = (one, other) if len(one) <= len(other) else (other, one)
    return max(
        total(few, many, list(enumerate(chosen))) for chosen in itertools.permutations(range(len(many)), len(few))
    )


@pytest.mark.parametrize(("n", "m"), [(3, 4), (4, 3), (1, 3)])
def test_pairs_sum_to_the_most_before_and_after_every_shuffle(n: int, m: int) -> None:
    one, other = near(clouds(25, n, seed=1)), near(clouds(25, m, seed=2))
    pairs, drawn = match(one, other)
    assert pairs == sorted(pairs)
    assert total(one, other, pairs) == pytest.approx(most(one, other))
    assert drawn.matched
    assert drawn.pairs.shape == (SHUFFLES, min(n, m), 2)
    side = place_of(n, m)
    for order, chosen in zip(drawn.orders[:5], drawn.pairs[:5].tolist(), strict=True):
        # Sample i stands for sample order[i], so its neighbours have their new places too.
        shuffled = np.argsort(order)[other[:, order]]
        assert total(one, shuffled, [(a, b) for a, b in chosen]) == pytest.approx(most(one, shuffled))
        assert [pair[side] for pair in chosen] == list(range(min(n, m)))


@pytest.mark.parametrize(("n", "m"), [(4, 6), (6, 4)])
def test_a_match_of_noise_reads_its_chance_and_no_more(n: int, m: int) -> None:
    found = []
    for seed in range(8):
        one, other = clouds(40, n, seed), clouds(40, m, seed + 100)
        pairs, drawn = match(near(one), near(other))
        found += [liken(one, other, pair, drawn, "thought") for pair in pairs]
    assert {one.n for one in found} == {40}
    observed, fixed = np.mean([one.overlap.value for one in found]), found[0].neighbours / 39
    # The best of many is above the chance of one that was fixed beforehand, so that cannot be what it is held against.
    assert observed > fixed + 0.02
    assert np.mean([one.overlap_chance for one in found]) == pytest.approx(observed, abs=0.01)
    # Held against pairs that were fixed beforehand their mean is below 0.2.
    assert 0.4 < np.mean([one.overlap_p for one in found]) < 0.6
    assert 0.4 < np.mean([one.cka_p for one in found]) < 0.6


def test_what_is_left_has_no_counterpart() -> None:
    def lone(reference: int | None, other: int | None) -> Match:
        return Match(reference=reference, other=other, overlap=None, cka=None)

    assert left_over([(0, 2), (1, 0)], 2, 4) == (lone(None, 2), lone(None, 4))
    assert left_over([(2, 0)], 3, 1) == (lone(1, None), lone(2, None))
    assert by_position(2, 3) == (lone(1, 1), lone(2, 2), lone(None, 3))
