"""Patches are those of transformers' own processor, bit for bit."""

from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from workbench.models.patches import Patcher

SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"patch_size": 8, "size": {"shortest_edge": 80 * 80, "longest_edge": 128 * 128}},
    {"temporal_patch_size": 1, "merge_size": 1},
    {"resample": 2, "rescale_factor": 1 / 127.5, "image_mean": [1.0, 0.5, 0.2], "image_std": [0.5, 0.7, 1.0]},
    {"do_normalize": False},
    {"do_rescale": False},
)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("width", "height"), [(96, 64), (31, 57), (301, 100)])
def test_patches_are_the_processor_s(settings: dict[str, Any], width: int, height: int) -> None:
    processor = Qwen2VLImageProcessorPil(**settings)
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    expected = processor(images=[image], return_tensors="np")
    found, grid = Patcher(processor).cut(image)
    assert found.dtype == np.float32
    assert np.array_equal(found, np.asarray(expected["pixel_values"], dtype=np.float32))
    assert list(grid) == expected["image_grid_thw"][0].tolist()


def test_a_processor_of_another_kind_cuts_by_itself() -> None:
    class Inverting(Qwen2VLImageProcessorPil):
        def rescale(self, image: np.ndarray, scale: float, **_: Any) -> np.ndarray:
            return 1 - super().rescale(image, scale)

    image = Image.fromarray(np.full((56, 84, 3), 200, dtype=np.uint8))
    plain, _ = Patcher(Qwen2VLImageProcessorPil()).cut(image)
    inverted, _ = Patcher(Inverting()).cut(image)
    assert np.abs(plain - inverted).min() > 0.1


def test_too_long_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match="aspect ratio"):
        Patcher(Qwen2VLImageProcessorPil()).cut(Image.new("RGB", (2010, 10)))
