"""Lean layers give transformers' numbers, with and without gradient, and respect what others put into a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache, Qwen2VLForConditionalGeneration

from workbench.models.columns import Columns
from workbench.models.continuation import Continuation
from workbench.models.lean_qwen2_vl import LeanStack

GRIDS = torch.tensor([[1, 6, 8], [1, 6, 8], [1, 10, 4], [2, 4, 4], [1, 8, 6]])
"""Two of one size side by side, two frames, and another of as many patches in another form."""


@pytest.fixture(scope="module")
def stock(tiny_checkpoint: Path) -> Any:
    """The tiny checkpoint as transformers loads it. Read-only."""
    return Qwen2VLForConditionalGeneration.from_pretrained(tiny_checkpoint).eval()


@pytest.fixture
def backbone(tiny_model: Any) -> Any:
    return tiny_model._backbone


@pytest.fixture
def pixels(stock: Any) -> Tensor:
    width = stock.model.visual.patch_embed.proj.weight[0].numel()
    return torch.randn(int(GRIDS.prod(1).sum()), width, generator=torch.Generator().manual_seed(1))


def run(stack: Any, inputs: Tensor, positions: Tensor, mask: Any, past: Any = None) -> Tensor:
    return stack(
        inputs_embeds=inputs,
        position_ids=positions,
        attention_mask={"full_attention": mask},
        past_key_values=past,
        use_cache=past is not None,
    ).last_hidden_state


def text(stock: Any, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Inputs, and positions that differ on the three axes."""
    drawn = torch.Generator().manual_seed(2)
    inputs = torch.randn(rows, columns, stock.config.text_config.hidden_size, generator=drawn)
    return inputs, torch.randint(0, 50, (3, rows, columns), generator=drawn)


def test_the_vision_tower_sees_the_same(stock: Any, backbone: Any, pixels: Tensor) -> None:
    with torch.no_grad():
        expected = stock.model.visual(pixels, grid_thw=GRIDS).pooler_output
        found = backbone.family.visual_tokens(backbone.model, pixels, GRIDS)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_images_may_pass_in_runs(backbone: Any, pixels: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        together = backbone.family.visual_tokens(backbone.model, pixels, GRIDS)
        for room in (1, 90, 100):
            monkeypatch.setattr("workbench.models.families.qwen2_vl._PATCHES_ON_CPU", room)
            found = backbone.family.visual_tokens(backbone.model, pixels, GRIDS)
            torch.testing.assert_close(found, together, rtol=1e-5, atol=1e-5)


def test_gradients_are_transformers_own(stock: Any, backbone: Any, pixels: Tensor) -> None:
    given = [pixels.clone().requires_grad_() for _ in range(2)]
    stock.model.visual(given[0], grid_thw=GRIDS).pooler_output.square().sum().backward()
    backbone.family.visual_tokens(backbone.model, given[1], GRIDS).square().sum().backward()
    assert given[1].grad is not None
    torch.testing.assert_close(given[1].grad, given[0].grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_the_decoder_gives_the_same_states(stock: Any, backbone: Any, masked: bool) -> None:
    inputs, positions = text(stock, 3, 11)
    mask = torch.ones(11, 11, dtype=torch.bool).tril().expand(3, 1, -1, -1).clone()
    mask[1, :, 4:, :4] = False
    with torch.no_grad():
        expected = run(stock.model.language_model, inputs, positions, mask if masked else None)
        found = run(backbone.family.text_stack(backbone.model), inputs, positions, mask if masked else None)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def columns_of(cache: DynamicCache, rows: int, columns: int) -> Columns:
    return Columns(
        [
            Continuation(
                keys=tuple(layer.keys[row] for layer in cache.layers),
                values=tuple(layer.values[row] for layer in cache.layers),
                n_query=0,
                n_think=columns,
                position=columns,
            )
            for row in range(rows)
        ]
    )


@pytest.fixture
def begun(stock: Any) -> tuple[DynamicCache, Tensor, Tensor]:
    """The keys and values of 20 columns of three rows, the next token's input, and its position."""
    inputs, positions = text(stock, 3, 21)
    cache = DynamicCache()
    with torch.no_grad():
        run(stock.model.language_model, inputs[:, :20], positions[:, :, :20], None, cache)
    return cache, inputs[:, 20:], positions[:, :, 20:]


def test_one_more_token_is_what_transformers_makes_of_it(stock: Any, backbone: Any, begun: Any) -> None:
    cache, inputs, positions = begun
    columns = columns_of(cache, 3, 20)
    with torch.no_grad():
        seen = columns.begin()
        found = run(backbone.family.text_stack(backbone.model), inputs, positions, seen, columns)
        expected = run(stock.model.language_model, inputs, positions, None, cache)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for layer, held in enumerate(cache.layers):
        torch.testing.assert_close(columns._keys[layer][:, :, 20], held.keys[:, :, 20], rtol=1e-5, atol=1e-5)


class Doubling(nn.Linear):
    """An adapter, as far as a layer can tell."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


@pytest.fixture
def own(tiny_checkpoint: Path) -> Iterator[Any]:
    """A model to change."""
    from workbench.models.checkpoint import load_checkpoint

    model: Any = load_checkpoint(tiny_checkpoint, device="cpu", dtype="float32")
    yield model._backbone


@pytest.mark.parametrize("name", ["self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"])
def test_an_adapter_is_not_passed_over(own: Any, begun: Any, name: str) -> None:
    cache, inputs, positions = begun
    [matrix] = [layer.get_submodule(name) for layer in own.family.layers(own.model)[:1]]
    matrix.__class__ = Doubling
    columns = columns_of(cache, 3, 20)
    with torch.no_grad():
        seen = columns.begin()
        found = run(own.family.text_stack(own.model), inputs, positions, seen, columns)
        own.model.set_attn_implementation({"text_config": "sdpa"})
        expected = run(own.model.model.language_model, inputs, positions, None, cache)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_who_listens_to_a_matrix_hears_each_token(own: Any, begun: Any) -> None:
    cache, inputs, positions = begun
    heard: list[int] = []
    for number, layer in enumerate(own.family.layers(own.model)):
        layer.self_attn.v_proj.register_forward_hook(lambda *_, number=number: heard.append(number))
    columns = columns_of(cache, 3, 20)
    with torch.no_grad():
        run(LeanStack(own.model.model.language_model), inputs, positions, columns.begin(), columns)
    assert heard == list(range(len(own.family.layers(own.model))))


def test_weights_and_names_stay(stock: Any, tiny_model: Any) -> None:
    mine = dict(tiny_model._backbone.model.named_parameters())
    assert list(mine) == [name for name, _ in stock.named_parameters()]
    for name, weights in stock.named_parameters():
        assert torch.equal(mine[name], weights)
