import numpy as np
import pytest

from workbench.quadrature import fejer, gauss


@pytest.mark.parametrize("n", [1, 2, 5, 7, 16, 31])
def test_polynomials_are_integrated_exactly_and_the_next_degree_is_not(n: int) -> None:
    for rule, degree in ((gauss, 2 * n - 1), (fejer, n - 1)):
        places, weights = rule(n)
        assert (np.diff(places) > 0).all()
        assert 0 < places[0] <= places[-1] < 1
        for power in range(degree + 1):
            assert (weights * places**power).sum() == pytest.approx(1 / (power + 1), abs=1e-12)
    if n <= 7:
        places, weights = gauss(n)
        assert abs((weights * places ** (2 * n)).sum() - 1 / (2 * n + 1)) > 1e-12


@pytest.mark.parametrize("n", [1, 3, 7, 15, 63])
def test_fejers_places_stay_when_their_count_is_doubled(n: int) -> None:
    np.testing.assert_allclose(fejer(2 * n + 1)[0][1::2], fejer(n)[0], atol=1e-14)
