"""Figures of an audit on numbers whose answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparisons import write_data

from workbench.auditing.bm25 import Bm25
from workbench.auditing.budgets import _thriftiest, curve, find_budget, find_folds, fit_policy, stops
from workbench.auditing.crossing import Square, crossed_sample, sums_of_squares
from workbench.auditing.figures import chance_hit, edit_figures, shares, whole_figures
from workbench.auditing.fitting import Fit
from workbench.auditing.partners import find_partners
from workbench.auditing.parts import Measured
from workbench.auditing.planned import Materials, make_edit, make_noise, places, plan, truncations
from workbench.auditing.texts import WRITTEN
from workbench.comparing.question import pose

K, LAYERS, WIDTH = 3, 2, 5
PLANNED = plan(K, LAYERS)
AT = places(PLANNED)


def measured(ranks: dict[str, list[int]], n: int, **more: np.ndarray) -> Measured:
    """Rank 1 under every edit that is not named."""
    rank = np.ones((n, len(PLANNED)), dtype=np.int32)
    for name, values in ranks.items():
        rank[:, AT[name]] = values

    def blank(columns: int) -> np.ndarray:
        return np.full((n, columns), np.nan, dtype=np.float32)

    edits, written = len(PLANNED), len(WRITTEN)
    held: dict[str, Any] = {
        "rank": rank,
        "cosine": blank(edits),
        "margin": blank(edits),
        "toward": blank(edits),
        "own": blank(edits),
        "other": blank(edits),
        "kept": blank(edits),
        "words": blank(written),
        "fluency": blank(written),
        "agree": np.ones((n, K), dtype=np.float32),
        "bm25": np.zeros((n, 3), dtype=np.int32),
        "alone": np.zeros((n, 2), dtype=np.int32),
        "spoken_rank": np.zeros((n, 2), dtype=np.int32),
        "spoken_agrees": blank(2),
        "squares": np.zeros((0, LAYERS, 4)),
    }
    return Measured(**(held | more))


def test_changes_are_paired_and_ranks_that_are_not_known_do_not_count() -> None:
    found = measured({"none": [1, 1, 2, 0], "mean.all": [1, 5, 1, 0]}, 4)
    [mean] = [one for one in edit_figures(found, PLANNED, 0) if one.name == "mean.all"]
    told = {name: (one.value, one.n) for name, one in mean.measures.items()}
    assert told["hit_at_1"] == (pytest.approx(2 / 3), 3)
    assert told["hit_change"] == (pytest.approx(0), 3)
    assert told["rank_change"] == (pytest.approx((0 + 4 - 1) / 3), 3)
    assert told["rank_moved"] == (pytest.approx(2 / 3), 3)
    assert "log_probability_change" not in told
    assert "toward" not in told


def test_a_round_trip_is_set_against_the_thoughts_and_against_nothing() -> None:
    found = measured(
        {"none": [1, 1, 1, 2], "hide.all": [1, 2, 2, 2]},
        4,
        spoken_rank=np.array([[1, 3], [1, 2], [2, 0], [1, 4]], dtype=np.int32),
        spoken_agrees=np.array([[1, 0], [1, 0], [0, np.nan], [0, 1]], dtype=np.float32),
    )
    told = {
        name: (one.value, one.n) for name, one in whole_figures(found, PLANNED, 4, 0).items() if "round_trip" in name
    }
    assert told == {
        "round_trip_hit_at_1": (pytest.approx(3 / 4), 4),
        "round_trip_agrees": (pytest.approx(1 / 2), 4),
        "round_trip_change": (pytest.approx(0), 4),
        "round_trip_gain": (pytest.approx(2 / 4), 4),
        "round_trip_other_agrees": (pytest.approx(1 / 3), 3),
        "round_trip_other_change": (pytest.approx(-2 / 3), 3),
    }


def test_shares_lost_are_of_hit_at_1_above_chance() -> None:
    n = 40
    lost = shares(
        measured({"none": [1, 1, 1, 2] * 10, "mean.all": [2] * n, "zero.all": [1, 1, 1, 2] * 10}, n), PLANNED, 4, 0
    )
    assert lost["mean.all"].value == pytest.approx(0.75 / (0.75 - 0.25))
    assert lost["zero.all"].value == 0
    assert lost["noise.all"].value == pytest.approx(-0.25 / 0.5)
    assert shares(measured({"none": [2] * n}, n), PLANNED, 4, 0) == {}
    assert chance_hit(4) == 0.25


def test_texts_depend_where_another_thought_makes_them_less_likely() -> None:
    own = np.full((30, len(PLANNED)), -1.0, dtype=np.float32)
    own[:, AT["swap-random.all"]] = -3.0
    other = np.full_like(own, -4.0)
    bm25 = np.tile(np.array([[2, 1, 1]], dtype=np.int32), (30, 1))
    found = whole_figures(measured({}, 30, own=own, other=other, bm25=bm25), PLANNED, 200, 0)
    assert found["thought_dependence"].value == pytest.approx(2.0)
    assert found["image_dependence"].value == pytest.approx(0.0)
    assert found["text_specificity"].value == pytest.approx(3.0)
    assert (found["bm25_query"].value, found["bm25_thought"].value, found["bm25_gain"].value) == (0, 1, 1)
    assert "text_query" not in found


def test_the_curve_saturates_where_more_thoughts_change_nothing() -> None:
    n = 40
    names = truncations(K)
    assert names == ["hide.all", "truncate.1", "truncate.2", "none"]
    found = measured({"hide.all": [2] * n, "truncate.1": [1, 2] * (n // 2)}, n)
    assert [one.value for one in curve(found, PLANNED, 0)] == [0, 0.5, 1, 1]
    budget = find_budget(found, PLANNED, None, 0)
    assert budget is not None
    assert budget.enough == 2
    assert (budget.fitted_on, budget.n_fitted) == ("", n)


def easy_and_hard(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Half of the samples are done after one thought, which their embeddings tell; the others need all."""
    easy = np.arange(n) % 2 == 0
    hits = np.stack([np.zeros(n), easy, easy, np.ones(n)], axis=1).astype(float)
    return hits, np.where(easy[:, None], [[0.1, 1.0, 1.0]], [[0.1, 0.2, 0.3]])


def test_the_policy_stops_where_embeddings_agree() -> None:
    hits, agree = easy_and_hard(80)
    found = fit_policy(hits, agree, find_folds(hits, agree, None, seed=0), 0.0, seed=0)
    assert len(found.thresholds) == 2
    assert found.hit_at_1.value == 1
    assert found.thoughts.value == pytest.approx(2.5)
    assert stops(agree[:2], 0.9).tolist() == [2, 3]
    assert stops(agree[:2], 2.0).tolist() == [3, 3]


def test_the_policy_is_chosen_on_other_rows_where_there_are_any() -> None:
    """Those other rows agree before they are right, so that a threshold chosen on them differs from one chosen here."""
    n = 40
    hits = np.tile([0.0, 1, 1, 1], (n, 1))
    found = measured({"hide.all": [2] * n}, n, agree=np.tile(np.array([[0.1, 0.6, 0.6]], dtype=np.float32), (n, 1)))
    late = np.tile([0.0, 0, 0, 1], (n, 1))
    other = Fit(split="validation", hits=late, agree=np.tile([[0.1, 0.6, 0.6]], (n, 1)))
    budget = find_budget(found, PLANNED, other, 0)
    assert budget is not None
    assert (budget.fitted_on, budget.n_fitted) == ("validation", n)
    assert budget.policies[0].thresholds == (2.0,)
    assert budget.policies[0].thoughts.value == K
    own = find_budget(found, PLANNED, None, 0)
    assert own is not None
    assert own.policies[0].thoughts.value == 1
    assert fit_policy(hits, other.agree, find_folds(hits, other.agree, other, 0), 1.0, 0).thoughts.value == 1
    few = Fit(split="validation", hits=late[:3], agree=other.agree[:3])
    fallen_back = find_budget(found, PLANNED, few, 0)
    assert fallen_back is not None
    assert fallen_back.fitted_on == ""


@pytest.mark.parametrize("n", [100, 200, 300])
@pytest.mark.parametrize("tolerance", [0.01, 0.02, 0.05])
def test_a_loss_of_just_the_tolerance_is_allowed(n: int, tolerance: float) -> None:
    may = round(tolerance * n)
    for first in range(may, n, 7):
        hits = np.zeros((n, 3))
        hits[:first, 1:] = 1
        hits[:may, 1] = 0  # lost with one thought
        agree = np.full((n, 2), 0.9)
        assert _thriftiest(hits, agree, tolerance) == pytest.approx(0.9)
        hits[may, 1] = 0
        assert _thriftiest(hits, agree, tolerance) > 1 or first == may


def test_the_curve_of_the_policy_goes_from_one_thought_to_all() -> None:
    n = 80
    hits, agree = easy_and_hard(n)
    ranks = {name: (2 - hits[:, k]).astype(int).tolist() for k, name in enumerate(truncations(K))}
    budget = find_budget(measured(ranks, n, agree=agree.astype(np.float32)), PLANNED, None, 0)
    assert budget is not None
    told = [(one.thoughts.value, one.hit_at_1.value) for one in budget.points]
    assert told[0] == (1, 0.5)
    assert (2.5, 1) in told
    assert told[-1] == (K, 1)
    assert [one.quantile for one in budget.points] == sorted(one.quantile for one in budget.points)


def test_bm25_equals_the_formula_by_hand() -> None:
    found = Bm25(["a red ring", "the red red box", "a box"]).scores("Red ring?")
    idf = {"red": np.log(1 + (3 - 2 + 0.5) / (2 + 0.5)), "ring": np.log(1 + (3 - 1 + 0.5) / (1 + 0.5))}

    def weight(times: int, length: int) -> float:
        return times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / 3))

    expected = [(idf["red"] + idf["ring"]) * weight(1, 3), idf["red"] * weight(2, 4), 0]
    assert found == pytest.approx(expected)
    assert not Bm25(["", ""]).scores("red").any()


def test_sums_of_squares_are_of_what_made_them() -> None:
    draw = np.random.default_rng(0)

    def vary(*shape: int) -> np.ndarray:
        return draw.normal(size=(*shape, LAYERS, K, WIDTH))

    text, image = vary(2, 1), vary(1, 2)
    text, image = text - text.mean(axis=0), image - image.mean(axis=1, keepdims=True)
    position = np.broadcast_to(vary(1, 1), (2, 2, LAYERS, K, WIDTH))
    parts = sums_of_squares(Square(states=text + image + position))
    assert parts[:, 3] == pytest.approx(np.zeros(LAYERS), abs=1e-9)
    assert parts[:, 0] == pytest.approx(2 * (text**2).sum(axis=(0, 1, 3, 4)))
    assert parts[:, 1] == pytest.approx(2 * (image**2).sum(axis=(0, 1, 3, 4)))
    whole = vary(2, 2)
    centred = whole - whole.mean(axis=(0, 1, 3), keepdims=True)
    assert sums_of_squares(Square(states=whole)).sum(axis=1) == pytest.approx((centred**2).sum(axis=(0, 1, 3, 4)))


def test_partners_have_another_right_candidate(tmp_path: Path) -> None:
    words = [
        f"{colour} {shape} {side}" for colour in ("red", "blue") for shape in ("square",) for side in ("left", "right")
    ]
    question = pose(str(write_data(tmp_path, [*words, *words])))
    embeddings = np.eye(8, 6)[:, :6].astype(np.float32) + 0.1
    embeddings[7] = np.nan
    found = find_partners(question, embeddings, n_think=K, size=4, seed=0)
    targets = [row.target for row in question.rows]
    for row in range(7):
        assert targets[found.random[row]] != targets[row]
        assert targets[found.nearest[row]] != targets[row]
        assert all(targets[other] != targets[row] for other in found.mixed[row])
        assert 7 not in (found.random[row], found.nearest[row], *found.mixed[row])
        if found.image[row] >= 0:
            assert found.image[found.image[row]] == row
            assert found.image[row] // 4 == row // 4
    assert found.random[7] == found.nearest[7] == found.image[7] == -1
    assert (find_partners(question, embeddings, n_think=K, size=4, seed=0).random == found.random).all()


def test_equal_samples_have_no_partners(tmp_path: Path) -> None:
    question = pose(str(write_data(tmp_path, ["red square left"] * 3)))
    found = find_partners(question, np.ones((3, 4), dtype=np.float32), n_think=K, size=4, seed=0)
    assert (found.random == -1).all()
    assert (found.nearest == -1).all()


def test_a_crossed_sample_asks_the_same_about_other_images(tmp_path: Path) -> None:
    question = pose(str(write_data(tmp_path, ["red square left", "blue square left"])))
    one, two = (row.pair.query for row in question.rows if row.pair)
    found = crossed_sample(one, two)
    assert (found.text, found.images) == (one.text, two.images)
    assert found.id not in (one.id, two.id)


def materials(**changes: Any) -> Materials:
    draw = np.random.default_rng(1)
    shape = (LAYERS + 1, K, WIDTH)
    own = draw.normal(size=shape).astype(np.float32)
    held: dict[str, Any] = {
        name: draw.normal(size=shape).astype(np.float32) for name in ("mean", "random", "nearest", "mixed", "crossed")
    }
    held |= {"own": own, "noise": make_noise(own, draw), "dummy": np.ones(WIDTH, np.float32), "hidden": (0, 2, 5)}
    return Materials(**(held | changes))


def test_every_edit_is_what_its_name_says() -> None:
    of = materials()
    edits = {one.name: make_edit(one, of) for one in PLANNED}
    assert all(edit is not None for edit in edits.values())
    made: dict[str, Any] = {name: edit for name, edit in edits.items() if edit is not None}
    assert made["hide.2"].hidden == (1,)
    assert made["truncate.2"].hidden == (2,)
    assert made["mean.2"].replaced.sum(axis=1).tolist() == [1] * (LAYERS + 1)
    assert made["mean.2"].states is of.mean
    assert made["dummy.all"].replaced[1:].sum() == 0
    assert np.allclose(np.linalg.norm(of.noise, axis=-1), np.linalg.norm(of.own, axis=-1), rtol=1e-5)
    assert np.array_equal(made["keep-only.2"].states[:, 1], of.own[:, 1])
    assert np.array_equal(made["keep-only.2"].states[:, 0], of.mean[:, 0])
    assert np.array_equal(made["reorder.all"].states[:, 1], of.own[:, 0])
    assert np.array_equal(made["first-repeated.all"].states[:, 2], of.own[:, 0])
    assert made["patch.1"].replaced[1].all()
    assert made["patch.1"].replaced.sum() == K
    assert made["control.all"].positions == (0, 2, 5)
    assert made["control.1"].positions == (0,)
    assert len(AT) == len(PLANNED)


def test_what_an_edit_lacks_is_not_made() -> None:
    of = materials(random=None, nearest=None, mixed=None, crossed=None, hidden=())
    lacking = {one.name for one in PLANNED if make_edit(one, of) is None}
    assert {"swap-random.all", "swap-nearest.1", "swap-image.all", "shuffle.all", "patch.1", "control.all"} <= lacking
    assert not {"none", "mean.all", "zero.1", "hide.all", "block.embed-query"} & lacking


def test_one_thought_needs_no_singles() -> None:
    names = {one.name for one in plan(1, LAYERS)}
    assert "mean.all" in names
    assert not {name for name in names if name.endswith(".1") and not name.startswith("patch")}
    assert truncations(1) == ["hide.all", "none"]


def test_there_is_a_name_for_every_edit() -> None:
    assert all(one.about for one in PLANNED)
