"""Words that groups share more than others, counted by hand."""

import numpy as np
import pytest

from workbench.latent_map import NO_VALUE
from workbench.mapping.clusters import Document, class_tf_idf, count_words, find_groups, name_groups

DOCUMENTS = [
    Document(text="Red red circle", groups=(0,)),
    Document(text="the red square", groups=(0, 1)),
    Document(text="the blue square", groups=(1,)),
    Document(text="the sky", groups=(NO_VALUE,)),
]


def test_words_are_counted_once_for_each_group_of_a_thought() -> None:
    words, counts = count_words(DOCUMENTS, 2)
    table = {word: counts[:, i].tolist() for i, word in enumerate(words)}
    assert table == {
        "red": [3, 1, 0],
        "circle": [1, 0, 0],
        "the": [1, 2, 1],
        "square": [1, 2, 0],
        "blue": [0, 1, 0],
        "sky": [0, 0, 1],
    }


def test_weights_by_hand() -> None:
    counts = np.array([[3.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    # Rows have 4 and 2 words, 3 on average; words stand 4, 1 and 1 times.
    expected = [
        [3 / 4 * np.log(1 + 3 / 4), 1 / 4 * np.log(1 + 3 / 1), 0],
        [1 / 2 * np.log(1 + 3 / 4), 0, 1 / 2 * np.log(1 + 3 / 1)],
    ]
    np.testing.assert_allclose(class_tf_idf(counts), expected)


def test_weights_agree_with_scikit_learn_up_to_its_other_logarithm() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    texts = ["red circle red", "blue square", "blue blue sky over red sea"]
    counts = CountVectorizer().fit_transform(texts).toarray().astype(float)
    frequency = counts / counts.sum(axis=1, keepdims=True)
    inverse = np.log(1 + counts.sum() / len(texts) / counts.sum(axis=0))
    np.testing.assert_allclose(class_tf_idf(counts), frequency * inverse)


def test_groups_are_named_by_what_others_do_not_say() -> None:
    groups = np.array([0, 0, 1, 1], dtype=np.int32)
    named = name_groups(groups, np.full(4, -1), DOCUMENTS)
    assert named[0].words == ("red", "circle")
    assert named[1].words[:2] == ("square", "blue")
    assert named[0].label == "1: red, circle"
    assert [cluster.size for cluster in named] == [2, 2]


def test_no_group_is_named_by_words_that_name_nothing() -> None:
    said = [Document(text="that is the red one", groups=(0,)), Document(text="blue", groups=(1,))]
    named = name_groups(np.array([0, 1]), np.full(2, -1), said)
    assert [cluster.words for cluster in named] == [("red", "one"), ("blue",)]


def test_a_group_of_one_think_position_says_so() -> None:
    groups, steps = np.array([0, 0, 0, 1, 1, 1]), np.array([2, 2, 2, 0, 1, 2])
    named = name_groups(groups, steps, [Document(text="", groups=(0, 1))])
    assert [cluster.label for cluster in named] == ["1: think 3", "2"]


def test_far_apart_blobs_are_groups_by_size() -> None:
    draw = np.random.default_rng(0)
    places = np.concatenate([draw.normal(at, 0.1, size=(n, 2)) for at, n in ((0, 30), (10, 60), (20, 40))])
    groups, _ = find_groups(places.astype(np.float32), 0)
    assert [int(np.bincount(part[part >= 0]).argmax()) for part in np.split(groups, [30, 90])] == [2, 0, 1]


def test_groups_of_many_points_are_found_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.mapping.clusters._FITTED", 100)
    draw = np.random.default_rng(0)
    places = np.concatenate([draw.normal(at, 0.1, size=(200, 2)) for at in (0, 10)]).astype(np.float32)
    groups, sampled = find_groups(places, 0)
    assert sampled
    assert len(set(groups[:200][groups[:200] >= 0])) == len(set(groups[200:][groups[200:] >= 0])) == 1
    assert (groups == NO_VALUE).mean() < 0.2


def test_too_few_points_have_no_groups() -> None:
    places = np.concatenate([np.zeros((6, 2)), np.ones((6, 2))]).astype(np.float32)
    np.testing.assert_array_equal(find_groups(places, 0)[0], np.full(12, NO_VALUE))
