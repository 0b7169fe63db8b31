"""Which points lie in a drawn shape, and which hold a text."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_maps import make_latent_map

from workbench.mapping.region import points_found, points_inside

SQUARE = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])


def test_a_square_holds_what_lies_between_its_sides() -> None:
    places = np.float32([[2, 2], [5, 2], [-1, 2], [2, 5], [0.1, 3.9]])
    assert points_inside(places, SQUARE).tolist() == [0, 4]


def test_a_notch_is_outside_and_a_shape_across_itself_has_a_hole() -> None:
    notched = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 1.0], [0.0, 4.0]])
    assert points_inside(np.float32([[2, 0.5], [2, 3]]), notched).tolist() == [0]
    star = np.array([[np.sin(turn), np.cos(turn)] for turn in np.arange(5) * 4 * np.pi / 5])
    assert points_inside(np.float32([[0, 0], [0, 0.8]]), star).tolist() == [1]


def test_a_shape_beside_all_points_holds_none_and_many_points_come_in_order() -> None:
    places = np.random.default_rng(0).uniform(0, 1, (50_000, 2)).astype(np.float32)
    assert len(points_inside(places, SQUARE + 10)) == 0
    inside = points_inside(places, SQUARE * 0.125)
    assert inside.dtype == np.int32
    assert inside.tolist() == np.flatnonzero((places < 0.5).all(axis=1)).tolist()


@given(st.lists(st.tuples(st.floats(-9, 9, width=16), st.floats(-9, 9, width=16)), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_triangle_agrees_with_the_signs_of_its_areas(corners: list[tuple[float, float]]) -> None:
    triangle = np.array(corners)
    # Off the grid of half-precision corners, so that no point lies on a side.
    places = np.random.default_rng(1).uniform(-9, 9, (200, 2)).astype(np.float32) + np.float32(1e-3)

    def side(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (b[0] - a[0]) * (places[:, 1] - a[1]) - (b[1] - a[1]) * (places[:, 0] - a[0])

    areas = np.stack([side(triangle[i], triangle[(i + 1) % 3]) for i in range(3)])
    clear = (np.abs(areas) > 1e-6).all(axis=0)
    expected = (areas > 0).all(axis=0) | (areas < 0).all(axis=0)
    found = np.zeros(len(places), dtype=bool)
    found[points_inside(places, triangle)] = True
    assert (found == expected)[clear].all()


def test_a_text_is_found_in_ids_queries_answers_thoughts_and_columns() -> None:
    latent_map = make_latent_map(n_samples=6, k=2)
    assert points_found(latent_map, "TEST-000003").tolist() == [6, 7]
    assert points_found(latent_map, "picture 4?").tolist() == [8, 9]
    assert points_found(latent_map, "remark 11").tolist() == [11]
    assert points_found(latent_map, "blue SQUARE is").tolist() == [4, 5, 10, 11]
    assert points_found(latent_map, "nobody said this").tolist() == []
