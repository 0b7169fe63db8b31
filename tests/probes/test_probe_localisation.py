import numpy as np
import pytest
from linear_world import linear_case

from probes.localisation import Localisation
from workbench.errors import Unsupported
from workbench.render.html import panel_html
from workbench.types import ProbeResult

WEIGHTS = np.zeros((1, 15))
WEIGHTS[0, 7] = 1.0
CELLS = np.full((3, 5), 0.2)
CELLS.flat[7] = 0.9
REGION = np.zeros((1, 15))
REGION[0, 7], REGION[0, 8] = 1.0, 0.25


def judged(kind: str) -> ProbeResult:
    return Localisation().judge(linear_case(WEIGHTS, CELLS, kind=kind, truth=REGION))


def test_a_perfect_map_is_on_the_evidence() -> None:
    found = judged("perfect")
    for name in ("pointing_game", "relevance_mass", "relevance_rank", "intersection_over_union", "most_mass"):
        assert found.measure(name).values == pytest.approx([1.0], abs=1e-6), name
    assert found.checks[0].passed


def test_an_inverted_map_is_off_it() -> None:
    found = judged("inverted")
    assert found.measure("relevance_rank").values.tolist() == [0.0]
    assert not found.checks[0].passed


def test_an_even_map_gets_what_chance_gets() -> None:
    found = judged("even")
    assert found.measure("pointing_game").values == pytest.approx(found.measure("pointing_chance").values)
    assert found.measure("pointing_game").values == pytest.approx([2 / 15])
    assert found.measure("relevance_mass").values == pytest.approx(found.measure("mass_chance").values)
    assert not found.checks[0].passed


def test_where_nothing_is_known_it_is_said() -> None:
    with pytest.raises(Unsupported, match="known"):
        Localisation().judge(linear_case(WEIGHTS, CELLS))


def test_it_is_drawn() -> None:
    found = judged("perfect")
    assert all(panel_html(panel, found) for panel in Localisation().view(found))
