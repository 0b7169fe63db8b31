"""Pixels and masks."""

import math
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.shapes import COLOURS, SHAPES, SPLITS, Background, ShapesConfig, draw, make_scene, masks
from workbench.data.shapes.drawing import PALETTE, paint_background
from workbench.data.shapes.stencil import SUB, stencil
from workbench.errors import BadInput

CROWDED = ShapesConfig(objects=(1, 6))
# Drawn inside the tests: the shape checks use `random`, which hypothesis does not allow in a strategy.
Where = tuple[str, int]
wheres = st.tuples(st.sampled_from(SPLITS), st.integers(0, 10**6))


def test_pixels_and_masks_are_the_same_on_every_machine() -> None:
    digest = sha256()
    for split in SPLITS:
        for index in range(12):
            scene = make_scene(CROWDED, split, index)
            pixels, covered = draw(scene), masks(scene)
            digest.update(repr((pixels.shape, covered.shape)).encode() + pixels.tobytes() + covered.tobytes())
    assert digest.hexdigest() == "1f5d2cdfa150a29916be1010cbd563b0306dc6172aeae624a47bfe43effba3e6"


@given(wheres)
@settings(max_examples=60, deadline=None)
def test_each_mask_is_where_its_object_changes_the_picture(where: Where) -> None:
    scene = make_scene(CROWDED, *where)
    pixels, covered = draw(scene), masks(scene)
    assert pixels.shape == (scene.height, scene.width, 3)
    assert covered.shape == (len(scene.objects), scene.height, scene.width)
    for index, mask in enumerate(covered):
        without = replace(scene, objects=scene.objects[:index] + scene.objects[index + 1 :])
        changed = (draw(without) != pixels).any(axis=2)
        assert changed[mask].all()
        # Beyond the mask only the smoothed edge changes, within the square that the object is drawn in.
        (row, col), reach = scene.objects[index].centre, scene.objects[index].diameter / 2 + 1
        rows, cols = np.nonzero(changed)
        assert (abs(rows + 0.5 - row) < reach).all()
        assert (abs(cols + 0.5 - col) < reach).all()


@given(wheres)
@settings(max_examples=60, deadline=None)
def test_masks_are_disjoint_and_fill_their_boxes(where: Where) -> None:
    scene = make_scene(CROWDED, *where)
    covered = masks(scene)
    assert covered.sum(axis=0).max() == 1
    for mask, thing in zip(covered, scene.objects, strict=True):
        rows, cols = np.nonzero(mask)
        assert thing.box == (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
        assert mask.sum() >= 30
        middle = (rows.mean() + 0.5, cols.mean() + 0.5)
        # Triangles and stars are not as tall as the square that they are drawn in.
        slack = {"triangle": 0.15, "star": 0.05}.get(thing.shape, 0.0) * thing.diameter
        assert abs(middle[0] - thing.centre[0]) <= 0.4 + slack
        assert abs(middle[1] - thing.centre[1]) <= 0.4


@given(wheres)
@settings(max_examples=60, deadline=None)
def test_colours_can_be_told_by_their_pixels(where: Where) -> None:
    scene = make_scene(CROWDED, *where)
    pixels = draw(scene)
    for mask, thing in zip(masks(scene), scene.objects, strict=True):
        shown = np.median(pixels[mask].astype(float), axis=0)
        distance = {colour: float(np.abs(shown - PALETTE[colour]).sum()) for colour in COLOURS}
        assert min(distance, key=lambda colour: distance[colour]) == thing.colour


@given(wheres)
@settings(max_examples=60, deadline=None)
def test_backgrounds_are_nearly_grey_and_objects_are_not(where: Where) -> None:
    scene = make_scene(CROWDED, *where)
    pixels = draw(scene).astype(int)
    saturation = pixels.max(axis=2) - pixels.min(axis=2)
    behind = draw(replace(scene, objects=())).astype(int)
    assert (behind.max(axis=2) - behind.min(axis=2)).max() <= 20
    assert behind.max() - behind.min() <= 60
    for mask in masks(scene):
        assert np.median(saturation[mask]) >= 90


# Share of the square around the shape, from its geometry.
AREAS = {
    "circle": math.pi / 4,
    "ring": math.pi / 4 * (1 - 0.32),
    "square": 0.9**2,
    "cross": 2 * 0.34 - 0.34**2,
    "triangle": 0.91 / 2,
    # The outline's shoelace area in thousandths of the radius.
    "star": 1.3833 / 4,
}


@pytest.mark.parametrize("diameter", [60, 96])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_the_area_that_geometry_gives_them(shape: str, diameter: int) -> None:
    coverage = stencil(shape, diameter, diameter // 2, diameter // 2)
    share = coverage.astype(int).sum() / (diameter * diameter)
    assert share == pytest.approx(AREAS[shape], abs=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_mirror_left_to_right_and_only_some_top_to_bottom(shape: str) -> None:
    coverage = stencil(shape, 96, 48, 48)
    assert (coverage == coverage[:, ::-1]).all()
    assert (coverage == coverage[::-1]).all() == (shape not in ("triangle", "star"))
    assert (coverage[12, 12] == 0) == (shape == "ring")


def test_moving_a_shape_by_a_pixel_moves_its_pixels() -> None:
    here = stencil("star", 60, 31, 33)
    there = stencil("star", 60, 31 + SUB, 33 + 2 * SUB)
    assert (there[1:, 2:] == here).all()
    assert not there[0].any()
    assert not there[:, :2].any()


def background(kind: str, **changes: object) -> Background:
    fields = {"base": (100, 102, 104), "contrast": 16, "cell": 4, "direction": (0, 1), "seed": 3} | changes
    return Background(kind=kind, **fields)  # pyright: ignore[reportArgumentType]


def test_background_patterns_are_what_they_are_called() -> None:
    red = {kind: paint_background(background(kind), 24, 32)[:, :, 0] for kind in ("stripes", "checker", "gradient")}
    rows, cols = np.mgrid[:24, :32]
    assert (red["stripes"] == 100 + 16 * (cols // 4 % 2)).all()
    assert (red["checker"] == 100 + 16 * ((rows // 4 + cols // 4) % 2)).all()
    assert (np.diff(red["gradient"], axis=1) >= 0).all()
    assert (red["gradient"][:, 0] == 100).all()
    assert (red["gradient"][:, -1] == 116).all()
    assert (paint_background(background("plain"), 24, 32) == (100, 102, 104)).all()


def test_noise_has_square_grains_and_follows_its_seed() -> None:
    noise = paint_background(background("noise"), 24, 32)[:, :, 0]
    assert (noise == noise[::4, ::4].repeat(4, axis=0).repeat(4, axis=1)).all()
    assert len(np.unique(noise)) > 8
    assert noise.min() >= 100
    assert noise.max() <= 116
    assert (paint_background(background("noise", seed=4), 24, 32)[:, :, 0] != noise).any()


def test_unknown_shapes_and_backgrounds_are_refused() -> None:
    with pytest.raises(BadInput, match="hexagon"):
        stencil("hexagon", 60, 30, 30)
    with pytest.raises(BadInput, match="marble"):
        paint_background(background("marble"), 24, 32)


def test_objects_are_drawn_on_canvases_of_any_proportion() -> None:
    for width, height in ((160, 64), (64, 160), (224, 224)):
        scene = make_scene(ShapesConfig(canvases=((width, height),), objects=(4, 4)), "train", 1)
        covered = masks(scene)
        assert draw(scene).shape == (height, width, 3)
        assert covered.shape == (4, height, width)
        assert covered.any(axis=(1, 2)).all()
