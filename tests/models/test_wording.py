"""Words of models that do not write them with the backbone from latents: LaME's decoder, and reasoning that is written first."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import write_tiny
from objectives import TEXT, all_targets, as_ref, assert_gradients, assert_readers, expected, scores, two_images, word

from workbench.embedder import Keep
from workbench.errors import BadInput
from workbench.models.checkpoint import load_checkpoint
from workbench.models.decoding import Written
from workbench.models.layout import Layout, explicit_cot, lame
from workbench.models.one_pass import OnePassEmbedder
from workbench.targets import EmbeddingTarget, ThinkState, WordTarget
from workbench.types import Encoded, Sample, Trace

LAYOUTS = {"lame": lame(4), "lame-blind": lame(3, embed_sees_query=False), "explicit-cot": explicit_cot()}


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory, shapes_rows: list[dict[str, Any]]) -> Callable[[Layout], Any]:
    def loaded(layout: Layout) -> Any:
        folder = write_tiny(tmp_path_factory.mktemp("worded") / "tiny", shapes_rows, layout=layout)
        return load_checkpoint(folder, device="cpu", dtype="float32")

    return loaded


@pytest.fixture(scope="module", params=LAYOUTS)
def model(request: pytest.FixtureRequest, load: Callable[[Layout], Any]) -> Any:
    return load(LAYOUTS[request.param])


@pytest.fixture(scope="module")
def cot(load: Callable[[Layout], Any]) -> Any:
    return load(explicit_cot())


@pytest.fixture(scope="module")
def encoded(model: Any) -> Encoded:
    """With TEXT written, for a model that writes: a random one writes nonsense without end."""
    return saying(model, model.prepare(two_images()), TEXT)


@pytest.fixture(scope="module")
def trace(model: Any, encoded: Encoded) -> Trace:
    return model.trace([encoded])[0]


def saying(model: Any, encoded: Encoded, text: str) -> Encoded:
    if not model.info.writes_first:
        return encoded
    return model._with(encoded, Written(ids=model.text_ids(text), log_probabilities=(), ended=True))


@pytest.mark.parametrize("level", ["tokens", "pixels"])
def test_values_are_those_of_trace_and_score(model: Any, encoded: Encoded, trace: Trace, level: Any) -> None:
    targets = all_targets(model, len(trace.embedding))
    assert any(isinstance(target, ThinkState) for target in targets) == bool(model.info.n_think)
    objective = model.objective(encoded, targets, level=level)
    values = objective(objective.features[None])[0].tolist()
    context = model.info.contexts[0]
    np.testing.assert_allclose(values, [expected(model, encoded, trace, context, one) for one in targets], atol=1e-5)
    assert len({round(value, 4) for value in values}) > len(targets) / 2


def test_readers_are_where_values_are_read(model: Any, encoded: Encoded, trace: Trace) -> None:
    objective = model.objective(encoded, all_targets(model, len(trace.embedding)))
    assert_readers(objective)
    torch.testing.assert_close(objective.reading().sum(dim=1), torch.ones(len(objective.targets)))


@pytest.mark.parametrize("level", ["tokens", "pixels"])
def test_gradients_are_those_of_differences(model: Any, encoded: Encoded, trace: Trace, level: Any) -> None:
    assert_gradients(model.objective(encoded, all_targets(model, len(trace.embedding)), level=level))


def test_samples_of_a_batch_are_independent(model: Any, encoded: Encoded, trace: Trace) -> None:
    objective = model.objective(encoded, all_targets(model, len(trace.embedding)))
    some = torch.stack([objective.features, objective.baseline("mean"), objective.baseline("blur")])
    torch.testing.assert_close(objective(some), torch.cat([objective(one[None]) for one in some]), atol=1e-5, rtol=0)


def test_a_states_word_is_the_one_that_the_model_reads(load: Callable[[Layout], Any]) -> None:
    """The order of the words by their values is the order of the model's own reading, up to each row's length."""
    model = load(lame(2))
    encoded = model.prepare(two_images())
    [trace] = model.trace([encoded])
    reading = model.vocabulary(trace.latents[-1])[1] / model._decoder.table.norm(dim=1).numpy()
    targets = [ThinkState(label=str(w), think=1, word=w) for w in range(len(reading))]
    objective = model.objective(encoded, targets)
    assert objective(objective.features[None])[0].argsort().tolist() == reading.argsort().tolist()


def test_words_of_a_text_that_was_not_written_are_read_in_it(cot: Any) -> None:
    """A thought that was drawn at a temperature stands in the sequence instead of the model's own."""
    plain = cot.prepare(two_images())
    own = saying(cot, plain, " blue ring, blue")
    objective = cot.objective(own, [word(cot, 1, 2)])
    [trace] = cot.trace([saying(cot, plain, TEXT)])
    [score] = cot.score([trace], [TEXT])
    assert objective(objective.features[None]).item() == pytest.approx(score.log_probabilities[1], abs=1e-5)
    mixed = [EmbeddingTarget(label="e", score=scores(cot.info.dim)[0]), word(cot, 1, 2)]
    with pytest.raises(ValueError, match="share their text"):
        cot.objective(own, mixed)


def test_a_held_text_is_not_written_anew(cot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same query with other pixels: embedding, trace and objective go on from the text that was written first."""
    encoded = cot.prepare(two_images())
    [trace] = cot.trace([saying(cot, encoded, TEXT)])
    changed = Sample(id="other", text=two_images().text, images=tuple(map(_inverted, two_images().images)))
    other = cot.prepare(changed)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a text was written")

    monkeypatch.setattr("workbench.models.writing_embedder.write_and_embed", never)
    held = cot.hold(other, trace)
    assert held.tokens.ids.tolist() == trace.tokens.ids.tolist()
    embedding = cot.embed([held])[0]
    [again] = cot.trace([held])
    np.testing.assert_allclose(embedding, again.embedding, atol=1e-6)
    target = EmbeddingTarget(label="e", score=scores(cot.info.dim)[0])
    objective = cot.objective(held, [target])
    assert objective(objective.features[None]).item() == pytest.approx(
        float(embedding @ target.score.positive), abs=1e-5
    )
    assert np.abs(embedding - trace.embedding).max() > 1e-3
    assert cot.hold(held, trace) is held
    with pytest.raises(AssertionError, match="was written"):
        cot.embed([other])


def test_holding_the_trace_of_another_query_is_a_mistake(cot: Any) -> None:
    [trace] = cot.trace([saying(cot, cot.prepare(two_images()), TEXT)])
    longer = cot.prepare(replace(two_images(), text="Is the red at the red red red?"))
    with pytest.raises(ValueError, match="holds no text"):
        cot.hold(longer, trace)


def test_a_text_that_was_given_is_not_decoded_as_if_it_was_written(cot: Any) -> None:
    [trace] = cot.trace([saying(cot, cot.prepare(two_images()), TEXT)])
    with pytest.raises(BadInput, match="was not written here"):
        cot.decode([trace])


def test_all_that_reads_the_image_behind_the_query_is_the_thought(cot: Any) -> None:
    """Start token, text and end token, up to the embed token."""
    held = saying(cot, cot.prepare(two_images()), TEXT)
    objective = cot.objective(held, [EmbeddingTarget(label="e", score=scores(cot.info.dim)[0])])
    n = len(cot.prepare(two_images()).tokens.ids) - 1
    assert list(objective.thoughts) == list(range(n, n + len(cot.text_ids(TEXT)) + 2))
    assert objective.thoughts[-1] + 1 == held.embed


def test_what_passes_beside_the_sequence_counts_for_the_size_of_a_batch(load: Callable[[Layout], Any]) -> None:
    model = load(lame(4))
    encoded = model.prepare(two_images())
    state, spoken = (ThinkState(label="s", think=0, word=3), word(model, 2, 3))
    alone, both = (model.objective(encoded, targets) for targets in ([state], [state, spoken]))
    assert alone.length == both.length
    assert both._positions == alone._positions + 4 + 3


def test_others_hold_nothing(tiny_model: Any, tiny_encoded: Encoded, tiny_trace: Trace) -> None:
    assert tiny_model.hold(tiny_encoded, tiny_trace) is tiny_encoded


def test_documents_are_never_written_for(cot: Any) -> None:
    document = cot.prepare(replace(two_images(), role="document"))
    [trace] = cot.trace([document])
    assert cot.hold(document, trace) is document
    objective = cot.objective(document, [EmbeddingTarget(label="e", score=scores(cot.info.dim)[0])])
    assert objective.length == len(document.tokens.ids)


def test_a_written_image_token_is_a_word(cot: Any) -> None:
    """An untrained model may write it; there is no image behind it."""
    image = cot._backbone.ids.image
    plain = cot.prepare(two_images())
    held = cot._with(plain, Written(ids=(image, 5, image), log_probabilities=(), ended=True))
    n_image = sum(grid.n_tokens for grid in plain.grids)
    assert held.tokens.kinds.count("image") == n_image
    [trace] = cot.trace([held])
    assert np.isfinite(trace.embedding).all()
    target = WordTarget(label="w", tokens=(image, 5, image), start=1, stop=2)
    objective = cot.objective(held, [target])
    assert len(objective.columns) == n_image


def test_a_trace_without_attention_has_the_layers_of_one_with(cot: Any) -> None:
    held = saying(cot, cot.prepare(two_images()), TEXT)
    [bare] = cot.trace([held], Keep(attention=False))
    [whole] = cot.trace([held])
    assert bare.latents.shape == whole.latents.shape
    np.testing.assert_allclose(bare.embedding, whole.embedding, atol=1e-6)


def test_length_leaves_room_for_the_text(cot: Any) -> None:
    """The random model writes until it is cut; `length` counts a query without its text as well as it can."""
    query = two_images()
    prepared = cot.prepare(query)
    [trace] = cot.trace([prepared])
    room = cot.length(query) - OnePassEmbedder.length(cot, query)
    assert len(trace.tokens.ids) - len(prepared.tokens.ids) == room > 200
    document = replace(query, role="document")
    assert cot.length(document) == OnePassEmbedder.length(cot, document)


def _inverted(ref: Any) -> Any:
    from workbench.images import open_image

    return as_ref(255 - np.asarray(open_image(ref)))
