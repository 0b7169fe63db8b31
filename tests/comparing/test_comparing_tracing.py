"""A reading on the disk holds what the model says, and goes on where it stopped."""

import gc
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparisons import QUERIES, WordModel, shorten, write_data

from workbench.comparing import tracing
from workbench.comparing.question import Question, pose
from workbench.comparing.tracing import cell_attention, is_read, read_question
from workbench.embedder import Keep
from workbench.errors import BadInput, Cancelled, Unreadable
from workbench.types import DecodedThought, Encoded, Sample, Trace


@pytest.fixture
def question(tmp_path: Path) -> Question:
    return pose(str(write_data(tmp_path / "data")))


def test_a_reading_is_what_the_model_says_one_by_one(
    tiny_model: Any, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    question = pose("shapes", n=4)
    reading = read_question(tiny_model, question, tmp_path, tiny_checkpoint)
    assert is_read(tmp_path)
    assert reading.about.title == "Tiny random model"
    for place, row in enumerate(question.rows):
        assert row.pair is not None
        [trace] = tiny_model.trace([tiny_model.prepare(row.pair.query)])
        [thought] = tiny_model.decode([trace], max_tokens=8)
        read = reading.rows[place]
        assert read.thought is not None
        assert read.thought.text == thought.text
        assert [(g.rows, g.cols) for g in read.grids] == [(g.rows, g.cols) for g in trace.grids]
        assert len(read.think) == tiny_model.info.n_think
        np.testing.assert_allclose(reading.embeddings()[place], trace.embedding, atol=1e-5)
        np.testing.assert_allclose(reading.attention(place), cell_attention(trace), atol=1e-5)
        for layer in range(tiny_model.info.n_layers):
            np.testing.assert_allclose(reading.states(layer)[place], trace.latents[layer], atol=1e-4)
    documents = tiny_model.embed([tiny_model.prepare(one) for one in question.documents[:3]])
    np.testing.assert_allclose(reading.documents()[:3], documents, atol=1e-5)


def test_the_hot_patch_is_where_it_was_planted(question: Question, tmp_path: Path) -> None:
    model = WordModel()
    reading = read_question(model, question, tmp_path / "r", tmp_path)
    assert reading.rows[0].grids[0].rows == 3
    assert reading.rows[0].grids[0].cols == 5
    maps = reading.attention(0)
    assert maps.shape == (5, 15)
    np.testing.assert_array_equal(maps.argmax(axis=1), 1)
    assert maps[0, 1] > 0.5


def test_a_sample_that_is_refused_costs_the_others_nothing(question: Question, tmp_path: Path) -> None:
    reading = read_question(WordModel(refuses=QUERIES[2:3]), question, tmp_path / "r", tmp_path)
    assert [bool(row.error) for row in reading.rows] == [False, False, True, False, False, False]
    embeddings = reading.embeddings()
    assert np.isnan(embeddings[2]).all()
    whole = read_question(WordModel(), question, tmp_path / "whole", tmp_path).embeddings()
    np.testing.assert_array_equal(np.delete(embeddings, 2, axis=0), np.delete(whole, 2, axis=0))


class Overflowing(WordModel):
    """Gives no numbers for some texts, as a model does whose half-precision sums overflow."""

    def __init__(self, name: str, *, texts: Sequence[str], where: str) -> None:
        super().__init__(name)
        self.texts, self.where = texts, where

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        return [
            replace(trace, **{self.where: np.full_like(getattr(trace, self.where), np.nan)})
            if trace.sample.text in self.texts
            else trace
            for trace in super().trace(batch, keep)
        ]

    def embed(self, batch: Sequence[Encoded]) -> np.ndarray:
        found = super().embed(batch)
        found[[one.sample.text in self.texts for one in batch]] = np.inf
        return found


@pytest.mark.parametrize("where", ["embedding", "latents"])
def test_numbers_that_are_none_cost_their_own_row_alone(question: Question, tmp_path: Path, where: str) -> None:
    model = Overflowing("over", texts=[QUERIES[1], question.documents[4].text], where=where)
    reading = read_question(model, question, tmp_path / "r", tmp_path)
    errors = [row.error for row in reading.rows]
    assert [bool(error) for error in errors] == [False, True, False, False, False, False]
    assert "not finite" in errors[1]
    assert "--dtype float32" in errors[1]
    assert list(reading.refused_documents) == [1, 4]
    assert np.isfinite(np.delete(reading.embeddings(), 1, axis=0)).all()


def test_a_stopped_reading_goes_on_where_it_was(
    question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "SIZE", 2)
    whole = read_question(WordModel(), question, tmp_path / "whole", tmp_path)
    model = WordModel()
    with pytest.raises(Cancelled, match="what was read so far is kept"):
        read_question(model, question, tmp_path / "r", tmp_path, cancelled=lambda: model.traced == 2)
    assert not is_read(tmp_path / "r")
    assert len(list((tmp_path / "r").glob("rows-*.json"))) == 2
    again = WordModel()
    found = read_question(again, question, tmp_path / "r", tmp_path)
    assert again.traced == 1
    assert found.rows == whole.rows
    np.testing.assert_array_equal(found.embeddings(), whole.embeddings())
    np.testing.assert_array_equal(found.states(1), whole.states(1))
    np.testing.assert_array_equal(found.attention(5), whole.attention(5))


def test_a_file_that_was_deleted_is_made_again(question: Question, tmp_path: Path) -> None:
    whole = read_question(WordModel(), question, tmp_path / "r", tmp_path)
    for name in ("rows-00000.safetensors", "documents-00000.json"):
        (tmp_path / "r" / name).unlink()
        assert not is_read(tmp_path / "r")
        again = read_question(WordModel(), question, tmp_path / "r", tmp_path)
        assert is_read(tmp_path / "r")
        assert again.rows == whole.rows


def test_a_full_disk_is_told(question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tracing, "write_bytes_atomic", full)
    with pytest.raises(BadInput, match=r"No space left on device.*--keep"):
        read_question(WordModel(), question, tmp_path / "r", tmp_path)


def test_attention_of_a_part_is_not_held_while_thoughts_are_written(question: Question, tmp_path: Path) -> None:
    made: list[weakref.ref[Any]] = []
    held: list[int] = []

    class Watched(WordModel):
        """Counts the attention that somebody still holds when it decodes."""

        def trace(self, batch: Any, keep: Keep = Keep()) -> list[Trace]:
            found = [replace(trace, attention=trace.attention.copy()) for trace in super().trace(batch, keep)]
            made.extend(weakref.ref(trace.attention) for trace in found)
            return found

        def decode(self, traces: Any, **how: Any) -> list[DecodedThought]:
            gc.collect()
            held.append(sum(one() is not None for one in made))
            return super().decode(traces, **how)

    read_question(Watched(), question, tmp_path / "r", tmp_path)
    assert len(made) == len(QUERIES)
    assert held == [1]  # of the last, which the loop still names


def test_a_candidate_whose_file_could_not_be_read_is_embedded_anew(question: Question, tmp_path: Path) -> None:
    shut = True

    class Share(WordModel):
        """Its candidates lie on a disk that may be away; one query is too much for it."""

        def prepare(self, sample: Sample) -> Encoded:
            if shut and sample.role == "document":
                raise Unreadable("the share is away")
            return super().prepare(sample)

    model = Share(refuses=QUERIES[4:5])
    reading = read_question(model, question, tmp_path / "r", tmp_path)
    assert len(reading.refused_documents) == len(question.documents)
    assert reading.about.n_passing == len(question.documents)
    assert not is_read(tmp_path / "r")
    shut, traced = False, model.traced
    again = read_question(model, question, tmp_path / "r", tmp_path)
    assert again.refused_documents == {}
    assert np.isfinite(again.documents()).all()
    assert is_read(tmp_path / "r")
    # The rows were not read again, not even for the one that is refused whatever the disk does.
    assert again.rows[4].error
    assert model.traced == traced


def test_progress_grows_to_the_end(question: Question, tmp_path: Path) -> None:
    told: list[float] = []
    read_question(WordModel(), question, tmp_path / "r", tmp_path, tell=lambda done, message: told.append(done))
    assert told == sorted(told)
    assert 0 <= told[0] < told[-1] < 1


class Away(WordModel):
    """The files of some of its questions lie on a disk that may be away."""

    def __init__(self, *away: str) -> None:
        super().__init__()
        self.away = away

    def prepare(self, sample: Sample) -> Encoded:
        if sample.role == "query" and sample.text in self.away:
            raise Unreadable("the share is away")
        return super().prepare(sample)


def test_a_reading_that_is_open_stays_as_it_was_while_rows_are_read_anew(question: Question, tmp_path: Path) -> None:
    whole = read_question(WordModel(), question, tmp_path / "whole", tmp_path)
    model = Away(QUERIES[1])
    before = read_question(model, question, tmp_path / "r", tmp_path)
    late = read_question(model, question, tmp_path / "r", tmp_path)
    assert before.rows[1].error
    model.away = ()
    after = read_question(model, question, tmp_path / "r", tmp_path)
    assert is_read(tmp_path / "r")
    assert after.rows == whole.rows
    np.testing.assert_array_equal(after.embeddings(), whole.embeddings())
    for row in range(len(QUERIES)):
        np.testing.assert_array_equal(after.latents(row), whole.latents(row))
    # One had looked at its rows before, the other had not.
    for old in (before, late):
        assert [bool(row.error) for row in old.rows] == [row == 1 for row in range(len(QUERIES))]
        assert not old.is_whole
        assert np.isnan(old.embeddings()[1]).all()
        assert np.isnan(old.states(0)[1]).all()
        for row in (0, 2, 5):
            np.testing.assert_array_equal(old.latents(row), whole.latents(row))
            np.testing.assert_array_equal(old.attention(row), whole.attention(row))


def test_a_file_that_stays_away_does_not_fill_the_disk(question: Question, tmp_path: Path) -> None:
    model = Away(QUERIES[1])
    first = read_question(model, question, tmp_path / "r", tmp_path)
    held = sorted(path.name for path in first.folder.iterdir())
    again = read_question(model, question, tmp_path / "r", tmp_path)
    assert again.about.n_passing == 1
    assert sorted(path.name for path in first.folder.iterdir()) == held


def test_parts_that_were_read_anew_before_it_stopped_are_kept(
    question: Question, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "SIZE", 2)
    whole = read_question(WordModel(), question, tmp_path / "whole", tmp_path)
    model = Away(QUERIES[0], QUERIES[5])
    read_question(model, question, tmp_path / "r", tmp_path)
    model.away, begin = (), model.traced
    with pytest.raises(Cancelled):
        read_question(model, question, tmp_path / "r", tmp_path, cancelled=lambda: model.traced == begin + 1)
    assert not is_read(tmp_path / "r")
    found = read_question(model, question, tmp_path / "r", tmp_path)
    assert model.traced == begin + 2
    assert found.rows == whole.rows
    np.testing.assert_array_equal(found.embeddings(), whole.embeddings())
    # A part that was read anew and has gone is read once more.
    (found.folder / f"{found.about.anew['rows-00000']}.safetensors").unlink()
    assert not found.is_whole
    assert read_question(model, question, tmp_path / "r", tmp_path).is_whole
