"""What scenes hold, where it stands, and which split it belongs to."""

from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.shapes import (
    COLOURS,
    HELD_OUT,
    PLACES,
    SHAPES,
    SIZES,
    SPLITS,
    Scene,
    ShapesConfig,
    caption,
    make_scene,
)
from workbench.errors import BadInput

CONFIG = ShapesConfig()
CROWDED = ShapesConfig(objects=(1, 6))
SEEN = ("train", "validation", "test")

# Drawn inside the tests: the shape checks use `random`, which hypothesis does not allow in a strategy.
Where = tuple[str, int]
wheres = st.tuples(st.sampled_from(SPLITS), st.integers(0, 10**6))


def place_of(scene: Scene, centre: tuple[float, float]) -> str:
    """The place word of a pixel position, worked out without the generator's own tables."""
    row, col = int(3 * centre[0] / scene.height), int(3 * centre[1] / scene.width)
    vertical, horizontal = ("top", "", "bottom")[row], ("left", "", "right")[col]
    return " ".join(part for part in (vertical, horizontal) if part) or "centre"


@given(wheres)
@settings(max_examples=80, deadline=None)
def test_objects_stand_in_their_region_well_clear_of_its_borders(where: Where) -> None:
    scene = make_scene(CROWDED, *where)
    for thing in scene.objects:
        assert place_of(scene, thing.centre) == thing.place
        for position, length in zip(thing.centre, (scene.height, scene.width), strict=True):
            within = 3 * position / length
            for border in (1, 2):
                assert abs(within - border) >= 0.18


@given(wheres)
@settings(max_examples=80, deadline=None)
def test_objects_lie_inside_the_canvas_and_apart(where: Where) -> None:
    scene = make_scene(CROWDED, *where)
    boxes = [thing.box for thing in scene.objects]
    for row0, col0, row1, col1 in boxes:
        assert 0 <= row0 < row1 <= scene.height
        assert 0 <= col0 < col1 <= scene.width
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


@given(wheres)
@settings(max_examples=80, deadline=None)
def test_objects_differ_and_come_in_reading_order(where: Where) -> None:
    scene = make_scene(CROWDED, *where)
    kinds = {(thing.size, thing.colour, thing.shape) for thing in scene.objects}
    assert len(kinds) == len(scene.objects)
    order = [PLACES.index(thing.place) for thing in scene.objects]
    assert order == sorted(set(order))


@given(wheres)
@settings(max_examples=80, deadline=None)
def test_small_and_large_differ_clearly_on_every_canvas(where: Where) -> None:
    scene = make_scene(CROWDED, *where)
    scale = 96 / min(scene.width, scene.height)
    for thing in scene.objects:
        nominal = thing.diameter * scale
        assert (15.5 <= nominal <= 18) if thing.size == "small" else (25 <= nominal <= 28.5)


def test_every_kind_place_canvas_background_and_count_occurs() -> None:
    drawn = [make_scene(CONFIG, "train", index) for index in range(400)]
    things = [thing for scene in drawn for thing in scene.objects]
    assert {(scene.width, scene.height) for scene in drawn} == set(CONFIG.canvases)
    assert {scene.background.kind for scene in drawn} == {"plain", "noise", "stripes", "gradient", "checker"}
    assert {thing.place for thing in things} == set(PLACES)
    assert {thing.size for thing in things} == set(SIZES)
    pairs = {(colour, shape) for colour in COLOURS for shape in SHAPES}
    assert {(thing.colour, thing.shape) for thing in things} == pairs - set(HELD_OUT)
    counts = Counter(len(scene.objects) for scene in drawn)
    assert set(counts) == {1, 2, 3, 4}
    assert 0 < counts[1] < 0.4 * min(counts[2], counts[3], counts[4])


def test_positions_are_free_within_the_region() -> None:
    tops = [
        (thing.centre[0] / scene.height, thing.centre[1] / scene.width)
        for scene in (make_scene(CONFIG, "train", index) for index in range(300))
        for thing in scene.objects
        if thing.place == "centre"
    ]
    for axis in (0, 1):
        values = sorted(top[axis] for top in tops)
        assert values[0] < 0.42
        assert values[-1] > 0.58


def test_held_out_pairs_take_each_shape_and_colour_once() -> None:
    assert sorted(colour for colour, _ in HELD_OUT) == sorted(COLOURS)
    assert sorted(shape for _, shape in HELD_OUT) == sorted(SHAPES)


@pytest.mark.parametrize("split", SEEN)
def test_held_out_pairs_are_absent_from(split: str) -> None:
    for index in range(300):
        for thing in make_scene(CROWDED, split, index).objects:
            assert (thing.colour, thing.shape) not in HELD_OUT


def test_every_compositional_scene_holds_a_held_out_pair() -> None:
    met = set()
    for index in range(300):
        found = {(t.colour, t.shape) for t in make_scene(CONFIG, "compositional", index).objects} & set(HELD_OUT)
        assert found
        met |= found
    assert met == set(HELD_OUT)


def test_no_content_is_shared_between_splits_whatever_the_seed() -> None:
    single = ShapesConfig(seed=1, objects=(1, 2))
    other = ShapesConfig(seed=2, objects=(1, 2))
    content = {
        split: {caption(make_scene(config, split, index).items) for config in (single, other) for index in range(300)}
        for split in SPLITS
    }
    for split in SPLITS:
        # Contents repeat within a split, so the sets would meet if the split did not decide.
        assert len(content[split]) < 600
        for another in SPLITS:
            assert split == another or not content[split] & content[another]


def test_the_content_rule_stays_as_published() -> None:
    for split in SEEN:
        for index in range(50):
            text = caption(make_scene(CONFIG, split, index).items)
            bucket = int(sha256(text.encode()).hexdigest()[:16], 16) % 20
            assert split == ("validation" if bucket == 0 else "test" if bucket in (1, 2) else "train")


def test_a_scene_depends_on_seed_split_and_index_only() -> None:
    alone = make_scene(CONFIG, "train", 5)
    for index in range(5):
        make_scene(CONFIG, "train", index)
    assert make_scene(ShapesConfig(seed=7), "train", 5) == alone
    assert make_scene(ShapesConfig(seed=8), "train", 5) != alone
    assert make_scene(CONFIG, "train", 6).objects != alone.objects


def test_crowded_scenes_that_leave_no_room_stand_at_region_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.data.shapes import composition

    monkeypatch.setattr(composition, "_draw_centres", lambda *_: None)
    scene = make_scene(ShapesConfig(objects=(6, 6), canvases=((80, 128),)), "train", 0)
    assert len(scene.objects) == 6
    for thing in scene.objects:
        row, col = 3 * thing.centre[0] / scene.height, 3 * thing.centre[1] / scene.width
        assert abs(row % 1 - 0.5) < 0.02
        assert abs(col % 1 - 0.5) < 0.02
        assert place_of(scene, thing.centre) == thing.place


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"canvases": ((96, 20),)}, "at least 48 pixels"),
        ({"canvases": ()}, "canvases"),
        ({"objects": (0, 3)}, "objects is"),
        ({"objects": (2, 7)}, "objects is"),
        ({"object_weights": (1, 2)}, "give 4, one per count"),
        ({"object_weights": (0, 0, 0, 0)}, "not all 0"),
        ({"tasks": ("guess",)}, "tasks are"),
        ({"tasks": ()}, "tasks are"),
        ({"tasks": ("relation",)}, "needs two objects"),
        ({"samples_per_scene": 0}, "samples_per_scene is 0"),
    ],
)
def test_impossible_settings_are_refused(settings_: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        ShapesConfig(**settings_)  # pyright: ignore[reportArgumentType]


def test_weights_decide_how_many_objects_there_are() -> None:
    config = ShapesConfig(objects=(1, 6), object_weights=(0, 0, 0, 0, 1, 0))
    assert {len(make_scene(config, "train", index).objects) for index in range(20)} == {5}


@pytest.mark.parametrize(("split", "index"), [("training", 0), ("train", -1)])
def test_a_scene_that_does_not_exist_is_refused(split: str, index: int) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        make_scene(CONFIG, split, index)
