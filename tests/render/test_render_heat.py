"""Colours and overlays, with plotly's own tables and pixel arithmetic as the independent side."""

import numpy as np
import pytest
from PIL import Image
from plotly.colors import sample_colorscale, sequential

from workbench.render import heat


@pytest.mark.parametrize("palette", ["viridis", "cividis"])
def test_palettes_agree_with_plotly(palette: heat.Palette) -> None:
    places = np.linspace(0, 1, 41)
    theirs = sample_colorscale(getattr(sequential, palette.capitalize()), places.tolist())
    expected = np.array([[float(part) for part in colour[4:-1].split(",")] for colour in theirs])
    mine = heat.colours(places, low=0, high=1, palette=palette).astype(float)
    # plotly rounds its anchors; its cividis is a resampling of the same map.
    assert np.abs(mine - expected).max() <= (3 if palette == "viridis" else 12)


def test_diverging_palette_is_white_in_the_middle_blue_below_red_above() -> None:
    below, middle, above = heat.colours(np.array([-1.0, 0.0, 1.0]), low=-1, high=1, palette="diverging").astype(int)
    assert middle.min() > 240
    assert below[2] > below[0] + 50
    assert above[0] > above[2] + 50


def test_values_beyond_the_ends_nan_and_empty_scales() -> None:
    low, high = heat.colours(np.array([0.0, 1.0]), low=0, high=1)
    beyond = heat.colours(np.array([-5.0, 5.0, np.nan, np.inf]), low=0, high=1)
    np.testing.assert_array_equal(beyond, [low, high, [128] * 3, high])
    np.testing.assert_array_equal(heat.colours(np.array([3.0, 3.0]), low=3, high=3), [low, low])
    np.testing.assert_array_equal(heat.colours(np.array([0, 1]), low=0, high=1), [low, high])


def test_hot_patch_of_a_non_square_map_lands_on_its_pixels() -> None:
    values = np.zeros((3, 5), dtype=np.float32)
    values[2, 1] = 1
    drawn = np.asarray(heat.overlay(Image.new("RGB", (100, 30)), values, low=0, high=1, opacity=1.0)).astype(int)
    hot, cold = heat.colours(np.array([1.0, 0.0]), low=0, high=1).astype(int)
    assert drawn.shape == (30, 100, 3)
    np.testing.assert_array_equal(drawn[20:30, 20:40], np.broadcast_to(hot, (10, 20, 3)))
    outside = np.ones((30, 100), dtype=bool)
    outside[20:30, 20:40] = False
    np.testing.assert_array_equal(drawn[outside], np.broadcast_to(cold, (outside.sum(), 3)))


def test_opacity_mixes_and_nan_leaves_the_image_clear() -> None:
    image = Image.new("RGB", (20, 10), (200, 100, 0))
    values = np.array([[1.0, np.nan]], dtype=np.float32)
    drawn = np.asarray(heat.overlay(image, values, low=0, high=1, opacity=0.5)).astype(int)
    hot = heat.colours(np.array([1.0]), low=0, high=1)[0].astype(int)
    np.testing.assert_allclose(drawn[5, 5], (hot + np.array([200, 100, 0])) / 2, atol=2)
    np.testing.assert_array_equal(drawn[5, 15], [200, 100, 0])


def test_smooth_overlay_stays_on_the_scale() -> None:
    values = np.array([[0.0, 1.0]], dtype=np.float32)
    drawn = np.asarray(heat.picture(values, (40, 4), low=0, high=1, smooth=True))
    table = {tuple(c) for c in heat.colours(np.linspace(0, 1, 256), low=0, high=1).tolist()}
    assert {tuple(pixel) for pixel in drawn.reshape(-1, 3).tolist()} <= table
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 5


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_overlay_takes_any_mode_of_image(mode: str) -> None:
    drawn = heat.overlay(Image.new(mode, (7, 9)), np.zeros((2, 3), dtype=np.float32), low=0, high=1)
    assert (drawn.mode, drawn.size) == ("RGB", (7, 9))


def test_colour_bar_runs_from_low_to_high() -> None:
    bar = np.asarray(heat.colour_bar((64, 3)))
    assert bar.shape == (3, 64, 3)
    np.testing.assert_array_equal(bar[1, [0, -1]], heat.colours(np.array([0.0, 1.0]), low=0, high=1))
    assert heat.css_gradient().startswith("linear-gradient(90deg,#440154,")


def test_ink_is_readable_on_every_colour_of_every_palette() -> None:
    for palette in ("viridis", "cividis", "diverging"):
        for rgb in heat.colours(np.linspace(0, 1, 256), low=0, high=1, palette=palette):
            linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (rgb / 255).tolist()]
            luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
            contrast = (luminance + 0.05) / 0.05 if heat.ink(rgb) == "#000" else 1.05 / (luminance + 0.05)
            assert contrast >= 4.5
