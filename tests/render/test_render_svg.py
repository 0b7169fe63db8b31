"""Charts as SVG: no two lines look alike before both colours and dashes are through."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.render import svg
from workbench.render.values import Series


def drawn(n: int) -> str:
    values = np.linspace(0, 1, n * 3).reshape(n, 3)
    return svg.lines(
        Series(names=tuple(f"line {i}" for i in range(n)), x=("0", "1", "2"), values=values), units="u", x="k"
    )


def test_lines_differ_in_colour_or_dashes() -> None:
    page = drawn(14)
    lines = re.findall(r'stroke="(#\w+)" stroke-width="2"( stroke-dasharray="6 4")?/>', page)
    assert len(lines) == 14
    assert len(set(lines)) == 14
    swatches = re.findall(r'<i style="background:([^"]+)"', page)
    assert len(set(swatches)) == 14
    assert sum("gradient" in one for one in swatches) == 7


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0.0, 1.0, [0, 0.25, 0.5, 0.75, 1]),
        (10 / 14, 1.0, [0.8, 0.9, 1.0]),
        (0.0, 8.0, [0, 2, 4, 6, 8]),
        (-0.3, 0.0, [-0.3, -0.2, -0.1, 0]),
        (17.0, 4321.0, [2000, 4000]),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, marks: list[float]) -> None:
    assert svg.round_marks(low, high) == pytest.approx(marks)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_marks_stand_on_their_axis_evenly(low: float, size: float) -> None:
    size *= max(1.0, abs(low))  # a narrower axis has not the digits for even marks
    high = low + size
    marks = np.array(svg.round_marks(low, high))
    assert 2 <= len(marks) <= 5
    assert ((marks >= low - 1e-6 * size) & (marks <= high + 1e-6 * size)).all()
    assert np.ptp(np.diff(marks)) <= 1e-6 * size


def test_few_lines_are_whole() -> None:
    assert "dasharray" not in drawn(7)
    assert "gradient" not in drawn(7)


def test_a_line_breaks_where_it_has_no_value() -> None:
    values = np.array([[0.0, np.nan, 1.0, 2.0]])
    page = svg.lines(Series(names=("",), x=("0", "1", "2", "3"), values=values), units="u", x="k")
    [path] = re.findall(r'<path d="([^"]+)" fill="none"', page)
    assert re.fullmatch(r"M[\d. ]+M[\d. ]+L[\d. ]+", path)
    assert page.count("<circle") == 3
    assert "ts-legend" not in page


def test_curves_stand_where_their_numbers_say_on_one_axis() -> None:
    page = svg.curves({"even": [(2, 0.5), (0, 0.0), (4, 1.0)], "other": [(1, 1.0), (3, 0.0)]}, units="u", x="k")
    circles = [tuple(map(float, one)) for one in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', page)]
    across = dict(zip((0, 2, 4, 1, 3), circles, strict=True))  # each line from left to right
    left, right = across[0][0], across[4][0]
    for x, (place, _) in across.items():
        assert place == pytest.approx(left + x / 4 * (right - left), abs=0.1)
    assert across[0][1] == across[3][1] > across[2][1] > across[4][1] == across[1][1]
    [even, other] = re.findall(r'<path d="M([^"]+)" fill="none"', page)
    assert (even.count("L"), other.count("L")) == (2, 1)
    assert "<title>k 2 even: 0.5 u</title>" in page
    assert page.count("<span><i") == 2
