import dataclasses
from typing import Any

import numpy as np
import pytest
from linear_world import LinearModel, ToyMap, linear_case

from probes.faithfulness import Faithfulness
from workbench import store
from workbench.errors import WorkbenchError
from workbench.perturbation import centre_map, count_at, order_of, points, readable, trace_curves, values_filled
from workbench.render.html import panel_html
from workbench.render.text import panel_text
from workbench.targets import WordTarget
from workbench.types import PatchGrid, ProbeResult

GRID = (4, 6)
WEIGHTS = np.zeros((2, 24))
WEIGHTS[0, 3], WEIGHTS[1, 20] = 1.0, -1.0
CELLS = np.full(GRID, 0.2)
CELLS.flat[3], CELLS.flat[20] = 1.0, 0.0


def judged(kind: str, **settings: Any) -> ProbeResult:
    return Faithfulness(randoms=20, **settings).judge(linear_case(WEIGHTS, CELLS, kind=kind))


def check(result: ProbeResult, name: str) -> bool:
    return next(c.passed for c in result.checks if c.name == name)


def test_a_perfect_map_moves_the_target_with_its_first_cell() -> None:
    case = linear_case(WEIGHTS, CELLS)
    result = Faithfulness().judge(case)
    full = case.result.measure("value").values
    assert full == pytest.approx([1.0, 0.0], abs=0.01)
    # One cell holds everything: deletion falls at once, insertion rises at once.
    objective = case.objective("pixels")
    empty = objective(objective.baseline("mean")[None])[0].numpy()
    areas = result.measure("areas_mean").values
    np.testing.assert_allclose(areas[:, 0], empty + (full - empty) / 2 / 24, atol=1e-5)
    np.testing.assert_allclose(areas[:, 1], full - (full - empty) / 2 / 24, atol=1e-5)
    lost = result.measure("comprehensiveness_mean")
    np.testing.assert_allclose(lost.values[0], np.broadcast_to(full - empty, (4, 2)), atol=1e-5)
    np.testing.assert_allclose(result.measure("sufficiency_mean").values[0], 0, atol=1e-5)


def test_sums_of_a_perfect_map_explain_every_effect() -> None:
    assert judged("perfect").measure("infidelity_blur").values == pytest.approx([0, 0], abs=1e-5)
    assert (judged("noisy").measure("infidelity_blur").values > 0.1).all()


@pytest.mark.parametrize("filling", ["blur", "mean"])
def test_a_perfect_map_beats_random_maps_and_an_inverted_one_does_not(filling: str) -> None:
    good, bad = judged("perfect"), judged("inverted")
    for control in ("random maps", "the image's centre"):
        assert check(good, f"better than {control} ({filling})")
        assert not check(bad, f"better than {control} ({filling})")
    assert check(good, f"the fill matters ({filling})")


def test_an_even_map_is_no_better_than_random_maps() -> None:
    assert not check(judged("even"), "better than random maps (mean)")


def test_a_fill_that_moves_nothing_is_said() -> None:
    result = Faithfulness().judge(linear_case(WEIGHTS, np.full(GRID, 0.4)))
    assert not check(result, "the fill matters (blur)")


def test_several_images_of_unequal_sides_share_one_order() -> None:
    weights = np.zeros((1, 24 + 10))
    weights[0, 24 + 7] = 2.0
    second = np.zeros((5, 2))
    second.flat[7] = 0.8
    case = linear_case(weights, CELLS, second)
    assert order_of(case.relevance)[0, 0] == 31
    assert check(Faithfulness().judge(case), "better than random maps (blur)")


def test_results_are_repeatable_stored_and_drawn() -> None:
    result = judged("perfect")
    assert store.dumps(judged("perfect")) == store.dumps(result)
    assert store.dumps(store.loads(ProbeResult, store.dumps(result))) == store.dumps(result)
    for panel in Faithfulness().view(result):
        assert panel_html(panel, result).strip()
        assert panel_text(panel, result).strip()


def test_large_grids_are_read_at_fewer_points_and_it_is_said() -> None:
    result = judged("perfect", steps=4)
    assert len(result.measure("deletion_blur").coords["share"]) == 5
    assert "24 cells" in str(result.measure("remarks").values[0])
    with pytest.raises(KeyError):
        judged("perfect", steps=24).measure("remarks")


def test_a_cancelled_check_stops() -> None:
    class Stop(WorkbenchError):
        pass

    def tick(share: float, doing: str) -> None:
        raise Stop(doing)

    with pytest.raises(Stop, match="Filling"):
        Faithfulness().judge(linear_case(WEIGHTS, CELLS), tick)


def test_equal_sets_of_cells_run_once() -> None:
    case = linear_case(WEIGHTS, CELLS)
    objective = case.objective("pixels")
    seen = []

    class Counted(type(objective)):
        def __call__(self, features):
            seen.append(len(features))
            return super().__call__(features)

    objective.__class__ = Counted
    filled = np.zeros((5, 24), dtype=bool)
    filled[3:, 3] = True
    values = values_filled(objective, filled, "blur")
    assert sum(seen) == 2
    assert np.ptp(values[:3], axis=0).max() == 0
    assert values[3, 0] < values[0, 0]


def test_tokens_are_refused_where_pixels_are_filled() -> None:
    case = linear_case(WEIGHTS, CELLS)
    with pytest.raises(ValueError, match="pixels"):
        values_filled(case.objective("tokens"), np.zeros((1, 24), dtype=bool), "blur")


def test_curves_start_at_the_whole_image_and_end_at_the_fill() -> None:
    case = linear_case(WEIGHTS, CELLS)
    curves = trace_curves(case.objective("pixels"), order_of(case.relevance), points(24, 24), "mean")
    np.testing.assert_allclose(curves.insertion[:, 0], curves.deletion[:, -1])
    np.testing.assert_allclose(curves.insertion[:, -1], curves.deletion[:, 0])


def test_words_are_read_as_probabilities() -> None:
    plain = WordTarget(label="a", tokens=(1,), start=0, stop=1)
    against = dataclasses.replace(plain, alternative=(2,))
    found = readable(np.log([[0.25, 0.6 / 0.2]]), (plain, against))
    np.testing.assert_allclose(found, [[0.25, 0.75]])


def test_points_hold_ends_shares_and_steps() -> None:
    assert points(1, 1).tolist() == [0, 1]
    assert set(points(100, 4)) == {0, 5, 10, 20, 25, 50, 75, 100}
    assert [count_at(share, 36) for share in (0.05, 0.1, 0.2, 0.5)] == [2, 4, 8, 18]


def test_equal_relevances_are_ordered_by_chance_and_alike_each_time() -> None:
    even = np.ones((1, 50))
    assert order_of(even, 1).tolist() == order_of(even, 1).tolist()
    assert order_of(even)[0].tolist() != list(range(50))
    assert order_of(np.array([[0.0, 3.0, 1.0]]))[0].tolist() == [1, 2, 0]


def test_the_centre_map_is_highest_in_the_middle_of_every_image() -> None:
    grids = (PatchGrid(frames=2, rows=3, cols=5, start=0), PatchGrid(frames=1, rows=1, cols=3, start=30))
    found = centre_map(grids)
    assert found[:15].argmax() == 7
    np.testing.assert_array_equal(found[:15], found[15:30])
    assert found[30:].argmax() == 1


def test_the_toy_world_is_what_it_says() -> None:
    model = LinearModel(WEIGHTS)
    case = linear_case(WEIGHTS, CELLS, kind="image")
    np.testing.assert_allclose(case.relevance[0], CELLS.reshape(-1), atol=0.01)
    assert isinstance(case.method, ToyMap)
    assert model.randomised(("first half",), 1).weights[0, 12:].tolist() == WEIGHTS[0, 12:].tolist()
