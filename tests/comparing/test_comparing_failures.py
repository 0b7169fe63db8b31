"""What fails, changes or is cleared while checkpoints are compared costs that part and nothing else, and is told."""

import errno
import gc
import json
import os
import shutil
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from checkpoints import write_tiny
from comparisons import QUERIES, WordModel, compare, setup, shorten, write_data
from seeing import SeeingModel

from workbench.attribution import methods
from workbench.comparing import making
from workbench.comparing.attributing import attribute_samples
from workbench.comparing.document import comparison_json, schema
from workbench.comparing.kept import Kept
from workbench.comparing.making import Setup, choose, make_comparison
from workbench.comparing.opening import open_sample
from workbench.comparing.question import pose
from workbench.comparing.report import comparison_html
from workbench.embedder import Embedder
from workbench.errors import BadCheckpoint, BadInput, OutOfMemory
from workbench.models.layout import no_think, tte_flash

HOUR = 3600.0


def age(folder: Path) -> None:
    """Let hours have passed since it was used."""
    os.utime(folder, (time.time() - 9 * HOUR, time.time() - 9 * HOUR))


def trio(**third: Any) -> list[WordModel]:
    return [WordModel("first"), WordModel("second", swaps={"red": "blue"}), WordModel("third", **third)]


def test_a_checkpoint_that_fails_is_left_out_and_the_others_are_compared(tmp_path: Path) -> None:
    models = trio(fails_at=1)
    compared = compare(tmp_path, *models)
    comparison = compared.comparison
    assert [(pair.reference, pair.other) for pair in comparison.pairs] == [(0, 1)]
    assert [side.name for side in comparison.sides] == [one.name for one in compared.chosen] == ["first", "second"]
    assert all(len(metric.values) == 2 for metric in comparison.metrics)
    [refused] = comparison.refused
    assert refused.what == "third"
    assert "Memory ran out while 'third' was read" in refused.why
    assert "third&#x27; was not compared. Memory ran out" in comparison_html(compared)
    values = json.loads(json.dumps(comparison_json(comparison), allow_nan=False))
    jsonschema.Draft202012Validator(schema()).validate(values)
    assert values["refused"] == [{"what": "third", "why": refused.why}]
    assert not compared.is_whole
    # The next time it alone is read.
    traced = [model.traced for model in models]
    whole = compare(tmp_path, *models)
    assert [pair.other for pair in whole.comparison.pairs] == [1, 2]
    assert whole.comparison.refused == ()
    assert whole.is_whole
    assert [model.traced for model in models[:2]] == traced[:2]
    assert whole.comparison.pairs[0].changes == comparison.pairs[0].changes


def test_one_in_the_middle_that_cannot_be_loaded_moves_nobody(tmp_path: Path) -> None:
    names, where = setup(tmp_path, *trio())

    def load(path: Path) -> Embedder:
        if path.name == "second":
            raise BadCheckpoint("The weights of 'second' are damaged; copy the file again.")
        assert where.load is not None
        return where.load(path)

    compared = make_comparison(choose(names), pose(str(write_data(tmp_path / "data"))), replace(where, load=load))
    [pair] = compared.comparison.pairs
    assert compared.comparison.sides[pair.other].name == "third"
    assert [one.what for one in compared.comparison.refused] == ["second"]
    assert open_sample(compared, 0).cards


def test_a_checkpoint_without_a_sample_in_common_keeps_its_own_figures(tmp_path: Path) -> None:
    compared = compare(tmp_path, *trio(refuses=QUERIES))
    comparison = compared.comparison
    assert compared.is_whole  # It would be refused again.
    assert [pair.other for pair in comparison.pairs] == [1]
    assert [side.name for side in comparison.sides] == ["first", "second", "third"]
    [refused] = comparison.refused
    assert refused.what == "third"
    assert "There is no sample in common" in refused.why
    assert {sample.errors[2] for sample in comparison.samples} == {f"'{query}' is not for third." for query in QUERIES}


def test_without_a_pair_there_is_nothing_to_compare(tmp_path: Path) -> None:
    first = WordModel("first", fails_at=1)
    with pytest.raises(OutOfMemory, match="while 'first' was read"):
        compare(tmp_path / "a", first, WordModel("second"), WordModel("third"))
    second, third = WordModel("second", fails_at=1), WordModel("third", refuses=QUERIES)
    told = r"could be compared with 'first'\. 'second': Memory ran out.* 'third': There is no sample in common"
    with pytest.raises(BadInput, match=told):
        compare(tmp_path / "b", WordModel("first"), second, third)


def test_a_folder_of_no_known_format_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    names, _ = setup(tmp_path, WordModel("one"), WordModel("plain"))
    (Path(names[1]) / "thinkscope.json").unlink()
    with pytest.raises(BadCheckpoint, match="'plain' is of no known format"):
        choose(names)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory, shapes_rows: list[dict[str, Any]]) -> list[Path]:
    folder = tmp_path_factory.mktemp("kinds")
    layouts = {"four": tte_flash(4), "bare": no_think(), "two": tte_flash(2)}
    return [
        write_tiny(folder / name, shapes_rows, layout=layout, seed=number)
        for number, (name, layout) in enumerate(layouts.items())
    ]


def test_a_model_that_failed_is_gone_before_the_next_is_loaded(
    kinds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.models.checkpoint import load_checkpoint

    shorten(monkeypatch)
    alive: dict[str, weakref.ref[Any]] = {}

    def load(path: Path, **how: Any) -> Any:
        assert all(one() is None for one in alive.values())
        model = load_checkpoint(path, **how)
        alive[path.name] = weakref.ref(model)
        if path.name == "bare":
            # It holds itself, as a model with hooks does, and the error holds it too.
            def fail(batch: object, keep: object = None, of: object = model) -> Any:
                raise MemoryError

            model.trace = fail
        return model

    monkeypatch.setattr(making, "load_checkpoint", load)
    where = Setup(kept=Kept(tmp_path), device="cpu", dtype="float32")
    comparison = make_comparison(choose([str(one) for one in kinds]), pose("shapes", n=2), where).comparison
    assert list(alive) == ["four", "bare", "two"]
    assert [one.what for one in comparison.refused] == ["bare"]
    gc.collect()
    assert all(one() is None for one in alive.values())


def test_a_checkpoint_that_changes_after_it_was_chosen_is_not_read_under_its_old_name(
    kinds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    folders = [shutil.copytree(one, tmp_path / one.name) for one in kinds[:2]]
    where = Setup(kept=Kept(tmp_path / "kept"), device="cpu", dtype="float32")
    chosen, question = choose([str(one) for one in folders]), pose("shapes", n=2)
    (folders[1] / "more.json").write_text("{}")
    with pytest.raises(BadInput, match=r"'bare' in '.*bare' has changed on the disk since it was chosen; start again"):
        make_comparison(chosen, question, where)
    assert list((tmp_path / "kept" / where.key(question, chosen[1])).iterdir()) == []


def test_a_model_that_tells_no_hash_is_held_to_its_folder(tmp_path: Path) -> None:
    models = SeeingModel("one"), SeeingModel("two")
    names, where = setup(tmp_path, *models)
    compared = compare(tmp_path, *models)
    (Path(names[0]) / "model.safetensors").write_bytes(b"trained on")
    with pytest.raises(BadInput, match=r"'one' in .* has changed on the disk"):
        attribute_samples(compared, [0], methods()["saliency"](), where)
    assert not list(compared.readings[0].folder.glob("attribution-*"))


class Fetched(WordModel):
    """Opens the pictures of what it reads, as real models do."""

    def prepare(self, sample: Any) -> Any:
        from workbench.images import open_image

        for image in sample.images:
            open_image(image)
        return super().prepare(sample)


def test_a_row_whose_file_could_not_be_read_is_read_anew(tmp_path: Path) -> None:
    models = Fetched("one"), WordModel("two", swaps={"red": "blue"}, refuses=QUERIES[1:2])
    question = pose(str(write_data(tmp_path / "data")))
    away, back = tmp_path / "data" / "2.png", tmp_path / "away.png"
    away.rename(back)
    first = compare(tmp_path, *models, question=question)
    assert [bool(sample.errors[0]) for sample in first.comparison.samples] == [False, False, True, False, False, False]
    assert not first.is_whole
    back.rename(away)
    traced = models[1].traced
    again = compare(tmp_path, *models, question=question)
    assert not any(sample.errors[0] for sample in again.comparison.samples)
    assert again.is_whole
    # What a model refuses of itself stays refused, and nothing is read for it.
    assert again.comparison.samples[1].errors[1]
    assert models[1].traced == traced
    before = models[0].traced
    compare(tmp_path, *models, question=question)
    assert models[0].traced == before


def test_no_map_is_written_down_for_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    class Far(SeeingModel, Fetched):
        """Both."""

    models = Far("one"), Far("two", first=5)
    compared = compare(tmp_path, *models)
    _, where = setup(tmp_path, *models)
    method = methods()["saliency"]()
    away, back = tmp_path / "data" / "0.png", tmp_path / "away.png"
    away.rename(back)
    with pytest.raises(BadInput, match="no file"):
        attribute_samples(compared, [0], method, where)
    back.rename(away)
    attribute_samples(compared, [0], method, where)
    found = open_sample(compared, 0, method=method).attributed
    assert found is not None
    assert found.notes == ()


def test_readings_that_are_compared_are_marked_as_used(tmp_path: Path) -> None:
    """One that was read long ago lies there, untouched, while another checkpoint reads for hours."""
    first, second = WordModel("first"), WordModel("second")
    begun = compare(tmp_path, first, second)
    [_, where] = setup(tmp_path, first, second)
    ages: list[float] = []

    mine = begun.readings[0].folder

    class Slow(WordModel):
        """While it reads, hours pass."""

        def prepare(self, sample: Any) -> Any:
            ages.append(time.time() - mine.stat().st_mtime)
            age(mine)
            return super().prepare(sample)

        def length(self, sample: Any) -> int:
            return 2_000  # a batch of its own for each

    compare(tmp_path, first, Slow("third"))
    assert len(ages) > 2
    assert max(ages) < HOUR
    assert time.time() - mine.stat().st_mtime < HOUR
    for reading in begun.readings:
        age(reading.folder)
    open_sample(begun, 0)
    assert all(time.time() - reading.folder.stat().st_mtime < HOUR for reading in begun.readings)
    # So another process may tidy and takes nothing of it.
    Kept(where.kept.root, max_bytes=0).tidy()
    assert all(reading.is_whole for reading in begun.readings)


def test_readings_are_marked_as_used_while_samples_are_attributed(tmp_path: Path) -> None:
    models = SeeingModel("one"), SeeingModel("two")
    compared = compare(tmp_path, *models)
    _, where = setup(tmp_path, *models)
    waits = compared.readings[1].folder
    age(waits)
    attribute_samples(compared, [0], methods()["saliency"](), where, sides=[0])
    assert time.time() - waits.stat().st_mtime < HOUR


def test_a_reading_that_was_cleared_is_told_and_made_anew(tmp_path: Path) -> None:
    models = WordModel("first"), WordModel("second")
    compared = compare(tmp_path, *models)
    shutil.rmtree(compared.readings[1].folder)
    for ask in (lambda: open_sample(compared, 0), lambda: comparison_html(compared), compared.readings[1].documents):
        with pytest.raises(BadInput, match=r"was cleared from '.*kept' meanwhile; ask for the same again"):
            ask()
    assert not compared.is_whole
    assert open_sample(compare(tmp_path, *models), 0).cards


@pytest.mark.parametrize("error", [OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_memory_that_the_system_refuses_is_told_as_memory(tmp_path: Path, error: OSError) -> None:
    second = WordModel("second", fails_at=1)
    second.error = error
    with pytest.raises(OutOfMemory, match="while 'second' was read"):
        compare(tmp_path, WordModel("first"), second)


def test_an_error_of_the_model_is_not_one_of_the_disk(tmp_path: Path) -> None:
    second = WordModel("second", fails_at=1)
    second.error = OSError(errno.EIO, "the driver does not answer")
    with pytest.raises(OSError, match="driver does not answer"):
        compare(tmp_path, WordModel("first"), second)
