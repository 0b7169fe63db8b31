"""Traces are exact: rows against eager attention, copies against passes of their own, batches against singles."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from pictures import picture
from transformers import AttentionInterface

from workbench.embedder import Keep
from workbench.models.capture import ATTENTION
from workbench.models.sequence import THINK, pack, visibility
from workbench.types import Encoded, Sample


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Different lengths, image sizes and aspect ratios; two images; none; a repeated word."""
    return [
        Sample(id="wide", text="What is at the centre?", images=(picture(128, 80),)),
        Sample(id="two", text="How many red red red objects?", images=(picture(96, 96, 1), picture(80, 128, 2))),
        Sample(id="text", text="Find the image: a red ring at the left."),
    ]


@pytest.fixture(scope="module")
def batch(tiny_model: Any, samples: list[Sample]) -> list[Encoded]:
    return [tiny_model.prepare(sample) for sample in samples]


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """The model's text stack under transformers' own eager attention."""
    model.set_attn_implementation({"text_config": "eager"})
    try:
        yield
    finally:
        model.set_attn_implementation({"text_config": ATTENTION})


def test_rows_equal_eager_attention(tiny_model: Any, batch: list[Encoded]) -> None:
    backbone = tiny_model._backbone
    for encoded in batch:
        trace = tiny_model.trace([encoded])[0]
        packed = pack([encoded.inputs["prefix"]], backbone.ids)
        n = packed.ids.shape[1]
        causal = torch.full((n, n), float("-inf")).triu(1)[None, None]
        with eager(backbone.model), torch.no_grad():
            out = backbone.model.model.language_model(
                inputs_embeds=backbone.inputs(packed),
                position_ids=packed.positions,
                attention_mask={"full_attention": causal},
                output_attentions=True,
            )
        expected = torch.stack(out.attentions)[:, 0, :, -5:].numpy()
        assert trace.attention.shape == expected.shape
        assert np.abs(trace.attention - expected).max() < 1e-6


def test_embedding_equals_transformers_own_forward(tiny_model: Any, batch: list[Encoded]) -> None:
    """Our positions, masks and visual tokens are those of Qwen2VLForConditionalGeneration itself."""
    backbone = tiny_model._backbone
    for encoded in batch:
        prefix = encoded.inputs["prefix"]
        packed = pack([prefix], backbone.ids)
        types = (packed.ids == backbone.ids.image).int()
        vision = {} if prefix.pixels is None else {"pixel_values": prefix.pixels, "image_grid_thw": prefix.thw}
        with torch.no_grad():
            hidden = backbone.model.model(input_ids=packed.ids, mm_token_type_ids=types, **vision).last_hidden_state
        expected = torch.nn.functional.normalize(hidden[0, -1], dim=-1).numpy()
        assert np.abs(tiny_model.embed([encoded])[0] - expected).max() < 1e-5


def test_stepwise_and_knockout_equal_separate_passes(tiny_model: Any, batch: list[Encoded]) -> None:
    backbone = tiny_model._backbone
    for encoded in batch:
        trace = tiny_model.trace([encoded])[0]
        packed = pack([encoded.inputs["prefix"]], backbone.ids)
        number = torch.arange(packed.ids.shape[1]) - packed.think.start

        def embed_without(hidden: torch.Tensor, packed: Any = packed) -> np.ndarray:
            mask = visibility(packed, backbone.layout, "latents_only")
            mask[:, :, packed.embed, :] &= ~hidden[None, None, None, :]
            with torch.no_grad():
                states = backbone.run(backbone.inputs(packed), packed.positions, mask)
            return backbone.pool(states[:, packed.embed]).numpy()[0]

        thought = packed.segments[0] == THINK
        for k in range(5):
            assert np.abs(trace.stepwise[k] - embed_without(thought & (number >= k))).max() < 1e-5
        for k in range(4):
            assert np.abs(trace.knockout[k] - embed_without(thought & (number == k))).max() < 1e-5
        assert np.abs(trace.stepwise[4] - trace.embedding).max() == 0
        # The thoughts do something, so the comparison above compares different things.
        assert np.abs(trace.stepwise[0] - trace.embedding).max() > 1e-3


def test_latents_equal_hidden_states(tiny_model: Any, batch: list[Encoded]) -> None:
    backbone = tiny_model._backbone
    encoded = batch[0]
    trace = tiny_model.trace([encoded])[0]
    packed = pack([encoded.inputs["prefix"]], backbone.ids)
    with torch.no_grad():
        out = backbone.model.model.language_model(
            inputs_embeds=backbone.inputs(packed),
            position_ids=packed.positions,
            attention_mask={"full_attention": None},
            output_hidden_states=True,
        )
    for layer in range(2):
        assert np.abs(trace.latents[layer] - out.hidden_states[layer + 1][0, packed.think].numpy()).max() < 1e-5
    last = tiny_model._backbone.family.final_norm(backbone.model)(torch.from_numpy(trace.latents[2]))
    assert np.abs(last.detach().numpy() - out.last_hidden_state[0, packed.think].numpy()).max() < 1e-5


def test_left_padded_batch_equals_singles(tiny_model: Any, batch: list[Encoded]) -> None:
    together = tiny_model.trace(batch)
    for one, encoded in zip(together, batch, strict=True):
        alone = tiny_model.trace([encoded])[0]
        for name in ("attention", "latents", "embedding", "stepwise", "knockout"):
            assert np.abs(getattr(one, name) - getattr(alone, name)).max() < 1e-5, (encoded.sample.id, name)
    assert np.abs(tiny_model.embed(batch) - np.stack([trace.embedding for trace in together])).max() < 1e-6


def test_attention_never_looks_ahead(tiny_model: Any, batch: list[Encoded]) -> None:
    for trace in tiny_model.trace(batch):
        assert np.abs(trace.attention.sum(-1) - 1).max() < 1e-5
        for row, position in enumerate([*range(trace.think.start, trace.think.stop), trace.embed]):
            assert trace.attention[:, :, row, position + 1 :].sum() == 0


def test_a_trace_leaves_nothing_behind(tiny_model: Any, batch: list[Encoded], monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model._backbone.model
    registered = set(AttentionInterface().valid_keys())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = model.model.rope_deltas
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    tiny_model.trace(batch)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="in the middle"):
        patch.setattr(model.model.language_model.norm, "forward", _fail)
        tiny_model.trace(batch)
    after = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    assert after == hooks
    assert set(AttentionInterface().valid_keys()) == registered
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.model.rope_deltas is state


def _fail(hidden: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("in the middle of a pass")


def test_threads_do_not_mix(tiny_model: Any, batch: list[Encoded]) -> None:
    alone = [tiny_model.trace([encoded])[0] for encoded in batch]
    wrong: list[str] = []
    gate = threading.Barrier(3)

    def work(index: int) -> None:
        gate.wait()
        for _ in range(8):
            trace = tiny_model.trace([batch[index]])[0]
            if any(
                getattr(trace, name).shape != getattr(alone[index], name).shape
                or np.abs(getattr(trace, name) - getattr(alone[index], name)).max() > 1e-5
                for name in ("latents", "attention", "embedding")
            ):
                wrong.append(trace.sample.id)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_not_kept_is_empty(tiny_model: Any, batch: list[Encoded]) -> None:
    bare = Keep(latents=False, attention=False, edits=False, continuation=False)
    trace = tiny_model.trace(batch[:1], bare)[0]
    full = tiny_model.trace(batch[:1])[0]
    assert trace.latents.size == trace.attention.size == trace.knockout.size == 0
    assert trace.continuation is None
    assert trace.stepwise.shape == (1, 64)
    assert np.abs(trace.embedding - full.embedding).max() < 1e-6
