"""Random Qwen2-VL models of given sizes with a think-then-embed layout, in memory or as checkpoint folders."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from workbench.embedder import EmbedderInfo
from workbench.images import refer
from workbench.models.backbone import Backbone
from workbench.models.capture import ATTENTION
from workbench.models.creation import SmallSize, give_layout, save_backbone, small_backbone, small_tokenizer
from workbench.models.formats.native import write_manifest
from workbench.models.latent_embedder import LatentEmbedder
from workbench.models.layout import tte_flash
from workbench.types import ImageRef, Provenance

WORDS = ["What is at the centre of this picture? three objects. top left: large red circle. answer: small blue star."]
MEDIUM = SmallSize(
    width=896,
    layers=12,
    heads=14,
    key_value_heads=2,
    mlp=4864,
    vision_width=128,
    vision_layers=2,
    vision_heads=4,
    patch=14,
    max_pixels=28 * 28 * 4000,
    min_pixels=28 * 28,
)


def random_backbone(size: SmallSize, *, think: int = 8) -> Backbone:
    """A random backbone with `think` think tokens."""
    model, processor = small_backbone(size, small_tokenizer(WORDS), seed=0)
    return give_layout(model.eval(), processor, tte_flash(think))


def random_embedder(size: SmallSize, *, think: int = 8) -> LatentEmbedder:
    """The same as an embedder."""
    backbone = random_backbone(size, think=think)
    backbone.model.set_attn_implementation({"text_config": ATTENTION})
    config = backbone.model.config.text_config
    info = EmbedderInfo(
        name="random",
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        n_think=think,
        width=config.hidden_size,
        dim=config.hidden_size,
        n_parameters=sum(p.numel() for p in backbone.model.parameters()),
        think_tokens=backbone.layout.think_tokens,
        contexts=backbone.layout.contexts,
        max_tokens=32768,
        provenance=Provenance(
            checkpoint="random", weights_sha256="", family="qwen2_vl", format="none", dtype="float32", device="cpu"
        ),
    )
    return LatentEmbedder(backbone, info)


def picture(width: int, height: int, seed: int = 0) -> ImageRef:
    """A random image."""
    from io import BytesIO

    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return refer(file.getvalue(), name=f"{width}x{height}.png")


def write_random(folder: Path, backbone: Any, *, dtype: torch.dtype) -> Path:
    """Write a backbone as a Thinkscope checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_backbone(backbone, folder, dtype=dtype)
    about = {"title": "Random weights", "recipe": "none", "step": 0, "steps": 0, "knows": "Nothing.", "config": {}}
    write_manifest(folder, backbone, about)
    return folder
