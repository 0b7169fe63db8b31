"""Reading reasonings back and scoring them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.shapes import (
    COLOURS,
    SPLITS,
    TASKS,
    ShapesConfig,
    ThoughtScore,
    make_sample,
    parse_thought,
    score_thought,
)

CROWDED = ShapesConfig(objects=(1, 6))
# Drawn inside the tests: the shape checks use `random`, which hypothesis does not allow in a strategy.
Where = tuple[str, int]
wheres = st.tuples(st.sampled_from(SPLITS), st.integers(0, 10**6))

TEXT = (
    "three objects. top left: large red circle. centre: small blue star. bottom: small green square."
    " look at the centre: small blue star. answer: small blue star."
)


def test_a_thought_is_read_in_parts() -> None:
    parsed = parse_thought(TEXT)
    assert parsed.count == "three"
    assert parsed.objects == (
        ("top left", "large", "red", "circle"),
        ("centre", "small", "blue", "star"),
        ("bottom", "small", "green", "square"),
    )
    assert parsed.step == "look at the centre: small blue star."
    assert parsed.answer == "small blue star"


@pytest.mark.parametrize("task", TASKS)
@given(index=st.integers(0, 10**6), split=st.sampled_from(SPLITS))
@settings(max_examples=40, deadline=None)
def test_every_reasoning_reads_back_to_its_scene(task: str, index: int, split: str) -> None:
    sample = make_sample(ShapesConfig(objects=(2, 6), tasks=(task,)), split, index)
    parsed = parse_thought(sample.reasoning)
    assert parsed.objects == tuple((t.place, t.size, t.colour, t.shape) for t in sample.scene.objects)
    assert parsed.answer == sample.answer
    assert parsed.step
    assert sample.reasoning.endswith(f" {parsed.step} answer: {sample.answer}.")
    n = len(sample.scene.objects)
    assert score_thought(sample.reasoning, sample) == ThoughtScore(exact=True, answer=True, right=n, missing=0, extra=0)


@given(wheres)
@settings(max_examples=60, deadline=None)
def test_spacing_and_case_do_not_matter(where: Where) -> None:
    sample = make_sample(CROWDED, *where)
    loose = sample.reasoning.upper().replace(".", " . ").replace(":", " :\n").replace(",", " ,")
    assert parse_thought(loose) == parse_thought(sample.reasoning)


@given(wheres, st.data())
@settings(max_examples=100, deadline=None)
def test_one_wrong_word_about_an_object_is_noticed(where: Where, data: st.DataObject) -> None:
    sample = make_sample(CROWDED, *where)
    thing = data.draw(st.sampled_from(sample.scene.objects))
    clause = f" {thing.place}: {thing.size} {thing.colour} {thing.shape}."
    other = {
        "size": "large" if thing.size == "small" else "small",
        "colour": COLOURS[COLOURS.index(thing.colour) - 1],
        "shape": "ring" if thing.shape != "ring" else "star",
        "place": "centre" if thing.place != "centre" else "top",
    }
    trait = data.draw(st.sampled_from(sorted(other)))
    changed = {name: getattr(thing, name) for name in other} | {trait: other[trait]}
    wrong = " {place}: {size} {colour} {shape}.".format(**changed)
    score = score_thought(sample.reasoning.replace(clause, wrong, 1), sample)
    assert not score.exact
    assert score.answer
    assert (score.missing, score.extra) == (1, 1)


@given(wheres)
@settings(max_examples=60, deadline=None)
def test_missing_and_extra_objects_are_counted(where: Where) -> None:
    sample = make_sample(CROWDED, *where)
    thing = sample.scene.objects[0]
    clause = f" {thing.place}: {thing.size} {thing.colour} {thing.shape}."
    dropped = score_thought(sample.reasoning.replace(clause, "", 1), sample)
    doubled = score_thought(sample.reasoning.replace(clause, clause + clause, 1), sample)
    n = len(sample.scene.objects)
    assert (dropped.exact, dropped.right, dropped.missing, dropped.extra) == (False, n - 1, 1, 0)
    assert (doubled.exact, doubled.right, doubled.missing, doubled.extra) == (False, n, 0, 1)


@given(wheres)
@settings(max_examples=60, deadline=None)
def test_a_wrong_answer_leaves_the_scene_right(where: Where) -> None:
    sample = make_sample(CROWDED, *where)
    other = "yes" if sample.answer != "yes" else "no"
    score = score_thought(sample.reasoning.replace(f"answer: {sample.answer}.", f"answer: {other}."), sample)
    assert score.exact
    assert not score.answer


def test_swapped_objects_are_wrong_although_all_words_are_there() -> None:
    sample = make_sample(ShapesConfig(objects=(2, 2)), "train", 0)
    a, b = (f"{t.size} {t.colour} {t.shape}" for t in sample.scene.objects)
    swapped = sample.reasoning.replace(a, "@").replace(b, a).replace("@", b)
    assert sorted(swapped.split()) == sorted(sample.reasoning.split())
    assert score_thought(swapped, sample).right == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (None, (), None, None)),
        ("...", (None, (), None, None)),
        ("answer:", (None, (), None, None)),
        ("two", (None, (), "two.", None)),
        ("two objects. left: small red", ("two", (("left", "small", "red", None),), None, None)),
        ("left: small blurple ring.", (None, (("left", "small", None, "ring"),), None, None)),
        ("lefty: small red ring.", (None, ((None, "small", "red", "ring"),), None, None)),
        ("left: small small ring.", (None, (("left", None, None, "ring"),), None, None)),
        ("left: small red ring small.", (None, (("left", None, None, None),), None, None)),
        ("answer: one. answer: two.", (None, (), "answer: one.", "two")),
        ("red: top left, centre. answer: two.", (None, (), "red: top left, centre.", "two")),
    ],
)
def test_garbage_leaves_gaps(text: str, expected: tuple[object, ...]) -> None:
    parsed = parse_thought(text)
    assert (parsed.count, parsed.objects, parsed.step, parsed.answer) == expected


@given(st.text(alphabet="abcdefo :.,\n", max_size=200) | st.text(max_size=80))
def test_no_text_makes_it_fail_or_seem_right(text: str) -> None:
    sample = make_sample(CROWDED, "train", 3)
    score = score_thought(text, sample)
    assert not score.exact
    assert score.right + score.missing == len(sample.scene.objects)
