"""Decoding goes on from the trace: alone or together, greedy or sampled, own thoughts or another's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from workbench.errors import BadInput, Unsupported
from workbench.models.latent_embedder import LatentEmbedder
from workbench.models.sequence import pack, visibility
from workbench.types import Context, Sample, Trace

CONTEXTS: tuple[Context, ...] = ("latents_only", "query_and_latents")


@pytest.fixture(scope="module")
def traces(tiny_model: Any) -> list[Trace]:
    from pictures import picture

    samples = [
        Sample(id="a", text="What is at the centre?", images=(picture(128, 80),)),
        Sample(id="b", text="How many red objects are there in this picture?", images=(picture(96, 96, 1),)),
        Sample(id="c", text="Find the image: a red ring."),
    ]
    return tiny_model.trace([tiny_model.prepare(sample) for sample in samples])


@pytest.mark.parametrize("context", CONTEXTS)
def test_together_equals_one_by_one(tiny_model: Any, traces: list[Trace], context: Context) -> None:
    together = tiny_model.decode(traces, context=context, max_tokens=12)
    for trace, thought in zip(traces, together, strict=True):
        alone = tiny_model.decode([trace], context=context, max_tokens=12)[0]
        assert thought.text == alone.text
        assert np.allclose(thought.log_probabilities, alone.log_probabilities, atol=1e-4)
        assert "".join(thought.tokens) == thought.text


@pytest.mark.parametrize("context", CONTEXTS)
def test_score_equals_the_training_forward(tiny_model: Any, traces: list[Trace], context: Context) -> None:
    """The score of a text is what the training pass (one sequence, one mask) gives it."""
    backbone = tiny_model._backbone
    text = "three objects. top left: large red circle."
    ids = torch.tensor(backbone.processor.tokenizer(text)["input_ids"])
    for trace in traces:
        packed = pack([tiny_model.prepare(trace.sample).inputs["prefix"]], backbone.ids, [ids])
        mask = visibility(packed, backbone.layout, context)
        with torch.no_grad():
            hidden = backbone.run(backbone.inputs(packed), packed.positions, mask)[0, packed.text]
            readings = backbone.model.lm_head(hidden).log_softmax(-1)
        wanted = torch.tensor([*ids.tolist(), backbone.ids.end])
        expected = readings[torch.arange(len(wanted)), wanted].numpy()
        found = tiny_model.score([trace], [text], context=context)[0]
        assert np.abs(np.array(found.log_probabilities) - expected).max() < 1e-4
        assert found.likeliest == tuple((readings.argmax(-1)[: len(wanted)] == wanted).tolist())
        assert found.tokens[-1] == backbone.layout.decoder_end


@pytest.mark.parametrize("context", CONTEXTS)
def test_greedy_log_probabilities_are_the_score(tiny_model: Any, traces: list[Trace], context: Context) -> None:
    backbone = tiny_model._backbone
    thoughts = tiny_model.decode(traces, context=context, max_tokens=8)
    for trace, thought in zip(traces, thoughts, strict=True):
        if tuple(backbone.processor.tokenizer(thought.text)["input_ids"]) != thought.token_ids:
            continue  # a random model may write pieces that the tokenizer would join
        scored = tiny_model.score([trace], [thought.text], context=context)[0]
        assert np.allclose(scored.log_probabilities[:-1], thought.log_probabilities, atol=1e-4)
        assert all(scored.likeliest[:-1])


def test_latents_only_decoder_sees_only_the_thoughts(tiny_model: Any, traces: list[Trace]) -> None:
    """With another's thoughts the decoder writes what the other would; with the query visible it does not."""
    text = ["one object. left: small red ring."] * 3
    turned = [traces[1], traces[2], traces[0]]
    closed = tiny_model.score(traces, text, context="latents_only", thoughts_from=turned)
    others = tiny_model.score(turned, text, context="latents_only")
    for one, other in zip(closed, others, strict=True):
        assert np.allclose(one.log_probabilities, other.log_probabilities, atol=1e-4)
    open_ = tiny_model.score(traces, text, context="query_and_latents", thoughts_from=turned)
    assert abs(open_[0].total - tiny_model.score(turned, text, context="query_and_latents")[0].total) > 1e-3


def test_moved_keys_equal_a_pass_at_the_new_place(tiny_model: Any, traces: list[Trace]) -> None:
    keys = traces[0].continuation.keys[0]
    family, model = tiny_model._backbone.family, tiny_model._backbone.model
    assert torch.allclose(family.rotate(model, family.rotate(model, keys, 7), -7), keys, atol=1e-5)
    assert torch.allclose(
        family.rotate(model, family.rotate(model, keys, 3), 4), family.rotate(model, keys, 7), atol=1e-5
    )
    assert not torch.allclose(family.rotate(model, keys, 7), keys, atol=1e-2)


def test_sampling_is_seeded_and_varied(tiny_model: Any, traces: list[Trace]) -> None:
    def texts(seed: int) -> list[str]:
        return [t.text for t in tiny_model.decode(traces, max_tokens=10, temperature=1.0, seed=seed)]

    assert texts(1) == texts(1)
    assert texts(1) != texts(2)


def test_length_limit_is_said(tiny_model: Any, traces: list[Trace]) -> None:
    thought = tiny_model.decode(traces[:1], max_tokens=3)[0]
    assert len(thought.tokens) <= 3
    assert thought.finish == ("end" if len(thought.tokens) < 3 else "length")


def test_clear_refusals(tiny_model: Any, traces: list[Trace]) -> None:
    with pytest.raises(BadInput, match="no cache"):
        tiny_model.decode([replace(traces[0], continuation=None)])
    closed = LatentEmbedder(tiny_model._backbone, replace(tiny_model.info, contexts=("latents_only",)))
    with pytest.raises(
        Unsupported, match=r"not trained to decode with the context 'query_and_latents', only: latents_only"
    ):
        closed.decode(traces, context="query_and_latents")
    mute = LatentEmbedder(tiny_model._backbone, replace(tiny_model.info, contexts=()))
    with pytest.raises(Unsupported, match="not trained to write"):
        mute.decode(traces)
