"""What every vision-language family promises: grids, positions, padding and rotations that are exactly right."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from specimens import specimen
from transformers import DynamicCache

from workbench.images import refer
from workbench.models.apart import Behind, Held
from workbench.models.backbone import Backbone
from workbench.models.capture import tapped
from workbench.models.checkpoint import load_checkpoint
from workbench.models.registries import FAMILIES
from workbench.models.sequence import pack, visibility
from workbench.types import ImageRef, Sample

NAMES = FAMILIES.names()
pytestmark = pytest.mark.parametrize("name", NAMES)


def picture(width: int, height: int, *, seed: int = 0) -> ImageRef:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return as_ref(pixels)


def as_ref(pixels: np.ndarray) -> ImageRef:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return refer(file.getvalue(), name="test.png")


SAMPLES = (
    Sample(id="wide", text="What is at the centre?", images=(picture(128, 80),)),
    Sample(id="two", text="How many red red red objects?", images=(picture(96, 96, seed=1), picture(80, 128, seed=2))),
    Sample(id="text", text="Find the image: a red ring at the left."),
)


@pytest.fixture(scope="module")
def embedder_of(shapes_rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """A tiny loaded model of the named family. Read-only."""
    known: dict[str, Any] = {}

    def embedder_of(name: str) -> Any:
        if name not in known:
            folder = tmp_path_factory.mktemp("family") / name
            written = specimen("family", name, FAMILIES.get(name)).write(folder, shapes_rows)
            known[name] = load_checkpoint(written, device="cpu", dtype="float32")
        return known[name]

    return embedder_of


@pytest.fixture
def embedder(name: str, embedder_of: Callable[[str], Any]) -> Any:
    return embedder_of(name)


@pytest.fixture
def backbone(embedder: Any) -> Backbone:
    return embedder._backbone


def test_it_is_named_as_transformers_names_it(name: str, backbone: Backbone) -> None:
    kind = FAMILIES.get(name)
    assert kind.name == name == backbone.model.config.model_type == backbone.family.name
    assert (kind.__doc__ or "").strip()
    assert getattr(kind, "__final__", False)
    assert vars(kind()) == {}, "a family is stateless: models are passed in"


def test_grids_say_where_the_visual_tokens_are(embedder: Any, backbone: Backbone) -> None:
    wide, tall = picture(128, 80), picture(80, 128)
    encoded = embedder.prepare(Sample(id="a", text="Which?", images=(wide, tall)))
    first, second = encoded.grids
    assert first.cols > first.rows
    assert (second.rows, second.cols) == (first.cols, first.rows)
    marked = [place for place, kind in enumerate(encoded.tokens.kinds) if kind == "image"]
    assert marked == [p for grid in encoded.grids for p in range(grid.positions.start, grid.positions.stop)]
    prefix = encoded.inputs["prefix"]
    assert prefix.spans == [grid.start for grid in encoded.grids]
    visual = backbone.family.visual_tokens(backbone.model, prefix.pixels, prefix.thw)
    assert visual.shape == (len(marked), backbone.width)


def test_a_lit_cell_moves_its_own_token_most(embedder: Any, backbone: Backbone) -> None:
    """Visual tokens lie row by row, whatever the order of the patches in the pixels."""
    blank = np.zeros((80, 128, 3), dtype=np.uint8)
    [grid] = embedder.prepare(Sample(id="a", images=(as_ref(blank),))).grids
    rows, cols = grid.rows, grid.cols
    height, width = 80 // rows, 128 // cols

    def tokens(pixels: np.ndarray) -> torch.Tensor:
        prefix = backbone.processor.encode(Sample(id="a", images=(as_ref(pixels),)))
        with torch.no_grad():
            return backbone.family.visual_tokens(backbone.model, prefix.pixels, prefix.thw)

    plain = tokens(blank)
    for row, col in ((0, 0), (0, cols - 1), (rows - 1, 0), (1, 2), (rows - 1, cols - 1)):
        lit = blank.copy()
        lit[row * height : (row + 1) * height, col * width : (col + 1) * width] = 255
        assert (tokens(lit) - plain).norm(dim=1).argmax() == row * cols + col


def test_a_sample_without_images_has_no_pixels(backbone: Backbone) -> None:
    prefix = backbone.processor.encode(SAMPLES[2])
    assert prefix.pixels is None
    assert prefix.thw.shape == (0, 3)
    assert (prefix.grids, prefix.spans) == ([], [])


def test_positions_of_text_count_up_by_one(backbone: Backbone) -> None:
    """The think tokens go on from them, and rotating keys by a number of positions rests on it."""
    for sample in SAMPLES:
        prefix = backbone.processor.encode(sample)
        assert prefix.positions.shape == (3, len(prefix.ids))
        ends = [span + int(np.prod(grid)) for span, grid in zip(prefix.spans, prefix.grids, strict=True)]
        tail = prefix.positions[:, max(ends, default=0) :]
        assert (tail == tail[:1]).all()
        assert (tail[0].diff() == 1).all()
        assert tail.max() == prefix.positions.max()


def test_a_batch_of_different_sizes_equals_the_singles(embedder: Any) -> None:
    batch = [embedder.prepare(sample) for sample in SAMPLES]
    for together, encoded in zip(embedder.trace(batch), batch, strict=True):
        [alone] = embedder.trace([encoded])
        for field in ("attention", "latents", "embedding", "stepwise", "knockout"):
            assert np.abs(getattr(together, field) - getattr(alone, field)).max() < 1e-5, (encoded.sample.id, field)


def test_encoding_is_repeatable_and_keeps_no_state(backbone: Backbone) -> None:
    before = backbone.processor.encode(SAMPLES[0])
    backbone.processor.encode(SAMPLES[1])
    after = backbone.processor.encode(SAMPLES[0])
    assert torch.equal(before.ids, after.ids)
    assert torch.equal(before.positions, after.positions)
    assert before.pixels is not None
    assert torch.equal(before.pixels, after.pixels)


def test_special_tokens_that_a_user_types_stay_text(embedder: Any, backbone: Backbone) -> None:
    typed = " ".join(backbone.processor.tokenizer.get_added_vocab())
    encoded, plain = (embedder.prepare(Sample(id="a", text=text)) for text in (typed, "words"))
    assert encoded.tokens.kinds.count("control") == plain.tokens.kinds.count("control")
    assert encoded.tokens.kinds.count("think") == embedder.info.n_think
    assert "image" not in encoded.tokens.kinds


def test_layers_norm_and_head_are_those_of_the_pass(embedder: Any, backbone: Backbone) -> None:
    family, model = backbone.family, backbone.model
    assert len(family.layers(model)) == embedder.info.n_layers
    packed = pack([backbone.processor.encode(SAMPLES[0])], backbone.ids)
    with torch.no_grad(), tapped(family.layers(model), slice(0, packed.embed.stop)) as tap:
        hidden = backbone.run(backbone.inputs(packed), packed.positions, None)
        assert (family.final_norm(model)(tap.states[-1]) - hidden).abs().max() < 1e-5
        assert family.head(model)(hidden).shape[-1] == family.token_embedding(model).weight.shape[0]


def test_rotating_keys_is_standing_elsewhere(backbone: Backbone) -> None:
    """Keys of a text, turned by n, are the keys of the same text n positions further on, in every layer."""
    family, model = backbone.family, backbone.model
    embedded = family.token_embedding(model)(backbone.processor.encode(SAMPLES[2]).ids)[None]
    places = torch.arange(embedded.shape[1])

    def keys(start: int) -> list[torch.Tensor]:
        cache = DynamicCache()
        with torch.no_grad():
            backbone.run(embedded, (places + start).expand(3, 1, -1), None, past=cache)
        return [layer.keys[0] for layer in cache.layers]

    here, there = keys(0), keys(17)
    for own, moved in zip(here, there, strict=True):
        assert (own - moved).abs().max() > 1e-3
        assert (family.rotate(model, own, 17) - moved).abs().max() < 1e-4
        assert (family.rotate(model, moved, -17) - own).abs().max() < 1e-4
        twice = family.rotate(model, family.rotate(model, own, 5), 12)
        assert (twice - moved).abs().max() < 1e-4
        assert torch.equal(family.rotate(model, own, 0), own)


@pytest.mark.parametrize("learning", [False, True])
def test_a_pass_can_stop_early_and_go_on_from_what_it_held(backbone: Backbone, learning: bool) -> None:
    """What layouts that keep think and embed tokens apart ask for, with a gradient and without."""
    family, model = backbone.family, backbone.model
    packed = pack([backbone.processor.encode(sample) for sample in SAMPLES], backbone.ids)
    mask = visibility(packed, backbone.layout, "latents_only")
    n, whole = packed.think.stop, packed.embed.stop
    with torch.set_grad_enabled(learning):
        inputs, positions = backbone.inputs(packed).detach().requires_grad_(learning), packed.positions
        states = family.run_layer(model, 0, inputs, positions, mask)
        stopped = backbone.run(inputs, positions, mask, stop=1)
        torch.testing.assert_close(stopped, family.final_norm(model)(states), atol=2e-5, rtol=0)
        held = Held()
        backbone.run(inputs[:, :n], positions[:, :, :n], mask[:, :, :n, :n], held)
        assert len(held.keys) == len(family.layers(model))
        behind = backbone.run(inputs[:, n:], positions[:, :, n:], mask[:, :, n:whole], Behind(held, n))
        together = backbone.run(inputs, positions, mask)
        torch.testing.assert_close(behind, together[:, n:], atol=2e-5, rtol=0)
        assert behind.requires_grad == learning


def test_vision_parameters_are_what_the_visual_tokens_come_from(backbone: Backbone) -> None:
    family, model = backbone.family, backbone.model
    prefix = backbone.processor.encode(SAMPLES[0])
    # Loaded models take no gradients of their weights.
    model.requires_grad_(True)
    try:
        family.visual_tokens(model, prefix.pixels, prefix.thw).square().sum().backward()
        used = {id(parameter) for parameter in model.parameters() if parameter.grad is not None}
    finally:
        model.zero_grad(set_to_none=True)
        model.requires_grad_(False)
    assert used == {id(parameter) for parameter in family.vision_parameters(model)}


def test_a_vision_pass_tells_what_each_layer_attends_by(backbone: Backbone) -> None:
    family, model = backbone.family, backbone.model
    prefix = backbone.processor.encode(SAMPLES[1])
    with torch.no_grad():
        seen = family.vision_pass(model, prefix.pixels, prefix.thw)
        layers = [make() for make in seen.layers]
    n_patches = len(prefix.pixels)
    n_cells = sum(int(np.prod(grid)) for grid in prefix.grids)
    assert torch.bincount(seen.cells).tolist() == [n_patches // n_cells] * n_cells
    for layer in layers:
        assert layer.query.shape == layer.key.shape
        assert layer.query.shape[1] == n_patches
        assert sum(layer.lengths) == n_patches
        assert layer.scaling > 0
    images = [int(np.prod(grid)) * (n_patches // n_cells) for grid in prefix.grids]
    borders = np.cumsum(images).tolist()
    assert set(borders) <= set(np.cumsum(layers[0].lengths).tolist()), "images do not see each other"


def test_a_saved_processor_reads_alike(backbone: Backbone, tmp_path: Path) -> None:
    backbone.processor.save(tmp_path)
    again = backbone.family.load_processor(tmp_path)
    assert again.settings() == backbone.processor.settings()
    json.dumps(again.settings())
    for sample in SAMPLES:
        one, other = backbone.processor.encode(sample), again.encode(sample)
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.positions, other.positions)
        assert (one.pixels is None) == (other.pixels is None)
        assert one.pixels is None or other.pixels is None or torch.equal(one.pixels, other.pixels)
