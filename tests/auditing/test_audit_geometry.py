"""How thoughts lie, on clouds whose figures are known or can be resampled by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import PlantedModel
from safetensors.numpy import save_file

from workbench.auditing.geometry import find_geometry
from workbench.comparing.reading import ABOUT, About, Part, Reading, ReadRow, part_name
from workbench.stats import effective_rank
from workbench.store import dumps

SIZE = 64
LENGTHS = np.array([3.0, 2.0, 1.0, 0.5, 0.2])


def reading(folder: Path, states: np.ndarray) -> Reading:
    """A reading of these states (samples, layers, think, width), in parts as the model would have left them."""
    n, layers, think, width = states.shape
    info = replace(PlantedModel.info, n_layers=layers, n_think=think, width=width)
    about = About(
        name="cloud",
        title="",
        knows="",
        info=info,
        question="",
        data_revision="",
        n_rows=n,
        n_documents=0,
        size=SIZE,
    )
    (folder / ABOUT).write_text(dumps(about))
    for number, begin in enumerate(range(0, n, SIZE)):
        some = np.ascontiguousarray(states[begin : begin + SIZE], dtype=np.float32)
        name = part_name("rows", number)
        (folder / f"{name}.json").write_text(dumps(Part(rows=(ReadRow(),) * len(some))))
        save_file({"latents": some}, folder / f"{name}.safetensors")
    return Reading(folder)


def rank_of_cloud(cloud: np.ndarray) -> float:
    moved = cloud - cloud.mean(axis=0)
    return float(
        np.mean(
            [
                effective_rank(np.linalg.eigvalsh(moved[:, k].T @ moved[:, k] / len(cloud)))
                for k in range(cloud.shape[1])
            ]
        )
    )


def test_the_interval_of_the_effective_rank_is_that_of_a_bootstrap_of_the_cloud(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    cloud = draw.normal(size=(400, 2, 5)) * LENGTHS
    [found] = find_geometry(reading(tmp_path, cloud[:, None]), np.zeros((0, 1, 4)), seed=0)
    assert found.effective_rank.value == pytest.approx(rank_of_cloud(cloud), rel=1e-5)
    assert found.effective_rank.n == 400
    drawn = [rank_of_cloud(cloud[draw.integers(400, size=400)]) for _ in range(400)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.effective_rank.high - found.effective_rank.low == pytest.approx(high - low, rel=0.2)


def test_collapsed_thoughts_have_no_rank_and_no_spread(tmp_path: Path) -> None:
    same = np.tile(np.arange(5.0), (40, 1, 3, 1))
    [found] = find_geometry(reading(tmp_path, same), np.zeros((0, 1, 4)), seed=0)
    assert (found.effective_rank.value, found.effective_rank.low, found.effective_rank.high) == (0, 0, 0)
    assert found.spread is not None
    assert found.spread.value == 0
    assert found.cosine_samples is not None
    assert found.cosine_samples.value == pytest.approx(1)
    assert found.cosine_positions is not None
    assert found.cosine_positions.value == pytest.approx(1)
    assert found.by_query is None


def test_one_direction_is_rank_one(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    line = draw.normal(size=(60, 1, 2, 1)) * np.ones(5)
    [found] = find_geometry(reading(tmp_path, line), np.zeros((0, 1, 4)), seed=0)
    assert found.effective_rank.value == pytest.approx(1, abs=1e-6)
    assert found.effective_rank.low == pytest.approx(1, abs=1e-3)
