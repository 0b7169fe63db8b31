from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from workbench.errors import BadInput, Unsupported
from workbench.evaluation.planted_evidence import plant, planted_sample, planted_samples
from workbench.images import open_image, refer


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(90, 140, size=(70, 120, 3)).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("seed", range(5))
def test_the_evidence_is_all_that_differs(photo: Path, seed: int) -> None:
    planted = plant(refer(photo), "what is it?", seed=seed)
    with_it, bare = (np.asarray(open_image(one.images[0])) for one in (planted.query, planted.bare))
    assert np.array_equal((with_it != bare).any(axis=2), planted.mask)
    assert 0.02 < planted.mask.mean() < 0.2
    # It lies wholly inside: no row or column at the edge holds any of it.
    assert not planted.mask[[0, -1]].any()
    assert not planted.mask[:, [0, -1]].any()
    elsewhere = (np.asarray(open_image(planted.right.images[0])) != bare).any(axis=2)
    assert elsewhere.sum() == pytest.approx(planted.mask.sum(), rel=0.1)
    assert not (elsewhere & planted.mask).any()
    assert planted.wrong.images[0].sha256 == planted.bare.images[0].sha256


def test_seeds_decide_the_place(photo: Path) -> None:
    first, again, other = (plant(refer(photo), seed=seed).mask for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (200, 9)])
def test_odd_images_can_be_planted_in(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "odd.png"
    Image.new("RGB", size, "white").save(path)
    assert plant(refer(path)).mask.shape == size[::-1]


def test_a_model_gets_a_target_with_known_cells(photo: Path, tiny_model: Any) -> None:
    for seed in range(8):
        planted = plant(refer(photo), seed=seed)
        try:
            sample = planted_sample(tiny_model, planted)
        except Unsupported as refusal:
            assert "does not move" in str(refusal)
            continue
        [grid] = sample.encoded.grids
        assert sample.truth.shape == (1, grid.n_tokens)
        assert sample.truth.mean() == pytest.approx(planted.mask.mean())
        objective = tiny_model.objective(sample.encoded, sample.targets)
        assert np.isfinite(objective(objective.features[None]).numpy()).all()


def test_folders_give_one_sample_for_each_image(photo: Path, tiny_model: Any) -> None:
    (photo.parent / "notes.txt").write_text("not an image")
    assert len(list(planted_samples(tiny_model, photo.parent, n=5))) == 1
    with pytest.raises(BadInput, match="folder"):
        list(planted_samples(tiny_model, photo, n=5))
    empty = photo.parent / "empty"
    empty.mkdir()
    with pytest.raises(BadInput, match="no images"):
        list(planted_samples(tiny_model, empty, n=5))
