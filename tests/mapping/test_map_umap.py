"""UMAP itself, in its own process: one real fit for all tests, and everything that can happen to the process."""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_points import group_vectors, make_points

from workbench.errors import Cancelled
from workbench.latent_map import NO_VALUE, LatentMap
from workbench.mapping import fitting
from workbench.mapping.fitting import Fit, FitCloud, FitFailed, run_fit
from workbench.mapping.making import make_map
from workbench.mapping.neighbours import near_on_map, rank_anew
from workbench.mapping.pca import principal_components
from workbench.mapping.settings import MapSettings
from workbench.stats import nearest_neighbours


@pytest.fixture(scope="session")
def umap_map() -> LatentMap:
    vectors, _ = group_vectors(120, 4, 16)
    vectors[5] = vectors[1]
    return make_map([make_points(vectors)], MapSettings(n_neighbours=8))


@pytest.fixture(scope="session")
def aligned_map() -> LatentMap:
    vectors, group = group_vectors(60, 3, 16)
    other = vectors + 0.02 * np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    other[9] = vectors[group == 1].mean(axis=0)
    parts = [make_points(vectors, name="early"), make_points(other.astype(np.float32), name="late")]
    return make_map(parts, MapSettings(n_neighbours=6, repeat=False))


@pytest.mark.slow
def test_planted_groups_are_islands(umap_map: LatentMap) -> None:
    assert umap_map.shown == "umap"
    places, group = umap_map.projections["umap"], np.arange(120) % 4
    group[5] = 1
    near = near_on_map(places, 8)
    assert (group[near] == group[:, None]).mean() > 0.98
    groups = umap_map.column("cluster").values
    assert len(umap_map.clusters) == 4
    assert all(len(set(groups[(group == g) & (groups != NO_VALUE)].tolist())) == 1 for g in range(4))
    assert [set(cluster.words[:2]) for cluster in umap_map.clusters if "red" in cluster.words] == [{"red", "circle"}]


@pytest.mark.slow
def test_a_umap_says_what_it_is_worth(umap_map: LatentMap) -> None:
    figures = {figure.name: figure for figure in umap_map.figures if figure.projection == "umap"}
    assert set(figures) == {"trustworthiness", "neighbours kept", "stability"}
    assert figures["trustworthiness"].value > 0.9
    kept = figures["neighbours kept"]
    assert kept.chance is not None
    assert 1 >= kept.value > 4 * kept.chance
    assert 1 >= figures["stability"].value > 4 * kept.chance
    assert figures["stability"].seed == umap_map.seed + 1
    assert kept.n == 119
    np.testing.assert_array_equal(umap_map.projections["umap"][5], umap_map.projections["umap"][1])
    assert {"umap-learn", "numba", "pynndescent"} <= set(umap_map.versions)
    assert {"compile", "umap", "pca", "neighbours", "quality", "clusters", "collect"} <= set(umap_map.seconds)
    assert "sizes of groups" in umap_map.reading


@pytest.mark.slow
def test_two_checkpoints_are_aligned_and_the_mover_is_found(aligned_map: LatentMap) -> None:
    pairing = aligned_map.pairing
    assert pairing is not None
    assert dict(pairing.alignment) == {"pca": "procrustes", "umap": "aligned-umap"}
    assert "AlignedUMAP" in pairing.about
    assert pairing.movers[0].pair == 9
    places = aligned_map.projections["umap"]
    apart = np.linalg.norm(places[pairing.pairs[:, 0]] - places[pairing.pairs[:, 1]], axis=1)
    stayed = np.arange(60) != 9
    spread = np.linalg.norm(places - places.mean(axis=0), axis=1).mean()
    assert np.median(apart[stayed]) < 0.5 * spread
    assert apart[9] > np.median(apart[stayed])


@pytest.mark.slow
def test_umap_never_enters_this_process(umap_map: LatentMap, aligned_map: LatentMap) -> None:
    assert not {"umap", "numba", "pynndescent"} & set(sys.modules)


def a_fit() -> Fit:
    vectors, _ = group_vectors(40, 2, 8)
    components = principal_components(vectors, 8)
    return Fit(
        mode="each", clouds=[FitCloud(vectors=vectors, components=components, near=nearest_neighbours(vectors, 5))]
    )


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    """Let the process run this instead of UMAP: the package path is searched in the order of PYTHONPATH."""
    folder = tmp_path / "workbench" / "mapping"
    folder.mkdir(parents=True)
    (tmp_path / "workbench" / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("")
    (folder / "worker.py").write_text(f"import json, os, sys, time\n{body}\n")
    monkeypatch.setattr(fitting, "_environment", lambda: {**os.environ, "PYTHONPATH": str(tmp_path)})


def never() -> bool:
    return False


def test_a_fit_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "time.sleep(60)")
    begin = time.monotonic()
    with pytest.raises(FitFailed, match=r"longer than 0\.5 seconds"):
        run_fit(a_fit(), tell=lambda done, message: None, cancelled=never, timeout=0.5)
    assert time.monotonic() - begin < 20


def test_a_fit_that_nobody_wants_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    stand_in(monkeypatch, tmp_path, f"open({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    with pytest.raises(Cancelled):
        run_fit(
            a_fit(),
            tell=lambda done, message: None,
            cancelled=lambda: mark.exists() and bool(mark.read_text()),
            timeout=60,
        )
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("sys.exit('no space left')", "ended without a map: no space left"),
        ("os.kill(os.getpid(), 9)", "killed by signal 9; out of memory"),
        ("raise ValueError('bad graph')", "ValueError: bad graph"),
    ],
)
def test_a_process_that_dies_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, told: str) -> None:
    stand_in(monkeypatch, tmp_path, body)
    with pytest.raises(FitFailed, match=told):
        run_fit(a_fit(), tell=lambda done, message: None, cancelled=never, timeout=60)


def test_progress_and_results_come_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = """
import numpy as np
folder = sys.argv[1]
job = json.load(open(folder + "/job.json"))
assert job["seeds"] == [0] and job["mode"] == "each" and os.getcwd() == os.path.realpath(folder)
places = np.load(folder + "/0.components.npy")[:, :2]
np.save(folder + "/0.places.0.npy", places)
print(json.dumps({"doing": "Laying out", "done": 0.5}), flush=True)
print(json.dumps({"result": {"seconds": {"compile": 1.0, "umap": 2.0}, "versions": {}}}), flush=True)
time.sleep(60)
"""
    stand_in(monkeypatch, tmp_path, body)
    told: list[tuple[float, str]] = []
    fit = a_fit()
    found = run_fit(fit, tell=lambda done, message: told.append((done, message)), cancelled=never, timeout=60)
    np.testing.assert_array_equal(found.places[0][0], fit.clouds[0].components[:, :2])
    assert told == [(0.5, "Laying out")]


def test_fits_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    asked = iter([False, False, True])
    with fitting._one_at_a_time:
        with pytest.raises(Cancelled, match="before its turn"):
            run_fit(a_fit(), tell=lambda done, message: told.append(message), cancelled=lambda: next(asked), timeout=60)
        assert set(told) == {"Waiting for another map to be fitted"}
    assert not fitting._one_at_a_time.locked()
    assert threading.active_count() >= 1


def test_a_fit_is_not_run_from_where_the_user_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def popen(command: list[str], **options: Any) -> Any:
        seen.update(options, command=command)
        raise OSError("seen enough")

    monkeypatch.setattr(fitting.subprocess, "Popen", popen)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(OSError, match="seen enough"):
        run_fit(a_fit(), tell=lambda done, message: None, cancelled=never, timeout=60)
    assert "-P" in seen["command"]
    assert seen["env"]["NUMBA_CACHE_DIR"] == str(tmp_path / "thinkscope" / "numba")


def test_candidates_are_ranked_by_true_distances() -> None:
    vectors, _ = group_vectors(50, 3, 6)
    exact = nearest_neighbours(vectors, 5)
    shuffled = np.random.default_rng(0).permuted(nearest_neighbours(vectors, 12).indices, axis=1)
    own = np.arange(50, dtype=np.int32)[:, None]
    found = rank_anew(vectors, np.concatenate([shuffled, own], axis=1), 5)
    np.testing.assert_array_equal(found.indices, exact.indices)
    np.testing.assert_allclose(found.distances, exact.distances, rtol=1e-5)


def test_neighbours_on_large_maps_agree_with_those_on_small_ones() -> None:
    places = np.random.default_rng(0).standard_normal((2500, 2))
    np.testing.assert_array_equal(near_on_map(places, 6), nearest_neighbours(places, 6).indices)
    places[100:140] = places[100]
    found = near_on_map(places, 6)
    assert (found != np.arange(2500)[:, None]).all()
    assert all(len(set(row)) == 6 for row in found.tolist())
    assert ((found[100:140] >= 100) & (found[100:140] < 140)).all()
