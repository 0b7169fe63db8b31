"""Edits in one batch equal passes of their own: with the edit's mask, and with states put in by a plain hook."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import write_tiny
from pictures import picture

from workbench.edits import Edit, put
from workbench.embedder import Editable
from workbench.models.checkpoint import load_checkpoint
from workbench.models.layout import lame
from workbench.models.sequence import THINK, pack, visibility
from workbench.types import Encoded, Sample

K, STEPS, WIDTH = 4, 4, 64


@pytest.fixture(scope="module")
def batch(tiny_model: Any) -> list[Encoded]:
    """Of unlike lengths, so padded on the left; two images, not square; none."""
    samples = [
        Sample(id="wide", text="What is at the centre?", images=(picture(128, 80),)),
        Sample(id="two", text="How many red red red objects?", images=(picture(96, 96, 1), picture(80, 128, 2))),
        Sample(id="text", text="Find the image: a red ring at the left."),
    ]
    return [tiny_model.prepare(sample) for sample in samples]


def alone(
    model: Any,
    encoded: Encoded,
    cut: Callable[[torch.Tensor, Any], None] | None = None,
    states: np.ndarray | None = None,
    replaced: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """Embedding, states after each layer at the think positions, and final states of them, of a pass with one edit."""
    backbone = model._backbone
    packed = pack([encoded.inputs["prefix"]], backbone.ids)
    mask = visibility(packed, backbone.layout, "latents_only")
    if cut is not None:
        cut(mask[0, 0], packed)
    inputs, seen = backbone.inputs(packed), []

    def write(step: int, hidden: torch.Tensor) -> torch.Tensor:
        if states is not None and replaced is not None:
            for k in np.flatnonzero(replaced[step]):
                hidden[:, packed.think.start + int(k)] = torch.from_numpy(states[step, k])
        return hidden

    def hook(step: int) -> Callable[..., Any]:
        def change(_module: Any, _inputs: Any, output: Any) -> Any:
            hidden = write(step, output[0] if isinstance(output, tuple) else output)
            seen.append(hidden[0, packed.think].clone())
            return output

        return change

    layers = backbone.family.layers(backbone.model)
    handles = [layer.register_forward_hook(hook(number + 1)) for number, layer in enumerate(layers)]
    with torch.inference_mode():
        hidden = backbone.run(write(0, inputs.clone()), packed.positions, mask)
    for handle in handles:
        handle.remove()
    return backbone.pool(hidden[:, packed.embed])[0].numpy(), torch.stack(seen).numpy(), hidden[0, packed.think]


def hide(thoughts: Sequence[int]) -> Callable[[torch.Tensor, Any], None]:
    def cut(mask: torch.Tensor, packed: Any) -> None:
        mask[packed.embed, [packed.think.start + k for k in thoughts]] = False

    return cut


def block(reader: str, read: str, image: int) -> Callable[[torch.Tensor, Any], None]:
    def cut(mask: torch.Tensor, packed: Any) -> None:
        rows = {"think": packed.think, "embed": packed.embed}[reader]
        ids, thought = packed.ids[0], packed.segments[0] == THINK
        columns = {"image": ids == image, "text": (packed.segments[0] == 0) & (ids != image), "think": thought}[read]
        diagonal = mask.diagonal().clone()
        mask[rows] &= ~columns
        mask.diagonal().copy_(diagonal)

    return cut


def test_no_edit_changes_nothing(tiny_model: Any, batch: list[Encoded]) -> None:
    traces = tiny_model.trace(batch)
    for trace, [one, other] in zip(traces, tiny_model.edit(batch, [[Edit(), Edit()]] * 3, latents=True), strict=True):
        assert np.abs(one.embedding - trace.embedding).max() < 1e-6
        # Not to the last bit: some processors add up a row of a matrix product otherwise at another place in the batch.
        assert np.abs(one.embedding - other.embedding).max() < 1e-6
        assert np.abs(one.latents - trace.latents).max() < 1e-5
        assert one.sample == trace.sample


def test_hiding_equals_knockout_and_stepwise(tiny_model: Any, batch: list[Encoded]) -> None:
    hidden = [(k,) for k in range(K)] + [tuple(range(k, K)) for k in range(K)]
    edits = [[Edit(hidden=some) for some in hidden]] * 3
    for trace, found in zip(tiny_model.trace(batch), tiny_model.edit(batch, edits), strict=True):
        expected = np.concatenate([trace.knockout, trace.stepwise[:K]])
        assert np.abs(np.stack([one.embedding for one in found]) - expected).max() < 1e-6


@pytest.mark.parametrize("reader", ["think", "embed"])
@pytest.mark.parametrize("read", ["image", "text", "think"])
def test_a_blocked_edit_equals_a_pass_of_its_own(tiny_model: Any, batch: list[Encoded], reader: Any, read: Any) -> None:
    # Beside another edit, which must not reach over.
    edits = [[Edit(hidden=(0,)), Edit(blocked=frozenset({(reader, read)}))]] * 3
    image = tiny_model._backbone.ids.image
    for encoded, (_, found) in zip(batch, tiny_model.edit(batch, edits, latents=True), strict=True):
        embedding, states, _ = alone(tiny_model, encoded, block(reader, read, image))
        assert np.abs(found.embedding - embedding).max() < 1e-6
        assert np.abs(found.latents - states).max() < 1e-5
        whole, _, _ = alone(tiny_model, encoded)
        changes = read != "image" or bool(encoded.grids)
        assert (np.abs(embedding - whole).max() > 1e-5) == changes


def test_states_put_in_equal_a_pass_of_its_own(tiny_model: Any, batch: list[Encoded]) -> None:
    draw = np.random.default_rng(0)
    given = draw.normal(size=(3, STEPS, K, WIDTH)).astype(np.float32)
    kinds: list[dict[str, Any]] = [
        {},
        {"thoughts": (1,)},
        {"steps": (0,)},
        {"steps": (2,)},
        {"thoughts": (0, 3), "steps": (1, 3)},
    ]
    edits = [[put(states, **kind) for kind in kinds] for states in given]
    found = tiny_model.edit(batch, edits, latents=True)
    for encoded, some, traces in zip(batch, edits, found, strict=True):
        for edit, trace in zip(some, traces, strict=True):
            embedding, states, _ = alone(tiny_model, encoded, None, edit.states, edit.replaced)
            assert np.abs(trace.embedding - embedding).max() < 1e-6
            assert np.abs(trace.latents - states).max() < 1e-5
            assert edit.states is not None
            assert edit.replaced is not None
            for step in range(1, STEPS):
                at = edit.replaced[step]
                assert np.array_equal(trace.latents[step - 1][at], edit.states[step][at])


def test_own_states_put_back_change_nothing(tiny_model: Any, batch: list[Encoded]) -> None:
    traces = tiny_model.trace(batch)
    own = [np.concatenate([tiny_model.learned[None], trace.latents]) for trace in traces]
    for trace, [found] in zip(traces, tiny_model.edit(batch, [[put(one)] for one in own]), strict=True):
        assert np.abs(found.embedding - trace.embedding).max() < 1e-6


def test_hidden_positions_of_the_query_are_those_asked_for(tiny_model: Any, batch: list[Encoded]) -> None:
    def cut(mask: torch.Tensor, packed: Any) -> None:
        mask[packed.embed, [1, 4]] = False

    for encoded, [found] in zip(batch, tiny_model.edit(batch, [[Edit(positions=(1, 4))]] * 3), strict=True):
        assert np.abs(found.embedding - alone(tiny_model, encoded, cut)[0]).max() < 1e-6


def test_many_edits_equal_few(tiny_model: Any, batch: list[Encoded]) -> None:
    """More copies than attend in one call."""
    edits = [Edit(hidden=(k % K,)) for k in range(30)]
    for traces in tiny_model.edit(batch, [edits] * 3):
        for k, trace in enumerate(traces):
            assert np.abs(trace.embedding - traces[k % K].embedding).max() < 1e-6


def test_the_decoder_reads_the_edited_thoughts(tiny_model: Any, batch: list[Encoded]) -> None:
    """With another sample's thoughts put in it writes what that sample writes; hidden thoughts are left out."""
    traces = tiny_model.trace(batch)
    others = traces[1:] + traces[:1]
    edits = [
        [Edit(), put(np.concatenate([tiny_model.learned[None], other.latents])), Edit(hidden=(1, 2))]
        for other in others
    ]
    plain, swapped, hidden = zip(*tiny_model.edit(batch, edits), strict=True)
    texts = ["a red ring", "is left of", "the blue"]

    def scores(some: Sequence[Any], context: Any, **more: Any) -> np.ndarray:
        found = tiny_model.score(some, texts, context=context, **more)
        return np.array([one.total for one in found])

    for context in ("latents_only", "query_and_latents"):
        assert np.allclose(scores(plain, context), scores(traces, context), atol=1e-4)
        expected = scores(traces, context, thoughts_from=others)
        assert np.allclose(scores(swapped, context), expected, atol=1e-3)
        assert np.abs(scores(hidden, context) - scores(traces, context)).min() > 1e-4
    assert [one.text for one in tiny_model.decode(plain)] == [one.text for one in tiny_model.decode(traces)]


def test_the_bottleneck_is_edited_too(tmp_path: Path, shapes_rows: list[dict[str, Any]], batch: list[Encoded]) -> None:
    from workbench.models.bottleneck_embedder import BottleneckEmbedder
    from workbench.models.latent_decoder import DecoderSize, LatentDecoder

    backbone: Any = load_checkpoint(
        write_tiny(tmp_path / "lame", shapes_rows, layout=_without_decoder(lame(K, embed_sees_query=False))),
        device="cpu",
        dtype="float32",
    )
    vocabulary = backbone._backbone.family.token_embedding(backbone._backbone.model).weight.shape[0]
    decoder = LatentDecoder(DecoderSize(layers=1, width=32, heads=2, mlp=32), latent_width=WIDTH, vocabulary=vocabulary)
    model = BottleneckEmbedder(backbone._backbone, backbone.info, decoder.eval())
    encoded = [model.prepare(one.sample) for one in batch]
    traces = model.trace(encoded)
    others = traces[1:] + traces[:1]
    edits = [[Edit(), put(np.concatenate([model.learned[None], one.latents])), Edit(hidden=(0,))] for one in others]
    for trace, other, found in zip(traces, others, model.edit(encoded, edits), strict=True):
        plain, swapped, hidden = found
        assert np.abs(plain.embedding - trace.embedding).max() < 1e-6
        assert np.abs(hidden.embedding - trace.knockout[0]).max() < 1e-6
        # It sees nothing but the thoughts, and a turn by RoPE is all that is left of where they stand.
        assert np.abs(swapped.embedding - other.embedding).max() < 1e-4
        assert model.score([swapped], ["a red ring"])[0].total == pytest.approx(
            model.score([other], ["a red ring"])[0].total, abs=1e-4
        )
        assert hidden.continuation is None


def _without_decoder(layout: Any) -> Any:
    from dataclasses import replace

    return replace(layout, decoder="backbone")


def test_who_thinks_in_latents_can_be_edited(tiny_model: Any) -> None:
    assert isinstance(tiny_model, Editable)


def test_nothing_stays_behind(tiny_model: Any, batch: list[Encoded]) -> None:
    def hooks() -> int:
        return sum(len(module._forward_hooks) for module in tiny_model._backbone.model.modules())

    before, held = tiny_model.embed(batch), hooks()
    tiny_model.edit(batch, [[put(np.zeros((STEPS, K, WIDTH), np.float32))]] * 3)
    assert np.array_equal(tiny_model.embed(batch), before)
    assert hooks() == held
