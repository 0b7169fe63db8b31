"""Maps as a picture file: one row for each target, each pixel's colour on one scale."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from planted import PROVENANCE

from workbench.render import heat
from workbench.render.sheet import explanation_png
from workbench.types import Measure, ProbeResult

WIDE, TALL = Image.new("RGB", (50, 30), "grey"), Image.new("RGB", (20, 60), "grey")


def result(*maps: np.ndarray, signed: bool = True) -> ProbeResult:
    measures = tuple(
        Measure(
            name=f"attribution_image_{i}",
            values=values.astype(np.float32),
            dims=("target", "rows", "cols"),
            units="nats",
            coords={"target": tuple(f"word {k}: ☃" for k in range(len(values)))},
            signed=signed,
        )
        for i, values in enumerate(maps)
    )
    return ProbeResult(
        probe="x", version=1, sample_id="s", parameters={}, measures=measures, checks=(), provenance=PROVENANCE
    )


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("signed", [True, False])
def test_a_row_for_each_target_and_one_scale_for_all(signed: bool) -> None:
    first, second = np.zeros((2, 3, 5)), np.zeros((2, 6, 2))
    first[1, 0, 0], second[0, 5, 1] = 4.0, 2.0
    one = opened(explanation_png(result(first[:1], second[:1], signed=signed), [WIDE, TALL]))
    two = opened(explanation_png(result(first, second, signed=signed), [WIDE, TALL]))
    assert two.shape[0] > 1.8 * one.shape[0] - 100
    assert two.shape[1] >= 384 + 128
    palette: heat.Palette = "diverging" if signed else "viridis"
    low = -4.0 if signed else 0.0
    top = heat.colours(np.array([4.0]), low=low, high=4.0, palette=palette)[0] * 0.6 + 128 * 0.4
    half = heat.colours(np.array([2.0]), low=low, high=4.0, palette=palette)[0] * 0.6 + 128 * 0.4
    for colour in (top, half):
        assert (np.abs(two.astype(int) - colour).max(axis=-1) <= 2).sum() > 500


def test_a_map_without_signal_is_drawn_too() -> None:
    assert opened(explanation_png(result(np.zeros((1, 3, 5))), [WIDE])).shape[2] == 3
