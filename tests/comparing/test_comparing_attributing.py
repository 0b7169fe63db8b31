"""Attribution in a comparison: of a model whose maps are known, and of small real ones of every kind."""

import html
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import write_tiny
from comparisons import WordModel, compare, setup, shorten, write_data
from planted import N_THINK
from seeing import SeeingModel

from probes.input_x_gradient import InputXGradient
from probes.saliency import Saliency
from workbench.comparing.attributing import attribute_samples
from workbench.comparing.kept import Kept
from workbench.comparing.making import Compared, Setup, choose, make_comparison
from workbench.comparing.opening import open_sample
from workbench.comparing.question import pose
from workbench.comparing.report import comparison_html, shown_samples
from workbench.comparison import Attributed, SampleView
from workbench.errors import Cancelled
from workbench.models.layout import explicit_cot, lame, no_think, tte_flash
from workbench.render.comparison_maps import highs, maps_html
from workbench.targets import EmbeddingTarget, ThinkState

N_CELLS = 15
METHOD = InputXGradient(baseline="zero")


def attribute(
    folder: Path, compared: Compared, *models: WordModel, samples: Sequence[int] = (0, 3), **how: Any
) -> None:
    _, where = setup(folder, *models)
    attribute_samples(compared, samples, how.pop("method", METHOD), where, **how)


def opened(compared: Compared, sample: int = 0, pair: int = 0, method: Any = METHOD) -> Attributed:
    found = open_sample(compared, sample, pair, method=method).attributed
    assert found is not None
    return found


def halve_second(view: SampleView) -> SampleView:
    """As if patches added half as much under the second checkpoint."""
    found = view.attributed
    assert found is not None
    return replace(view, attributed=replace(found, maps=(found.maps[0], found.maps[1] / 2)))


def test_maps_are_those_of_each_model_and_share_a_scale(tmp_path: Path) -> None:
    models = SeeingModel("one"), SeeingModel("two", first=5)
    compared = compare(tmp_path, *models)
    assert open_sample(compared, 0, method=METHOD).attributed is None  # nothing was asked for yet
    attribute(tmp_path, compared, *models)
    found = opened(compared, 3)
    assert (found.method, found.signed, found.notes) == ("input_x_gradient", True, ())
    for maps, first in zip(found.maps, (0, 5), strict=True):
        assert maps.shape == (N_THINK + 1, N_CELLS)
        np.testing.assert_array_equal(maps[:N_THINK, first : first + N_THINK], np.eye(N_THINK))
        np.testing.assert_allclose(np.abs(maps).sum(axis=1), 1)
        np.testing.assert_allclose(maps[N_THINK, [0, -1]], [-1 / 3, -2 / 3], rtol=1e-6)
    assert found.high == found.high_of(0) == 1
    assert open_sample(compared, 1, method=METHOD).attributed is None  # of the samples that were asked for alone
    assert open_sample(compared, 3, method=Saliency()).attributed is None  # another method, other maps


def test_the_embedding_is_held_to_the_right_document(tmp_path: Path) -> None:
    model = SeeingModel("one")
    compared = compare(tmp_path, model, WordModel("other"))
    attribute(tmp_path, compared, model, sides=[0], samples=[2])
    [targets] = model.opened
    assert [type(target) for target in targets] == [ThinkState] * N_THINK + [EmbeddingTarget]
    target = targets[-1]
    assert isinstance(target, EmbeddingTarget)
    documents = compared.readings[0].documents()
    place = compared.question.rows[2].target
    assert place is not None
    np.testing.assert_array_equal(target.score.positive, documents[place])
    assert target.score.kind == "contrast"
    assert len(target.score.others) == len(documents) - 1


def test_without_a_right_document_it_is_held_to_its_own_first(tmp_path: Path) -> None:
    model = SeeingModel("one")
    question = pose(str(write_data(tmp_path / "data")))
    question = replace(question, rows=tuple(replace(row, right=()) for row in question.rows))
    compared = compare(tmp_path, model, WordModel("other"), question=question)
    attribute(tmp_path, compared, model, sides=[0], samples=[4])
    target = model.opened[0][-1]
    assert isinstance(target, EmbeddingTarget)
    documents, embedding = compared.readings[0].documents(), compared.readings[0].embeddings()[4]
    first = int(np.argmax(documents @ embedding))
    np.testing.assert_array_equal(target.score.positive, documents[first])
    [note, _] = opened(compared, 4).notes
    assert note == (
        "one: Embedding: the data name no right document, so its map is about this checkpoint's own first candidate, "
        f"'{question.told(first)}'."
    )


def test_a_right_document_that_one_side_could_not_embed_is_told(tmp_path: Path) -> None:
    text = "red left right"
    models = SeeingModel("one"), SeeingModel("picky", refuses=[text])
    compared = compare(tmp_path, *models)
    attribute(tmp_path, compared, *models, samples=[4])
    documents = compared.readings[1].documents()
    cosines = documents @ compared.readings[1].embeddings()[4]
    first = compared.question.told(int(np.nanargmax(cosines)))
    assert first != text
    [note] = opened(compared, 4).notes
    assert note == (
        "picky: Embedding: the right document could not be embedded, so its map is about this checkpoint's own first "
        f"candidate, '{first}'."
    )
    assert html.escape(note) in comparison_html(compared, first="q4", method=METHOD)
    # A map that was made without a candidate is not taken for one with it.
    mended = SeeingModel("one"), SeeingModel("picky")
    for file in compared.readings[1].folder.glob("documents-*"):
        file.unlink()
    again = compare(tmp_path, *mended)
    assert open_sample(again, 4, method=METHOD).attributed is not None
    attribute(tmp_path, again, *mended, samples=[4])
    assert opened(again, 4).notes == ()


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    models = SeeingModel("one"), SeeingModel("two")
    compared = compare(tmp_path, *models)
    attribute(tmp_path, compared, *models, samples=[0])
    attribute(tmp_path, compared, *models, samples=[0, 1])
    assert [len(model.opened) for model in models] == [2, 2]
    # One whose maps were deleted in part is made anew.
    for times, ending in ((3, "json"), (4, "safetensors")):
        [file] = compared.readings[0].folder.glob(f"attribution-00000-*.{ending}")
        file.unlink()
        assert np.isfinite(opened(compared).maps[1]).all()
        assert opened(compared).maps[0].size == 0
        attribute(tmp_path, compared, *models, samples=[0])
        assert [len(model.opened) for model in models] == [times, 2]
        assert np.isfinite(opened(compared).maps[0]).all()


def test_a_side_without_maps_says_why(tmp_path: Path) -> None:
    models = SeeingModel("one"), WordModel("blank"), SeeingModel("odd")
    models[2].why = "This sample is too odd."
    compared = compare(tmp_path, *models)
    attribute(tmp_path, compared, *models, samples=[0])
    blank, odd = opened(compared, 0, 0), opened(compared, 0, 1)
    assert np.isfinite(blank.maps[0]).all()
    assert np.isnan(blank.maps[1]).all()
    assert blank.gaps == ((None,) * 5, (None,) * 5)
    assert blank.notes == (
        "blank: Input x gradient needs a model that has gradients with respect to what it sees; 'blank' does not.",
    )
    assert odd.notes == ("odd: This sample is too odd.",)
    assert blank.high == 1
    text = comparison_html(compared, method=METHOD)
    assert text.count("What the patches add to them: Input x gradient") == 2
    assert "needs a model that has gradients" in text


def test_the_report_shows_them_on_one_scale_and_slides(tmp_path: Path) -> None:
    models = SeeingModel("one"), SeeingModel("two", first=5, swaps={"red": "blue"})
    compared = compare(tmp_path, *models)
    [samples] = shown_samples(compared)
    attribute(tmp_path, compared, *models, samples=samples)
    plain, told = comparison_html(compared), comparison_html(compared, method=METHOD)
    assert "What the patches add" not in plain
    assert told.count("What the patches add to them") == len(samples)
    assert "-100.0%" in told
    assert told.count('<div class="cp-over">') == 2 * plain.count('<div class="cp-over">')
    view = open_sample(compared, 0, method=METHOD)
    halved = halve_second(view)
    assert highs(halved, halved.attributed) == (1, 1)
    assert maps_html(halved, ("one", "two")) != maps_html(view, ("one", "two"))


def test_other_patches_have_scales_of_their_own(tmp_path: Path) -> None:
    models = SeeingModel("one"), SeeingModel("fine", finer=True)
    compared = compare(tmp_path, *models)
    attribute(tmp_path, compared, *models, samples=[0])
    found = opened(compared)
    assert [maps.shape[1] for maps in found.maps] == [15, 60]
    names = ("one", "fine")
    view = open_sample(compared, 0, method=METHOD)
    halved = halve_second(view)
    assert highs(halved, halved.attributed) == (1, 0.5)
    # Each is drawn up to its own top, so half of everything looks the same.
    drawn = maps_html(view, names)
    assert maps_html(halved, names) == drawn
    assert "What the patches add to them" in drawn
    assert drawn.count("Each has a colour scale of its own.") == 2  # of attention and of attribution
    assert "one scale for both" not in drawn
    assert "cp-over" not in drawn


def test_samples_without_images_are_left_out(tmp_path: Path) -> None:
    model = SeeingModel("one")
    question = pose(str(write_data(tmp_path / "data", images=False)))
    compared = compare(tmp_path, model, WordModel("other"), question=question)
    attribute(tmp_path, compared, model, WordModel("other"))
    assert model.opened == []
    assert open_sample(compared, 0, method=METHOD).attributed is None


def test_cancelled_it_stops_and_keeps_what_is_whole(tmp_path: Path) -> None:
    models = SeeingModel("one"), SeeingModel("two")
    compared = compare(tmp_path, *models)
    with pytest.raises(Cancelled, match="maps that were made are kept"):
        attribute(tmp_path, compared, *models, samples=[0, 1], cancelled=lambda: len(models[0].opened) > 0)
    assert not list(compared.readings[1].folder.glob("attribution-*"))
    attribute(tmp_path, compared, *models, samples=[0, 1])
    assert np.isfinite(opened(compared, 1).maps[0]).all()


def test_progress_runs_from_0_to_1(tmp_path: Path) -> None:
    models = SeeingModel("one"), SeeingModel("two")
    compared = compare(tmp_path, *models)
    told: list[float] = []
    attribute(tmp_path, compared, *models, tell=lambda done, _: told.append(done))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, 1)


def test_real_models_of_every_kind(
    tmp_path: Path, shapes_rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thinking, thinking otherwise, not thinking and writing: embeddings always have maps, thoughts where there are some."""
    shorten(monkeypatch)
    layouts = {
        "four": tte_flash(4),
        "two": tte_flash(2),
        "bare": no_think(),
        "written": explicit_cot(),
        "bottleneck": lame(3),
    }
    folders = [
        str(write_tiny(tmp_path / name, shapes_rows, layout=layout, seed=number))
        for number, (name, layout) in enumerate(layouts.items())
    ]
    where = Setup(kept=Kept(tmp_path / "kept"), device="cpu", dtype="float32")
    compared = make_comparison(choose(folders), pose("shapes", n=4), where)
    pictured = [place for place, row in enumerate(compared.readings[0].rows) if row.grids]
    assert pictured
    attribute_samples(compared, range(4), METHOD, where)
    for pair, other in enumerate((2, 0, 0, 3)):
        view = open_sample(compared, pictured[0], pair, method=METHOD)
        assert view.attributed is not None
        assert [len(maps) for maps in view.attributed.maps] == [5, other + 1]
        for maps, attention in zip(view.attributed.maps, view.maps, strict=True):
            assert maps.shape == attention.shape
            np.testing.assert_allclose(np.abs(maps).sum(axis=1), 1, rtol=1e-5)
        held = [note for note in view.attributed.notes if "holds that text as it is" in note]
        assert (list(view.attributed.notes) == held) and (len(held) == int(pair == 2))
