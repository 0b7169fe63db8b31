"""Attention of two checkpoints on the same images: planted models of which it is known what they look at."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparisons import QUERIES, WordModel, compare, write_data
from PIL import Image
from planted import N_THINK

from workbench.comparing.looking import liken_looks
from workbench.comparing.making import Compared
from workbench.comparing.matching import by_position
from workbench.comparing.question import pose
from workbench.comparing.report import comparison_html
from workbench.comparison import Look
from workbench.stats import spearman

BY_COLOUR = {"red": (0, 1), "blue": (2, 4)}
APART = -1 / 14
"""Correlation of two maps of 15 patches that each have one patch above the equal rest, and not the same."""


def looks_of(compared: Compared) -> tuple[Look, ...]:
    [pair] = compared.comparison.pairs
    return pair.looks


def test_looking_at_what_the_question_is_about_is_above_chance(tmp_path: Path) -> None:
    looks = looks_of(compare(tmp_path, WordModel("one", looks=BY_COLOUR), WordModel("other", looks=BY_COLOUR)))
    assert [one.think for one in looks] == [(1, 1), (2, 2), (3, 3), (4, 4), ()]
    for look in looks:
        assert look.agreement.value == pytest.approx(1)
        assert look.n == len(QUERIES)
        # Of five other questions two are about the same colour.
        assert look.chance == pytest.approx((2 + 3 * APART) / 5)
        assert (look.chance_n, look.chance_agreement) == (6, pytest.approx(1))
        # 36 of the 720 orders leave every colour where it was.
        assert look.p == pytest.approx(36 / 720, abs=0.05)


def test_the_same_patch_on_every_image_is_all_chance(tmp_path: Path) -> None:
    for look in looks_of(compare(tmp_path, WordModel("one"), WordModel("other"))):
        assert look.agreement.value == pytest.approx(1)
        assert look.chance == pytest.approx(1)
        assert look.p == 1


def test_looking_elsewhere_is_below_chance(tmp_path: Path) -> None:
    crossed = {"red": BY_COLOUR["blue"], "blue": BY_COLOUR["red"]}
    look = looks_of(compare(tmp_path, WordModel("one", looks=BY_COLOUR), WordModel("other", looks=crossed)))[0]
    assert look.agreement.value == pytest.approx(APART)
    assert look.chance == pytest.approx((2 * APART + 3) / 5)
    assert look.p == pytest.approx(1)


def test_chance_is_of_images_that_are_cut_alike(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    for number in (4, 5):  # 6 x 3 patches instead of 3 x 5
        Image.new("RGB", (30, 60), (9, 9, 9)).save(tmp_path / "data" / f"{number}.png")
    models = WordModel("one", looks=BY_COLOUR), WordModel("other", looks=BY_COLOUR)
    look = looks_of(compare(tmp_path, *models, question=pose(str(data))))[0]
    assert (look.n, look.agreement.value) == (6, pytest.approx(1))
    # Four of 15 patches: of three others one is alike. Two of 18: the other one is about the other colour.
    assert look.chance == pytest.approx((4 * (1 + 2 * APART) / 3 + 2 * (-1 / 17)) / 6)


def test_chance_is_told_with_the_samples_that_it_is_of(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    for number in (4, 5):  # each cut as no other image is
        Image.new("RGB", (30, 60 + 10 * number), (9, 9, 9)).save(tmp_path / "data" / f"{number}.png")
    crossed = {"red": BY_COLOUR["blue"], "blue": BY_COLOUR["red"]}
    models = WordModel("one", looks=BY_COLOUR), WordModel("other", looks=crossed)
    compared = compare(tmp_path, *models, question=pose(str(data)))
    for look in looks_of(compared):
        assert (look.n, look.chance_n) == (6, 4)
        assert look.chance_agreement == pytest.approx(APART)
        # The two others have 30 and 33 patches.
        assert look.agreement.value == pytest.approx((4 * APART - 1 / 29 - 1 / 32) / 6)
        assert look.chance == pytest.approx((APART + 2) / 3)
        assert look.p == pytest.approx(1)
    text = comparison_html(compared)
    assert "Chance and p are of the 4 samples whose image is cut like another one" in text
    assert "<small>where they agree at -0.07</small>" in text


def test_an_image_without_a_second_one_like_it_has_no_chance(tmp_path: Path) -> None:
    question = pose(str(write_data(tmp_path / "data")), n=1)
    look = looks_of(compare(tmp_path, WordModel("one"), WordModel("other"), question=question))[0]
    assert (look.agreement.value, look.chance, look.p) == (pytest.approx(1), None, None)
    assert (look.n, look.chance_n, look.chance_agreement) == (1, 0, None)


def test_other_patches_and_no_images_have_no_agreement(tmp_path: Path) -> None:
    assert looks_of(compare(tmp_path / "finer", WordModel("one"), WordModel("other", finer=True))) == ()
    question = pose(str(write_data(tmp_path / "data", images=False)))
    assert looks_of(compare(tmp_path, WordModel("one"), WordModel("other"), question=question)) == ()


def test_it_is_spearman_of_the_stored_maps_with_their_counterparts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = compare(tmp_path, WordModel("one"), WordModel("other"))
    drawn = np.random.default_rng(3).random((2, len(QUERIES), N_THINK + 1, 15)).round(1)  # rounded: with ties
    drawn[0, 2, 1] = 0.5  # a map that is the same everywhere
    for side, reading in enumerate(compared.readings):
        monkeypatch.setattr(reading, "attention", drawn[side].__getitem__)
    swapped = [replace(one, other=(one.other or 0) % N_THINK + 1) for one in by_position(N_THINK, N_THINK)]
    one, other = compared.readings
    looks = liken_looks((one, other), np.arange(len(QUERIES)), [replace(swapped[0], other=None), *swapped[1:]])
    assert [look.think for look in looks] == [(2, 3), (3, 4), (4, 1), ()]
    for look, (a, b) in zip(looks, [(1, 2), (2, 3), (3, 0), (4, 4)], strict=True):
        expected = spearman(drawn[0, :, a], drawn[1, :, b])
        assert look.agreement.value == pytest.approx(expected.mean())
        strange = [spearman(drawn[0, i, a], drawn[1, j, b]) for i in range(6) for j in range(6) if i != j]
        assert look.chance == pytest.approx(np.mean(strange))
        assert look.p is not None
        assert not math.isnan(look.p)
