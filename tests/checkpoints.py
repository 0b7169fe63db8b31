"""Small random checkpoints of the real classes, for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from workbench.models.backbone import Backbone
from workbench.models.creation import SmallSize, give_layout, save_backbone, small_backbone, small_tokenizer
from workbench.models.formats.native import write_manifest
from workbench.models.latent_decoder import DecoderSize, LatentDecoder
from workbench.models.layout import Layout, tte_flash

TINY = SmallSize(
    width=64, layers=3, heads=4, key_value_heads=2, mlp=96, vision_width=32, vision_layers=2, vision_heads=2
)
TINY_DECODER = DecoderSize(layers=2, width=32, heads=2, mlp=48, projection=40)
SMALL_RUN = (
    "model.think=3",
    "model.width=32",
    "model.layers=2",
    "model.heads=2",
    "model.key_value_heads=1",
    "model.mlp=48",
    "model.vision_width=32",
    "model.vision_layers=1",
    "model.vision_heads=2",
    "data.workers=0",
    "output.log_every=1",
)
"""Settings of a training run of seconds, as overrides."""


def write_tiny(
    folder: Path, rows: Sequence[dict[str, Any]], *, layout: Layout | None = None, size: SmallSize = TINY, seed: int = 1
) -> Path:
    """Write a random checkpoint whose tokenizer knows the rows' words; returns its folder."""
    texts = [text for row in rows for text in (row["query"], row["reasoning"], row["target"]["text"] or "")]
    model, processor = small_backbone(size, small_tokenizer(texts), seed=seed)
    chosen = layout or tte_flash(4, contexts=("latents_only", "query_and_latents"))
    return write_layout(folder, give_layout(model, processor, chosen, seed=seed))


def write_layout(folder: Path, backbone: Backbone) -> Path:
    """Write a backbone that the tests made, with a random latent decoder where its layout has one; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_backbone(backbone, folder)
    further: dict[str, Any] = {}
    if backbone.layout.decoder == "latent":
        vocabulary = len(backbone.family.token_embedding(backbone.model).weight)
        decoder = LatentDecoder(TINY_DECODER, latent_width=backbone.width, vocabulary=vocabulary, seed=2)
        further = decoder.save(folder, torch.float32)
    about = {"title": "Tiny random model", "recipe": "none", "step": 0, "steps": 0, "knows": "Nothing.", "config": {}}
    write_manifest(folder, backbone, {**further, **about})
    return folder
