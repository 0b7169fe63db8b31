"""Writing whose passes are recorded writes what writing does, and its graph is played, not made anew."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.models.backbone import Backbone
from workbench.models.layout import explicit_cot
from workbench.models.sequence import behind
from workbench.models.spelling_out import write_and_embed
from workbench.timing.backbones import make_random, queries, with_layout
from workbench.timing.recorded import WARM_UP, RecordedWriter


def made(device: str, dtype: torch.dtype, n: int) -> tuple[Backbone, list[Any]]:
    torch.manual_seed(0)
    backbone = make_random("bundled", most_think=1, device=torch.device(device), dtype=dtype)
    writer = with_layout(backbone, explicit_cot())
    with torch.no_grad():
        # Random weights as they are made read the same word off every state.
        for weights in writer.model.parameters():
            weights.mul_(3.0)
    return writer, [writer.processor.encode(sample) for sample in queries("bundled", n)]


def played(step: Callable[[], None]) -> Callable[[], None]:
    """What recording does to memory, without a graph."""
    for _ in range(WARM_UP):
        step()
    return step


@pytest.mark.parametrize("tokens", [1, 2, 3, 20])
@pytest.mark.parametrize("longer", [False, True], ids=["one length", "padded"])
def test_it_writes_what_writing_does(tokens: int, longer: bool) -> None:
    backbone, prefixes = made("cpu", torch.float32, 3)
    if longer:
        prefixes[1] = behind(prefixes[1], prefixes[1].ids[-4:])
    written, embeddings = write_and_embed(backbone, prefixes, max_tokens=tokens, min_tokens=tokens, scored=False)
    assert len({text.ids for text in written}) > 1 or tokens < 3
    writer = RecordedWriter(backbone, prefixes, tokens=tokens, record=played)
    for _ in range(2):
        ids, found = writer()
        assert ids.tolist() == [list(text.ids) for text in written]
        torch.testing.assert_close(found, embeddings, atol=1e-5, rtol=0)


def test_a_step_leaves_every_shape_and_address_as_it_is() -> None:
    """What a graph that is played again relies on: the step reads and writes the same memory, whatever its number."""
    backbone, prefixes = made("cpu", torch.float32, 2)
    calls: list[tuple[torch.Size, int]] = []

    def watched(step: Callable[[], None]) -> Callable[[], None]:
        def again() -> None:
            step()
            held = writer._columns._keys[0]
            calls.append((held.shape, held.data_ptr()))

        return again

    writer = RecordedWriter(backbone, prefixes, tokens=5, record=watched)
    writer()
    writer()
    assert len(calls) == 10
    assert len(set(calls)) == 1


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_graph_writes_what_writing_does(dtype: torch.dtype) -> None:
    backbone, prefixes = made("cuda", dtype, 3)
    written, embeddings = write_and_embed(backbone, prefixes, max_tokens=20, min_tokens=20, scored=False)
    writer = RecordedWriter(backbone, prefixes, tokens=20)
    first, _ = writer()
    first = first.clone()
    ids, found = writer()
    assert torch.equal(first, ids)
    if dtype == torch.float32:
        assert ids.tolist() == [list(text.ids) for text in written]
        torch.testing.assert_close(found, embeddings, atol=1e-3, rtol=0)
    else:
        # Kernels differ between the two, so a near tie may fall otherwise; the first word is read from the same state.
        assert ids[:, 0].tolist() == [text.ids[0] for text in written]
