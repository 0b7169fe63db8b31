"""Writing whose passes are recorded writes what writing does, and its graph is played, not made anew."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from workbench.models.backbone import Backbone
from workbench.models.layout import explicit_cot
from workbench.models.sequence import behind
from workbench.models.spelling_out import write_and_embed
from workbench.timing import backbones
from workbench.timing.backbones import make_random, queries, with_layout
from workbench.timing.recorded import WARM_UP, RecordedWriter


@pytest.fixture(params=[5, 1], ids=["heads of their own", "heads share keys"])
def groups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Groups of heads that share keys and values: Qwen2-VL-2B has two for twelve heads."""
    monkeypatch.setattr(backbones, "BUNDLED", replace(backbones.BUNDLED, key_value_heads=request.param))
    return request.param


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
@pytest.mark.usefixtures("groups")
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
    seen: list[dict[str, tuple[torch.Size, int]]] = []

    def watched(step: Any) -> Callable[[], None]:
        writer = step.__self__

        def again() -> None:
            step()
            columns = writer._columns
            kept = {**vars(writer), **vars(columns)}
            kept |= {f"{name} {n}": one for name in ("_keys", "_values") for n, one in enumerate(kept[name])}
            held = {name: one for name, one in kept.items() if isinstance(one, torch.Tensor)}
            seen.append({name: (one.shape, one.data_ptr()) for name, one in held.items()})

        return again

    writer = RecordedWriter(backbone, prefixes, tokens=5, record=watched)
    writer()
    writer()
    # Once when it is made, to see that it works.
    assert len(seen) == 1 + 2 * 5
    assert {"_state", "_position", "_number", "_place", "_ids", "_real", "_places", "_keys 0", "_values 4"} <= set(
        seen[0]
    )
    assert all(one == seen[0] for one in seen)


def test_what_is_given_back_is_no_later_calls() -> None:
    backbone, prefixes = made("cpu", torch.float32, 2)
    writer = RecordedWriter(backbone, prefixes, tokens=4, record=played)
    first, _ = writer()
    kept = first.clone()
    writer._prefixes = prefixes[::-1]
    second, _ = writer()
    assert not torch.equal(second, kept)
    assert torch.equal(first, kept)


def test_a_recording_that_does_nothing_is_refused() -> None:
    """As of a graph that was made on another GPU than the model's."""
    backbone, prefixes = made("cpu", torch.float32, 1)
    with pytest.raises(RuntimeError, match="does nothing when it is played"):
        RecordedWriter(backbone, prefixes, tokens=4, record=lambda step: lambda: None)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("groups")
def test_a_graph_writes_what_writing_does(dtype: torch.dtype) -> None:
    """Two graphs that are played in turn, one of them over padding, and writing in the usual way between them."""
    backbone, prefixes = made("cuda", dtype, 3)
    several = [prefixes[0], behind(prefixes[1], prefixes[1].ids[-4:]), prefixes[2]]
    writers = [(given, RecordedWriter(backbone, given, tokens=n)) for given, n in ((prefixes, 20), (several, 9))]
    for _ in range(2):
        for given, writer in writers:
            ids, found = writer()
            n = ids.shape[1]
            written, embeddings = write_and_embed(backbone, given, max_tokens=n, min_tokens=n, scored=False)
            expected = [list(text.ids) for text in written]
            if dtype == torch.float32:
                assert ids.tolist() == expected
                torch.testing.assert_close(found, embeddings, atol=1e-3, rtol=0)
            else:
                # Kernels differ between the two, so a near tie may fall otherwise; the first word is read from the same state.
                assert ids[:, 0].tolist() == [text[0] for text in expected]
