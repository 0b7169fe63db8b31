"""Rollout through the vision tower: against the dense product of transformers' own eager attention, patch by patch."""

import threading
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.models.qwen2_vl import modeling_qwen2_vl as qwen

from workbench.embedder import ComposesVision
from workbench.errors import Unsupported
from workbench.images import refer
from workbench.models import vision_rollout
from workbench.models.registries import VisionLayer, VisionPass
from workbench.types import Encoded, ImageRef, Sample


def picture(width: int, height: int, seed: int) -> ImageRef:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return refer(file.getvalue(), name=f"{width}x{height}.png")


@pytest.fixture(scope="module")
def two_images(tiny_model: Any) -> Encoded:
    return tiny_model.prepare(Sample(id="two", text="Which red?", images=(picture(128, 80, 1), picture(80, 112, 2))))


def rows_of(encoded: Encoded, n: int = 3) -> np.ndarray:
    cells = sum(grid.n_tokens for grid in encoded.grids)
    return np.random.default_rng(0).random((n, cells), dtype=np.float32)


def dense(model: Any, encoded: Encoded, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The whole rollout, cells x cells, from eager attention and from the patches' own coordinates."""
    prefix, inner = encoded.inputs["prefix"], model._backbone.model
    weights: list[torch.Tensor] = []
    eager = qwen.eager_attention_forward

    def recording(*arguments: Any, **options: Any) -> Any:
        out = eager(*arguments, **options)
        weights.append(out[1][0].mean(0))
        return out

    own = inner.model.visual.config._attn_implementation
    monkeypatch.setattr(qwen, "eager_attention_forward", recording)
    inner.set_attn_implementation({"vision_config": "eager"})
    try:
        with torch.no_grad():
            inner.model.visual(prefix.pixels, grid_thw=prefix.thw)
    finally:
        inner.set_attn_implementation({"vision_config": own})
    n_images, n = len(encoded.grids), len(prefix.pixels)
    total = torch.eye(n)
    for begin in range(0, len(weights), n_images):
        layer = torch.block_diag(*weights[begin : begin + n_images])
        total = (0.5 * torch.eye(n) + 0.5 * layer) @ total
    rows, cols = qwen.get_vision_position_ids(prefix.thw, 2).T
    cell_of, patch, before = torch.zeros(n, dtype=torch.long), 0, 0
    for grid in encoded.grids:
        own_patches = slice(patch, patch + 4 * grid.n_tokens)
        cell_of[own_patches] = before + rows[own_patches] // 2 * grid.cols + cols[own_patches] // 2
        patch, before = own_patches.stop, before + grid.n_tokens
    member = torch.nn.functional.one_hot(cell_of).float()
    return (member.T / 4 @ total @ member).numpy()


def test_it_equals_the_dense_rollout(tiny_model: Any, two_images: Encoded, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(two_images)
    expected = rows @ dense(tiny_model, two_images, monkeypatch)
    found = tiny_model.through_vision(two_images, rows)
    assert np.abs(expected - rows).max() > 1e-2, "the tower mixes cells, or this test shows nothing"
    assert np.abs(found - expected).max() < 1e-6


def test_mass_is_kept_and_images_do_not_see_each_other(tiny_model: Any, two_images: Encoded) -> None:
    rows = rows_of(two_images)
    first = two_images.grids[0].n_tokens
    rows[0, first:] = 0
    found = tiny_model.through_vision(two_images, rows)
    np.testing.assert_allclose(found[:, :first].sum(1), rows[:, :first].sum(1), rtol=1e-5)
    np.testing.assert_allclose(found[:, first:].sum(1), rows[:, first:].sum(1), rtol=1e-5)
    assert not found[0, first:].any()


def test_an_objective_rolls_back_alike(tiny_model: Any, two_images: Encoded) -> None:
    from workbench.targets import ThinkState

    objective = tiny_model.objective(two_images, [ThinkState(label="think 1", think=0, word=5)])
    rows = rows_of(two_images)
    found = objective.through_vision(torch.from_numpy(rows)).numpy()
    np.testing.assert_array_equal(found, tiny_model.through_vision(two_images, rows))


class LargestTensor(TorchDispatchMode):
    """Remembers the most entries that any operation's result had."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.numel())
        return out


def test_blocks_change_nothing_and_bound_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    heads, n = 2, 400
    layer = VisionLayer(
        query=torch.randn(heads, n, 4, generator=draw),
        key=torch.randn(heads, n, 4, generator=draw),
        scaling=0.5,
        lengths=(100, 300),
    )
    seen = VisionPass(cells=torch.arange(n // 4).repeat_interleave(4), layers=(lambda: layer,) * 3)
    rows = torch.rand(2, n // 4, generator=draw)
    whole = vision_rollout.roll_back(seen, rows)
    monkeypatch.setattr(vision_rollout, "SCORES_AT_ONCE", heads * 300 * 7)
    with LargestTensor() as largest:
        assert torch.allclose(vision_rollout.roll_back(seen, rows), whole, atol=1e-6)
    assert largest.entries <= heads * 300 * 7


def test_patches_in_another_order_than_their_cells_are_put_back() -> None:
    """A tower in window order: its first patches may belong to the last cell."""
    cells = torch.tensor([2, 2, 0, 1, 0, 1])
    sharp = torch.nn.functional.one_hot(torch.tensor([2, 2, 2, 3, 2, 3]), 6).float()[None] * 100
    layer = VisionLayer(query=sharp, key=torch.eye(6)[None], scaling=1.0, lengths=(6,))
    found = vision_rollout.roll_back(VisionPass(cells=cells, layers=(lambda: layer,)), torch.eye(3))
    # Patches of cell 2 look at a patch of cell 0; those of cells 0 and 1 at their own.
    expected = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.5, 0, 0.5]])
    assert torch.allclose(found, expected, atol=1e-6)


def test_threads_do_not_overhear_each_other_and_no_hook_stays(tiny_model: Any, two_images: Encoded) -> None:
    other = tiny_model.prepare(Sample(id="one", images=(picture(96, 80, 3),)))
    jobs = [(encoded, rows_of(encoded)) for encoded in (two_images, other)] * 4
    alone = [tiny_model.through_vision(*job) for job in jobs]
    found: list[Any] = [None] * len(jobs)

    def work(number: int) -> None:
        found[number] = tiny_model.through_vision(*jobs[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, together in zip(alone, found, strict=True):
        np.testing.assert_allclose(one, together, atol=1e-6)
    assert not any(module._forward_pre_hooks for module in tiny_model._backbone.model.modules())


def test_text_alone_is_refused(tiny_model: Any) -> None:
    assert isinstance(tiny_model, ComposesVision)
    with pytest.raises(Unsupported, match="no image"):
        tiny_model.through_vision(tiny_model.prepare(Sample(id="t", text="red")), np.zeros((1, 0), dtype=np.float32))
