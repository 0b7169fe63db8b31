import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float

from workbench.quadrature import fejer
from workbench.refinement import COUNTS, SECTIONS, Reading, Refinement

ENDS = np.linspace(0, 1, SECTIONS + 1)


def powers(*exponents: int) -> tuple[Float[np.ndarray, "targets sections"], Float[np.ndarray, " targets"]]:
    """Targets s^n: their changes over the sections, and n."""
    n = np.array(exponents, dtype=float)
    return np.diff(ENDS[None] ** n[:, None], axis=1), n


def run(way: Refinement, slopes: Float[np.ndarray, " targets"], n_cells: int = 2) -> list[Reading]:
    """Read n s^(n - 1), three quarters of it in the first cell and the rest in the second."""
    taken = []
    for reading in way.readings():
        n = slopes[list(reading.targets)]
        found = n[:, None] * reading.shares[None] ** (n[:, None] - 1)
        cells = np.zeros((*found.shape, n_cells))
        cells[..., 0], cells[..., 1] = 0.75 * found, 0.25 * found
        way.take(reading, cells)
        taken.append(reading)
    return taken


def test_a_straight_target_is_done_after_one_place_in_each_section() -> None:
    changes, n = powers(1)
    way = Refinement(changes, n_cells=2, tolerance=0.01, most=63, least=1e-3)
    readings = run(way, n)
    assert [reading.rules for reading in readings] == [tuple((section, 1) for section in range(SECTIONS))]
    np.testing.assert_allclose(readings[0].shares, (np.arange(SECTIONS) + 0.5) / SECTIONS)
    np.testing.assert_allclose(way.relevance, [[0.75, 0.25]], atol=1e-12)
    assert way.steps.tolist() == [SECTIONS]


def test_a_steep_end_is_read_more_closely_and_the_flat_rest_is_not() -> None:
    changes, n = powers(40)
    way = Refinement(changes, n_cells=2, tolerance=0.001, most=252, least=1e-3)
    readings = run(way, n)
    closer = {section for reading in readings[1:] for section, _ in reading.rules}
    assert closer == {SECTIONS - 1}
    np.testing.assert_allclose(way.relevance, [[0.75, 0.25]], atol=0.001)


def test_targets_that_are_done_are_not_read_again() -> None:
    changes, n = powers(1, 40, 60)
    way = Refinement(changes, n_cells=2, tolerance=0.001, most=252, least=1e-3)
    readings = run(way, n)
    assert readings[0].targets == (0, 1, 2)
    assert all(0 not in reading.targets for reading in readings[1:])
    assert way.steps[0] == SECTIONS < way.steps[1] <= way.steps[2]


def test_errors_that_cancel_do_not_pass_for_none() -> None:
    # Two sections off by as much, up and down: the sum is right after the first round, the map is not.
    changes = np.zeros((1, SECTIONS))
    changes[0, :2] = 1.0, 2.0
    way = Refinement(changes, n_cells=1, tolerance=0.05, most=63, least=1e-3)
    first = next(way.readings())
    # What is read says 2 and 1, with which the whole is 3 as it should be.
    way.take(first, np.array([2.0, 1.0, 0.0, 0.0])[None, :, None] * SECTIONS)
    assert way.relevance[0, 0] == pytest.approx(changes.sum())
    assert {section for section, _ in _following(way).rules} == {0, 1}


def test_places_are_capped_and_what_is_left_open_is_returned_as_it_is() -> None:
    changes, n = powers(400)
    way = Refinement(changes, n_cells=2, tolerance=1e-6, most=9, least=1e-3)
    run(way, n)
    assert way.steps[0] <= 9
    assert abs(way.relevance.sum() - 1) > 1e-6


def test_numbers_that_are_not_finite_end_the_reading() -> None:
    changes, _ = powers(1)
    way = Refinement(changes, n_cells=1, tolerance=0.01, most=63, least=1e-3)
    for reading in way.readings():
        way.take(reading, np.full((1, len(reading.shares), 1), np.nan))
    assert np.isnan(way.relevance).all()


@settings(deadline=None, max_examples=40)
@given(exponents=st.lists(st.integers(1, 30), min_size=1, max_size=4), tolerance=st.sampled_from([0.05, 0.01]))
def test_every_target_ends_within_the_tolerance_and_as_a_rule_of_its_own_would_say(exponents, tolerance) -> None:
    changes, n = powers(*exponents)
    way = Refinement(changes, n_cells=2, tolerance=tolerance, most=252, least=1e-3)
    finest: dict[tuple[int, int], int] = {}
    for reading in run(way, n):
        for section, count in reading.rules:
            for target in reading.targets:
                finest[target, section] = count
    assert np.abs(way.relevance.sum(axis=1) - 1).max() <= tolerance
    for target, exponent in enumerate(n):
        each = 0.0
        for section in range(SECTIONS):
            count = finest[target, section]
            assert count in COUNTS
            places, weights = fejer(count)
            each += (weights / SECTIONS * exponent * ((section + places) / SECTIONS) ** (exponent - 1)).sum()
        assert way.relevance[target].sum() == pytest.approx(each, rel=1e-9)


def _following(way: Refinement) -> Reading:
    """What a way would ask for next, after its first reading was taken."""
    readings = way.readings()
    next(readings)
    return next(readings)
