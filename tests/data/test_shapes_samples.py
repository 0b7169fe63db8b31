"""Questions, reasonings and wrong answers, checked against the scene by other means than those that made them."""

import re
from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.shapes import (
    COLOURS,
    HELD_OUT,
    NUMBERS,
    PLACES,
    SHAPES,
    SIZES,
    SPLITS,
    TASKS,
    Scene,
    ShapeObject,
    ShapesConfig,
    ShapesSample,
    make_sample,
    make_scene,
    split_of,
)
from workbench.data.shapes.tasks import _TASKS

CONFIG = ShapesConfig()
CROWDED = ShapesConfig(objects=(1, 6))
# Drawn inside the tests: the shape checks use `random`, which hypothesis does not allow in a strategy.
Where = tuple[str, int]
wheres = st.tuples(st.sampled_from(SPLITS), st.integers(0, 10**6))

NAME = r"(\w+ \w+ \w+)"


@cache
def drawn(task: str, split: str = "train", n: int = 60) -> tuple[ShapesSample, ...]:
    """Samples of one task."""
    config = ShapesConfig(objects=(2, 6), tasks=(task,))
    return tuple(make_sample(config, split, index) for index in range(n))


def name(thing: ShapeObject) -> str:
    return f"{thing.size} {thing.colour} {thing.shape}"


def named(scene: Scene, text: str) -> ShapeObject:
    (found,) = [thing for thing in scene.objects if name(thing) == text]
    return found


def beyond(relation: str, thing: ShapeObject, other: ShapeObject) -> bool:
    """Whether the relation holds between the pixel centres."""
    (row, col), (other_row, other_col) = thing.centre, other.centre
    return {
        "left of": col < other_col,
        "right of": col > other_col,
        "above": row < other_row,
        "below": row > other_row,
    }[relation]


def test_there_is_one_way_to_ask_per_task() -> None:
    assert tuple(_TASKS) == TASKS


@given(wheres)
@settings(max_examples=150, deadline=None)
def test_reasoning_lists_the_scene_then_ends_in_the_answer(where: Where) -> None:
    sample = make_sample(CROWDED, *where)
    things = sample.scene.objects
    noun = "object" if len(things) == 1 else "objects"
    listing = f"{NUMBERS[len(things)]} {noun}." + "".join(f" {thing.place}: {name(thing)}." for thing in things)
    assert sample.reasoning.startswith(listing + " ")
    assert sample.reasoning.endswith(f". answer: {sample.answer}.")
    assert sample.reasoning == sample.reasoning.lower()
    assert sample.query[0].isupper()
    assert sample.query[1:] == sample.query[1:].lower()
    assert "  " not in sample.reasoning + sample.query


@given(wheres)
@settings(max_examples=150, deadline=None)
def test_the_target_is_the_answer_or_the_whole_scene(where: Where) -> None:
    sample = make_sample(CROWDED, *where)
    things = sample.scene.objects
    whole = ", ".join(f"a {name(thing)} at the {thing.place}" for thing in things)
    roll_call = ", ".join(f"{thing.colour} {thing.shape}" for thing in things)
    assert sample.has_image == (sample.task != "find_image")
    assert sample.target_is_image == (sample.task == "find_image")
    if sample.task == "find_image":
        assert (sample.target_text, sample.target_id, sample.answer) == (None, f"image:{whole}", roll_call)
    elif sample.task == "find_caption":
        assert (sample.target_text, sample.target_id, sample.answer) == (whole, f"text:{whole}", roll_call)
    else:
        assert sample.target_text == sample.answer
        assert sample.target_id == f"text:{sample.answer}"


@given(wheres)
@settings(max_examples=150, deadline=None)
def test_every_word_is_marked_and_names_an_object_that_has_it(where: Where) -> None:
    sample = make_sample(CROWDED, *where)
    spans = [(start, end) for start, end, _ in sample.words]
    assert spans == [match.span() for match in re.finditer(r"[^\s.,:]+", sample.reasoning)]
    for start, end, index in sample.words:
        if index is not None:
            thing = sample.scene.objects[index]
            word = sample.reasoning[start:end]
            assert word in {thing.size, thing.colour, thing.shape, *thing.place.split()}


@given(wheres)
@settings(max_examples=150, deadline=None)
def test_the_list_of_the_scene_names_each_object_by_all_its_words(where: Where) -> None:
    sample = make_sample(CROWDED, *where)
    position = sample.reasoning.index(".") + 1
    for index, thing in enumerate(sample.scene.objects):
        clause = f" {thing.place}: {name(thing)}."
        end = position + len(clause)
        marks = [mark for start, _, mark in sample.words if position <= start < end]
        assert marks == [index] * len(clause.split())
        position = end


@given(wheres)
@settings(max_examples=150, deadline=None)
def test_words_that_name_no_object_are_none_of_an_objects_own(where: Where) -> None:
    """Counting says "red: ..." of a group, and an empty place is nobody's; all other object words name one."""
    sample = make_sample(CROWDED, *where)
    own = {*SIZES, *COLOURS, *SHAPES, *(word for place in PLACES for word in place.split())}
    loose = {sample.reasoning[start:end] for start, end, index in sample.words if index is None} & own
    if sample.task == "how_many":
        assert len(loose) <= 1
    elif sample.task in ("relation", "choose"):
        assert loose <= {"left", "right"}
    elif sample.answer == "nothing":
        assert " ".join(sorted(loose)) == " ".join(sorted(sample.query.rstrip(".?").split("at the ")[1].split()))
    else:
        assert not loose


def test_what_at_names_what_stands_there() -> None:
    answers = []
    for sample in drawn("what_at", n=200):
        match = re.fullmatch(r"(?:What is|Name the object) at the ([a-z ]+)[.?]", sample.query)
        assert match
        there = [name(thing) for thing in sample.scene.objects if thing.place == match[1]]
        assert [sample.answer] == (there or ["nothing"])
        assert f" look at the {match[1]}: {sample.answer}. answer:" in sample.reasoning
        answers.append(sample.answer)
    assert 5 <= answers.count("nothing") <= 40


def test_where_gives_the_place() -> None:
    for sample in drawn("where"):
        match = re.fullmatch(rf"(?:Where|In which place) is the {NAME}\?", sample.query)
        assert match
        assert named(sample.scene, match[1]).place == sample.answer
        assert f" the {match[1]} is at the {sample.answer}. answer:" in sample.reasoning


def test_how_many_counts() -> None:
    answers = Counter()
    for sample in drawn("how_many", n=200):
        match = re.fullmatch(r"(?:How many ([a-z ]+) are there\?|Count the ([a-z ]+)\.)", sample.query)
        assert match
        group = (match[1] or match[2]).removesuffix("objects").strip()
        traits = {"crosses": "cross"} | {f"{shape}s": shape for shape in SHAPES if shape != "cross"}
        wanted = traits.get(group, group)
        counted = [
            thing.place
            for thing in sample.scene.objects
            if not wanted or wanted in (thing.size, thing.colour, thing.shape)
        ]
        assert sample.answer == NUMBERS[len(counted)]
        listing = f" {group or 'objects'}: {', '.join(counted) or 'none'}. that makes {sample.answer}. answer:"
        assert listing in sample.reasoning
        answers[sample.answer] += 1
    assert set(answers) >= {"zero", "one", "two", "three"}


def test_relations_hold_between_pixel_centres_and_are_balanced() -> None:
    truths = Counter()
    for sample in drawn("relation", n=300):
        match = re.fullmatch(
            rf"Is (?:the|it true that the) {NAME} (?:is )?(left of|right of|above|below) the {NAME}\?", sample.query
        )
        assert match
        first, relation, second = named(sample.scene, match[1]), match[2], named(sample.scene, match[3])
        assert (sample.answer == "yes") == beyond(relation, first, second)
        axis = 1 if relation in ("left of", "right of") else 0
        length = (sample.scene.height, sample.scene.width)[axis]
        assert abs(first.centre[axis] - second.centre[axis]) > 2 * 0.18 * length / 3 - 1
        verdict = f"{first.place} is {'' if sample.answer == 'yes' else 'not '}{relation} {second.place}."
        step = f" {match[1]} at the {first.place}, {match[3]} at the {second.place}. {verdict} answer:"
        assert step in sample.reasoning
        truths[relation, sample.answer] += 1
    assert len(truths) == 8
    assert 110 <= sum(n for (_, answer), n in truths.items() if answer == "yes") <= 190


def test_find_image_describes_the_whole_scene_in_any_order() -> None:
    shuffled = 0
    for sample in drawn("find_image"):
        described = re.fullmatch(r"(?:Find|Show) the image: (.*)\.", sample.query)
        assert described
        parts = described[1].split(", ")
        truth = [f"a {name(thing)} at the {thing.place}" for thing in sample.scene.objects]
        assert sorted(parts) == sorted(truth)
        shuffled += parts != truth
        assert " all as described. answer: " in sample.reasoning
        assert sample.negatives == ()
    assert shuffled > 20


def test_choose_singles_out_one_object() -> None:
    kinds = Counter()
    for sample in drawn("choose", n=200):
        things = sample.scene.objects
        match = re.fullmatch(r"(?:Choose|Pick) the (.*)\.", sample.query)
        assert match
        traits = set(match[1].removeprefix("object that is ").replace(" and ", " ").split())
        related = re.fullmatch(rf"object (left of|right of|above|below) the {NAME}", match[1])
        if related:
            other = named(sample.scene, related[2])
            # Regions decide, and within one row or column of regions centres differ by less than their clearance.
            found = [t for t in things if t is not other and apart(sample.scene, related[1], t, other)]
        else:
            found = [t for t in things if traits <= {t.size, t.colour, t.shape}]
        kinds["relation" if related else len(traits)] += 1
        assert [f"{name(t)} at the {t.place}" for t in found] == [sample.answer]
        criterion = match[1].removeprefix("object that is ").removeprefix("object ")
        assert f" {criterion}: {sample.answer}. answer:" in sample.reasoning
    assert set(kinds) == {"relation", 1, 2}


def apart(scene: Scene, relation: str, thing: ShapeObject, other: ShapeObject) -> bool:
    """Whether the relation holds between pixel centres that lie in different rows or columns of regions."""
    axis, length = (1, scene.width) if relation in ("left of", "right of") else (0, scene.height)
    differ = int(3 * thing.centre[axis] / length) != int(3 * other.centre[axis] / length)
    return differ and beyond(relation, thing, other)


@given(wheres)
@settings(max_examples=200, deadline=None)
def test_negatives_are_wrong_different_and_enough(where: Where) -> None:
    sample = make_sample(CROWDED, *where)
    assert sample.target_text not in sample.negatives
    assert len(set(sample.negatives)) == len(sample.negatives)
    fewest, most = {"find_image": (0, 0), "relation": (1, 1)}.get(sample.task, (3, 6))
    assert fewest <= len(sample.negatives) <= most
    things = sample.scene.objects
    truths = {name(thing) for thing in things} | {f"{name(t)} at the {t.place}" for t in things}
    for text in sample.negatives:
        if sample.task == "how_many":
            assert text in NUMBERS
        elif sample.task == "where":
            assert text in PLACES
        elif sample.task == "relation":
            assert {text, sample.target_text} == {"yes", "no"}
        elif sample.task == "find_caption":
            parts = text.split(", ")
            assert len(parts) == len(things)
            assert 1 <= len(set(parts) - {f"a {name(t)} at the {t.place}" for t in things}) <= 2
            places = [part.split(" at the ")[1] for part in parts]
            assert places == sorted(set(places), key=PLACES.index)
        else:
            # Another object of the scene, or the right one with a single thing changed.
            assert (
                text in truths
                or sum(a != b for a, b in zip(*map(traits_of, (text, best(sample, text))), strict=True)) == 1
            )


def traits_of(text: str) -> list[str]:
    kind, _, place = text.partition(" at the ")
    return [*kind.split(), place]


def best(sample: ShapesSample, text: str) -> str:
    """What a wrong text was made from: the target, or for an empty place the object it resembles most."""
    if sample.target_text != "nothing":
        return str(sample.target_text)
    return max(map(name, sample.scene.objects), key=lambda n: len(set(n.split()) & set(text.split())))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("task", TASKS)
def test_held_out_pairs_appear_in_no_text_of(split: str, task: str) -> None:
    for sample in drawn(task, split):
        for text in (sample.query, sample.reasoning, sample.target_id, *sample.negatives):
            for colour, shape in HELD_OUT:
                assert f"{colour} {shape}" not in text


def test_compositional_questions_are_about_held_out_pairs_and_have_them_as_negatives() -> None:
    pairs = [f"{colour} {shape}" for colour, shape in HELD_OUT]
    for sample in drawn("where", "compositional"):
        assert any(pair in sample.query for pair in pairs)
    chosen = [any(pair in sample.answer for pair in pairs) for sample in drawn("choose", "compositional")]
    # In a crowded scene there may be no words that single out a held-out object.
    assert sum(chosen) >= 0.9 * len(chosen)
    negatives = [text for sample in drawn("what_at", "compositional") for text in sample.negatives]
    assert any(pair in text for pair in pairs for text in negatives)


def test_training_captions_give_away_no_test_scene() -> None:
    wrong = [text for sample in drawn("find_caption") for text in sample.negatives]
    assert len(wrong) > 150
    assert {split_of(text) for text in wrong} == {"train"}


def test_wrong_captions_name_no_object_twice() -> None:
    for sample in drawn("find_caption", n=200):
        for text in sample.negatives:
            kinds = [part.split(" at the ")[0] for part in text.split(", ")]
            assert len(set(kinds)) == len(kinds)


def test_tasks_take_turns() -> None:
    config = ShapesConfig(objects=(2, 4))
    rounds = [
        tuple(make_sample(config, "train", 7 * turn + position).task for position in range(7)) for turn in range(6)
    ]
    assert all(sorted(tasks) == sorted(TASKS) for tasks in rounds)
    assert len(set(rounds)) > 1


def test_a_relation_is_never_asked_of_a_single_object() -> None:
    config = ShapesConfig(objects=(1, 1))
    asked = [make_sample(config, "train", index) for index in range(70)]
    assert {sample.task for sample in asked} == set(TASKS) - {"relation"}


def test_training_samples_share_scenes_and_others_do_not() -> None:
    assert [make_sample(CONFIG, "train", i).scene for i in range(4)] == [
        make_scene(CONFIG, "train", i) for i in (0, 0, 1, 1)
    ]
    assert [make_sample(CONFIG, "test", i).scene for i in range(3)] == [make_scene(CONFIG, "test", i) for i in range(3)]


def test_vocabulary_is_tiny() -> None:
    words: set[str] = set()
    for index in range(600):
        sample = make_sample(CROWDED, "train", index)
        words |= set(re.findall(r"[a-z]+", f"{sample.query} {sample.reasoning} {sample.target_text}".lower()))
    assert len(words) <= 90
