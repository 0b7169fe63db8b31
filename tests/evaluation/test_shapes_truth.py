import numpy as np
import pytest

from workbench.data.shapes import PLACES, ShapesConfig, ShapesSample, describe, make_sample, masks
from workbench.evaluation.shapes_truth import contrast_of, named_words, region, thing_read
from workbench.types import PatchGrid

SAMPLES = [make_sample(ShapesConfig(), "test", index) for index in range(150)]


def of(task: str) -> list[ShapesSample]:
    return [sample for sample in SAMPLES if sample.task == task]


@pytest.mark.parametrize("sample", SAMPLES[:40], ids=lambda sample: sample.id)
def test_words_of_a_right_thought_name_what_the_world_says_they_name(sample: ShapesSample) -> None:
    truth = {(start, end): thing for start, end, thing in sample.words}
    found = named_words(sample.reasoning, sample.scene)
    assert len(found) == 3 * len(sample.scene.objects)
    for named in found:
        assert truth[named.begin, named.end] == named.thing
        item = sample.scene.items[named.thing]
        assert sample.reasoning[named.begin : named.end] in (item.size, item.colour, item.shape)


def test_only_objects_that_are_right_in_everything_are_named() -> None:
    scene = next(sample.scene for sample in SAMPLES if len(sample.scene.objects) == 2)
    first, second = scene.items
    other = next(place for place in PLACES if place not in (first.place, second.place))
    right = f"{second.place}: {describe(second)}."
    text = f"two objects. {other}: {describe(first)}. {right} look at the {first.place}: {describe(first)}."
    found = named_words(text, scene)
    assert [text[named.begin : named.end] for named in found] == [second.size, second.colour, second.shape]
    assert {named.thing for named in found} == {1}
    assert named_words("", scene) == ()
    assert named_words("\x00 top left: large. :::", scene) == ()


def test_an_object_that_is_listed_twice_is_named_once() -> None:
    scene = SAMPLES[0].scene
    clause = f"{scene.items[0].place}: {describe(scene.items[0])}."
    assert len(named_words(f"two objects. {clause} {clause}", scene)) == 3


@pytest.mark.parametrize("task", ["what_at", "choose"])
def test_a_changed_trait_is_decided_by_the_object_asked_about(task: str) -> None:
    contrasts = [(contrast_of(sample), sample) for sample in of(task)]
    assert sum(contrast is not None for contrast, _ in contrasts) > len(contrasts) / 2
    for contrast, sample in contrasts:
        if contrast is None:
            continue
        assert contrast.right == sample.target_text
        [thing] = contrast.things
        assert contrast.right.startswith(describe(sample.scene.items[thing]))
        # No other object of the scene may be what the wrong answer names.
        assert not any(contrast.wrong.startswith(describe(item)) for item in sample.scene.items)


def test_where_is_decided_by_the_object_against_a_free_place() -> None:
    for sample in of("where"):
        contrast = contrast_of(sample)
        assert contrast is not None
        assert sample.scene.items[contrast.things[0]].place == contrast.right
        assert contrast.wrong not in {item.place for item in sample.scene.items}


def test_a_relation_is_decided_by_the_two_objects_named() -> None:
    for sample in of("relation"):
        contrast = contrast_of(sample)
        assert contrast is not None
        assert {contrast.right, contrast.wrong} == {"yes", "no"}
        assert len(contrast.things) == 2


def test_captions_are_decided_by_what_they_differ_in() -> None:
    contrasts = [(contrast_of(sample), sample) for sample in of("find_caption")]
    assert any(contrast is not None for contrast, _ in contrasts)
    for contrast, sample in contrasts:
        if contrast is not None:
            rest = set(contrast.right.split(", ")) & set(contrast.wrong.split(", "))
            assert len(rest) == len(sample.scene.items) - len(contrast.things)


@pytest.mark.parametrize("task", ["how_many", "find_image"])
def test_tasks_without_a_region_are_left_out(task: str) -> None:
    assert of(task)
    assert all(contrast_of(sample) is None for sample in of(task))


def test_a_thought_reads_an_object_when_only_one_has_the_trait() -> None:
    for sample in SAMPLES[:40]:
        for index, item in enumerate(sample.scene.items):
            alone = sum(item.colour == other.colour for other in sample.scene.items) == 1
            assert thing_read(f" {item.colour}", sample.scene) == (index if alone else None)
    assert thing_read(" answer", SAMPLES[0].scene) is None


def test_regions_are_where_the_pixels_are() -> None:
    scene = next(sample.scene for sample in SAMPLES if sample.scene.width > sample.scene.height)
    grid = PatchGrid(frames=1, rows=5, cols=8, start=3)
    found = region(scene, [0], grid).reshape(5, 8)
    mask = masks(scene)[0]
    assert found.mean() == pytest.approx(mask.mean())
    row, col = scene.objects[0].centre
    peak = np.unravel_index(found.argmax(), found.shape)
    assert abs(peak[0] + 0.5 - row / scene.height * 5) <= 2
    assert abs(peak[1] + 0.5 - col / scene.width * 8) <= 2
    np.testing.assert_allclose(region(scene, [0, 0], grid), found.reshape(-1))
