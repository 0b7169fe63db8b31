"""Two checkpoints on one map: pairs, movers and the lay-over, by PCA and where the answer is known."""

import numpy as np
import pytest
from planted_points import group_vectors, make_points

from workbench.errors import BadInput
from workbench.latent_map import LatentMap
from workbench.mapping.making import make_map
from workbench.mapping.pairing import relate
from workbench.mapping.settings import MapSettings

PCA = MapSettings(projection="pca", n_neighbours=5, metric="euclidean")
MOVED = 8


@pytest.fixture(scope="module")
def compared() -> LatentMap:
    """The second checkpoint's space is a turned, scaled copy of the first's, but sample 8 has gone from group 0 to 1."""
    vectors, group = group_vectors(80, 4, 12)
    other = vectors.copy()
    other[MOVED] = vectors[group == 1].mean(axis=0)
    turn, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((12, 12)))
    turned = (other @ turn * 3).astype(np.float32)
    return make_map([make_points(vectors, name="early"), make_points(turned, name="late")], PCA)


def test_places_of_a_turned_copy_fall_together(compared: LatentMap) -> None:
    pairing = compared.pairing
    assert pairing is not None
    assert dict(pairing.alignment) == {"pca": "procrustes"}
    places = compared.projections["pca"]
    apart = np.linalg.norm(places[pairing.pairs[:, 0]] - places[pairing.pairs[:, 1]], axis=1)
    stayed = np.arange(80) != MOVED
    assert apart[stayed].max() < 0.2 * apart[MOVED]


def test_who_changed_neighbours_is_listed_first(compared: LatentMap) -> None:
    pairing = compared.pairing
    assert pairing is not None
    assert pairing.movers[0].pair == MOVED
    assert pairing.movers[0].change == 1
    np.testing.assert_array_equal(pairing.pairs[:, 1] - pairing.pairs[:, 0], 80)
    assert pairing.k == 5
    assert "each PCA was turned" in pairing.about


def test_each_checkpoint_keeps_its_own_neighbours_and_columns(compared: LatentMap) -> None:
    assert compared.neighbours[:80].max() < 80 <= compared.neighbours[80:].min()
    column = compared.column("checkpoint")
    assert column.categories == ("early", "late")
    assert len(compared.samples) == 80
    assert len(compared.samples[0].thoughts) == 2
    assert {figure.checkpoint for figure in compared.figures} == {0, 1}
    assert "list of movers" in compared.reading


def test_samples_that_only_one_checkpoint_has_are_no_pairs() -> None:
    vectors, _ = group_vectors(30, 3, 6)
    late = make_points(vectors).only(np.arange(10, 30, dtype=np.int32))
    found = make_map([make_points(vectors), late], PCA)
    assert found.pairing is not None
    assert [found.samples[i].id for i in found.sample[found.pairing.pairs[:, 1]]] == [
        f"s{i:05d}" for i in range(10, 30)
    ]
    np.testing.assert_array_equal(found.sample[found.pairing.pairs[:, 0]], found.sample[found.pairing.pairs[:, 1]])
    assert found.samples[0].thoughts[1] == ""


def test_checkpoints_without_a_common_sample_are_refused() -> None:
    vectors, _ = group_vectors(20, 2, 6)
    first, second = make_points(vectors).only(np.arange(10)), make_points(vectors).only(np.arange(10, 20))
    with pytest.raises(BadInput, match="no sample in common"):
        make_map([first, second], PCA)


def test_embeddings_and_thoughts_do_not_go_together() -> None:
    vectors, _ = group_vectors(20, 2, 6)
    with pytest.raises(BadInput, match="collect the same of both"):
        make_map([make_points(vectors), make_points(vectors, steps=2)], PCA)


def test_merged_pairs_are_related_one_to_one() -> None:
    # Points 0 and 1 of the first checkpoint are copies (row 0), points 1 and 2 of the second too (row 1).
    pairs = np.array([[0, 3], [1, 4], [2, 5]], dtype=np.int32)
    found = relate(pairs, (np.array([0, 0, 1]), np.array([0, 1, 1])), (0, 3, 6))
    np.testing.assert_array_equal(found, [[0, 0], [1, 1]])
