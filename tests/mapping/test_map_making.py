"""Maps of planted points by PCA alone: what comes out for good data, and for every kind of bad."""

import sys
from typing import Any

import numpy as np
import pytest
import sklearn.decomposition
from planted import PROVENANCE
from planted_points import WORDS, group_vectors, make_points

from workbench.errors import BadInput, Cancelled
from workbench.latent_map import NO_VALUE, LatentMap
from workbench.mapping.cloud import GRAIN, make_cloud
from workbench.mapping.fitting import Fit, FitFailed, Fitted
from workbench.mapping.gathering import Gatherer
from workbench.mapping.making import make_map
from workbench.mapping.pca import principal_components
from workbench.mapping.settings import MapSettings, check_metric, check_projection

PCA = MapSettings(projection="pca", n_neighbours=6)


@pytest.fixture(scope="module")
def grouped() -> LatentMap:
    vectors, _ = group_vectors(160, 4, 24)
    return make_map([make_points(vectors, steps=2)], PCA)


@pytest.mark.parametrize(("n", "dim"), [(50, 8), (8, 50), (30, 30)])
def test_components_agree_with_scikit_learn(n: int, dim: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((n, dim)).astype(np.float32)
    ours = principal_components(vectors, 5)
    theirs = sklearn.decomposition.PCA(5, svd_solver="full").fit_transform(vectors)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=2e-4)


def test_components_beyond_the_rank_are_zero() -> None:
    line = np.outer(np.arange(6), np.ones(3)).astype(np.float32)
    found = principal_components(line, 4)
    np.testing.assert_allclose(found[:, 0], (np.arange(6) - 2.5) * np.sqrt(3), rtol=1e-5)
    np.testing.assert_array_equal(found[:, 1:], 0)


def test_small_components_of_many_vectors_are_kept() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((50_000, 12)).astype(np.float32)
    vectors[:, 0] *= 20
    found = principal_components(vectors, 12)
    spread = found.std(axis=0)
    assert spread[0] == pytest.approx(20, rel=0.02)
    np.testing.assert_allclose(spread[1:], 1, rtol=0.03)


def test_copies_are_one_point() -> None:
    vectors, _ = group_vectors(20, 2, 8)
    vectors[7] = vectors[3]
    vectors[11] = 2 * vectors[3]  # the same direction, so the same point under the cosine
    vectors[12] = vectors[3] + 1e-7
    cloud = make_cloud(vectors, "cosine")
    assert len(cloud.vectors) == 17
    assert set(np.flatnonzero(cloud.inverse == cloud.inverse[3]).tolist()) == {3, 7, 11, 12}
    np.testing.assert_allclose(np.linalg.norm(cloud.vectors, axis=1), 1, rtol=1e-6)
    assert len(make_cloud(vectors, "euclidean").vectors) == 18


@pytest.mark.parametrize("dim", [8, 160, 1_024])
def test_near_copies_are_one_point_in_any_number_of_dimensions(dim: int) -> None:
    draw = np.random.default_rng(0)
    lone = draw.standard_normal((200, dim))
    lone /= np.linalg.norm(lone, axis=1, keepdims=True)
    shift = draw.standard_normal((200, dim))
    shift /= np.linalg.norm(shift, axis=1, keepdims=True)
    near = make_cloud(np.concatenate([lone, lone + 1e-6 * shift]).astype(np.float32), "cosine")
    assert near.inverse.tolist() == [*range(200), *range(200)]
    assert near.first.tolist() == list(range(200))
    apart = make_cloud(np.concatenate([lone, lone + 1e-4 * shift]).astype(np.float32), "euclidean")
    assert len(apart.vectors) == 400


def test_a_collapsed_cloud_is_merged_as_a_search_of_all_pairs_would() -> None:
    draw = np.random.default_rng(1)
    vectors = (1 + 2e-6 * draw.standard_normal((300, 4))).astype(np.float32)
    cloud = make_cloud(vectors, "euclidean")
    grain = GRAIN * np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1).mean())
    between = np.linalg.norm(cloud.vectors[:, None].astype(np.float64) - cloud.vectors[None], axis=2)
    assert 1 <= len(cloud.vectors) < 10
    # Nobody is further from the one that stands for it than twice the grain, and all that are left apart differ.
    held = np.linalg.norm(vectors.astype(np.float64) - cloud.vectors[cloud.inverse], axis=1)
    assert held.max() <= 2 * grain
    assert len(cloud.vectors) == 1 or between[~np.eye(len(between), dtype=bool)].min() > 0


def test_copies_lie_in_one_place_and_are_counted() -> None:
    vectors, _ = group_vectors(40, 2, 8)
    vectors[7] = vectors[3]
    found = make_map([make_points(vectors)], PCA)
    assert found.duplicates == 1
    assert found.duplicate_share == 1 / 40
    np.testing.assert_array_equal(found.projections["pca"][7], found.projections["pca"][3])
    column = found.column("duplicate")
    assert [column.categories[code] for code in column.values[[3, 7, 8]]] == ["duplicate", "duplicate", "single"]
    assert 7 not in found.neighbours
    np.testing.assert_array_equal(found.neighbours[7], found.neighbours[3])
    assert "1 of 40 points" in " ".join(found.notes)


def test_neighbours_are_of_the_original_space(grouped: LatentMap) -> None:
    vectors, _ = group_vectors(160, 4, 24)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = 1 - unit @ unit.T
    np.fill_diagonal(cosine, np.inf)
    np.testing.assert_array_equal(grouped.neighbours, np.argsort(cosine, axis=1)[:, :6])
    np.testing.assert_allclose(grouped.distances, np.sort(cosine, axis=1)[:, :6], atol=1e-6)


def test_planted_groups_are_found_and_named(grouped: LatentMap) -> None:
    assert len(grouped.clusters) == 4
    groups = grouped.column("cluster").values
    # Group of point i is i % 4; both points of a sample have one thought, which names the task of the sample.
    assert len({(i % 4, int(group)) for i, group in enumerate(groups) if group != NO_VALUE}) == 4
    assert (groups == NO_VALUE).mean() < 0.1


def test_columns_are_in_the_order_of_use(grouped: LatentMap) -> None:
    names = [column.name for column in grouped.columns]
    assert names == ["task", "think position", "cluster", "neighbours kept", "duplicate"]
    np.testing.assert_array_equal(grouped.column("think position").values[:4], [1, 2, 1, 2])
    assert grouped.column("task").categories == WORDS
    np.testing.assert_array_equal(grouped.starts()[:3], [0, 2, 4])


def test_figures_are_right_where_the_map_is_perfect_and_where_it_is_random() -> None:
    draw = np.random.default_rng(0)
    flat = draw.standard_normal((120, 2)).astype(np.float32)
    euclidean = MapSettings(projection="pca", n_neighbours=6, metric="euclidean")
    perfect = make_map([make_points(flat)], euclidean)
    assert {figure.name: figure.value for figure in perfect.figures} == {"trustworthiness": 1.0, "neighbours kept": 1.0}
    np.testing.assert_array_equal(perfect.kept, 1)
    noise = draw.standard_normal((400, 300)).astype(np.float32)
    random = {figure.name: figure for figure in make_map([make_points(noise)], euclidean).figures}
    kept = random["neighbours kept"]
    assert kept.chance == 6 / 399
    assert kept.value < 0.2
    assert 0.4 < random["trustworthiness"].value < 0.7


def test_pca_is_painted_first() -> None:
    painted: list[LatentMap] = []
    told: list[tuple[float, str]] = []
    vectors, _ = group_vectors(40, 2, 8)
    final = make_map(
        [make_points(vectors)], PCA, paint=painted.append, tell=lambda done, doing: told.append((done, doing))
    )
    [first] = painted
    np.testing.assert_array_equal(first.projections["pca"], final.projections["pca"])
    assert first.neighbours.shape == (40, 0)
    shares = [done for done, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def bad(kind: str) -> np.ndarray:
    vectors, _ = group_vectors(30, 2, 8)
    match kind:
        case "one":
            return vectors[:1]
        case "two":
            return vectors[:2]
        case "constant":
            return np.tile(vectors[:1], (30, 1))
        case "nan":
            vectors[4, 2] = np.nan
            vectors[9] = np.inf
            vectors[11] = 0
    return vectors


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("one", "with 1 point the map shows the PCA"),
        ("two", "with 2 different points the map shows the PCA"),
        ("constant", "All 30 points have the same vector"),
    ],
)
def test_what_umap_cannot_lay_out_comes_as_pca_with_a_note(kind: str, told: str) -> None:
    found = make_map([make_points(bad(kind))], MapSettings(n_neighbours=6))
    assert found.shown == "pca"
    assert told in " ".join(found.notes)
    assert np.isfinite(found.projections["pca"]).all()


def test_points_without_a_place_are_left_out_and_counted() -> None:
    found = make_map([make_points(bad("nan"))], PCA)
    assert len(found) == 27
    assert "3 of 30 points were left out" in found.notes[0]
    assert {"s00004", "s00009", "s00011"}.isdisjoint(sample.id for sample in found.samples)
    assert found.column("task").values.tolist() == [int(sample.id[1:]) % 4 for sample in found.samples]


def test_nothing_but_nan_is_refused() -> None:
    with pytest.raises(BadInput, match="There is nothing to map: 5 of 5 points were left out"):
        make_map([make_points(np.full((5, 3), np.nan, dtype=np.float32))], PCA)


def test_a_failed_fit_leaves_the_pca(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise FitFailed("UMAP's process ended without a map (killed by signal 9; out of memory?).")

    monkeypatch.setattr("workbench.mapping.making.run_fit", fail)
    vectors, _ = group_vectors(40, 2, 8)
    found = make_map([make_points(vectors)], MapSettings(n_neighbours=6))
    assert found.shown == "pca"
    assert "The map shows the PCA. UMAP's process ended" in found.notes[-1]


def test_a_failed_search_for_neighbours_leaves_the_pca(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise FitFailed("UMAP's process ended without a map (killed by signal 9; out of memory?).")

    monkeypatch.setattr("workbench.mapping.making.run_fit", fail)
    monkeypatch.setattr("workbench.mapping.ground.EXACT", 10)
    vectors, _ = group_vectors(40, 2, 8)
    found = make_map([make_points(vectors)], MapSettings(n_neighbours=6))
    assert (found.shown, found.figures, found.neighbours.shape[1]) == ("pca", (), 0)
    [told] = [note for note in found.notes if "Neighbours" in note]
    assert told.startswith("Neighbours could not be searched for, so the map shows the PCA")
    assert "killed by signal 9" in told


def test_a_failed_repeat_leaves_the_umap_and_says_what_was_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = group_vectors(40, 2, 8)
    fits = []

    def fail_second(fit: Fit, **_: Any) -> Fitted:
        fits.append(fit)
        if len(fits) > 1:
            raise FitFailed("It took longer than 5 seconds.")
        places = tuple(cloud.components[:, :2] for cloud in fit.clouds)
        return Fitted(places=(places,), near=(None,), seconds={"compile": 0.0, "umap": 0.0}, versions={})

    monkeypatch.setattr("workbench.mapping.making.run_fit", fail_second)
    monkeypatch.setattr("workbench.mapping.making.REPEATED", 10)
    found = make_map([make_points(vectors)], MapSettings(n_neighbours=6))
    assert (found.shown, len(fits)) == ("umap", 2)
    assert "Stability was not measured. It took longer than 5 seconds." in found.notes
    assert not any("shows the PCA" in note for note in found.notes)


@pytest.mark.parametrize("name", ["cluster", "duplicate", "think position", "neighbours kept", "checkpoint"])
def test_a_field_of_the_data_that_is_called_like_a_column_of_the_map_has_another_name(name: str) -> None:
    gatherer = Gatherer("embedding", None, 12, tells=None)
    for number in range(12):
        record = {
            "id": f"s{number}",
            "row": number + 1,
            "role": "query",
            "text": "red",
            "images": [],
            "metadata": [{"name": name, "value": "ab"[number % 2]}],
            "expected": None,
            "thought": None,
            "error": None,
        }
        vector = np.random.default_rng(number).standard_normal(4).astype(np.float32)
        gatherer.add(record, {"embedding": vector}.get)
    points = gatherer.points(PROVENANCE, source={}, title="t", seconds=0.0)
    found = make_map([points], MapSettings(projection="pca", n_neighbours=3))
    assert [found.column(f"{name} (data)").categories[code] for code in found.column(f"{name} (data)").values] == [
        *"ab" * 6
    ]
    assert len({column.name for column in found.columns}) == len(found.columns)


def test_an_unwanted_map_is_given_up() -> None:
    vectors, _ = group_vectors(40, 2, 8)
    with pytest.raises(Cancelled):
        make_map([make_points(vectors)], PCA, cancelled=lambda: True)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"n_neighbours": 1}, "must be 2 to 200"),
        ({"min_dist": 2.0}, "must be 0 to 1"),
        ({"seed": -1}, "must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        MapSettings(**setting)


def test_unknown_projections_and_metrics_are_refused() -> None:
    with pytest.raises(BadInput, match="must be umap or pca"):
        check_projection("tsne")
    with pytest.raises(BadInput, match="must be cosine or euclidean"):
        check_metric("manhattan")


def test_umap_stays_out_of_this_process(grouped: LatentMap) -> None:
    assert not {"umap", "numba", "pynndescent"} & set(sys.modules)
