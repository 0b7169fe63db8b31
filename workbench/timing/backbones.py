"""Random backbones to time: the size of the bundled checkpoints, and that of Qwen2-VL-2B.

How long a pass takes does not depend on what the weights are, so none are downloaded.
"""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from workbench.embedder import EmbedderInfo
from workbench.errors import BadInput
from workbench.images import refer
from workbench.models.backbone import Backbone
from workbench.models.capture import ATTENTION
from workbench.models.creation import SmallSize, give_layout, small_backbone, small_tokenizer
from workbench.models.layout import Layout, tte_flash
from workbench.models.lean_qwen2_vl import lean_
from workbench.models.sequence import LayoutIds
from workbench.types import Provenance, Sample

Size = Literal["bundled", "2b"]
BUNDLED = SmallSize(
    width=160, layers=5, heads=5, key_value_heads=5, mlp=400, vision_width=128, vision_layers=4, vision_heads=4
)
TWO_B = SmallSize(
    width=1536,
    layers=28,
    heads=12,
    key_value_heads=2,
    mlp=8960,
    vision_width=1280,
    vision_layers=32,
    vision_heads=16,
    vision_mlp_ratio=4,
    patch=14,
    min_pixels=56 * 56,
    max_pixels=28 * 28 * 1280,
)
VOCABULARY = 151_936
"""Rows of Qwen2-VL's embedding table; a random model needs them, since reading words out is part of writing."""
SIDES: dict[Size, int] = {"bundled": 112, "2b": 448}
"""Side of the square image in a query, pixels: 49 and 256 visual tokens."""
QUESTION = "What is at the centre of this picture?"
_TEXTS = [QUESTION, "three objects. top left: large red circle. answer: small blue star."]
_PARAMETERS_2B = 2_208_985_600


def make_random(size: Size, *, most_think: int, device: torch.device, dtype: torch.dtype) -> Backbone:
    """A random backbone with room for layouts of up to `most_think` think tokens. Raises BadInput where it cannot fit."""
    if size == "2b":
        check_room(device, dtype)
    shape, rows = (BUNDLED, None) if size == "bundled" else (TWO_B, VOCABULARY)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        # In its own precision from the start: 2B parameters in float32 may not fit beside those in bfloat16. And where it is
        # to stay: drawing them takes a CPU several times as long as a GPU.
        with device:
            model, processor = small_backbone(shape, small_tokenizer(_TEXTS), vocabulary=rows)
    finally:
        torch.set_default_dtype(before)
    made: Any = give_layout(model, processor, tte_flash(max(1, most_think)))
    lean_(made.model)
    made.model.set_attn_implementation({"text_config": ATTENTION})
    made.model.requires_grad_(False).eval()
    return made.to_device(device)


def with_layout(backbone: Backbone, layout: Layout) -> Backbone:
    """The same model under another layout, whose tokens are among those that it has or are added to its rows."""
    tokenizer = backbone.processor.tokenizer
    lacking = [name for name in layout.special_tokens if name not in tokenizer.get_vocab()]
    if lacking:
        return give_layout(backbone.model, backbone.processor, layout)
    return replace(backbone, layout=layout, ids=LayoutIds.find(layout, tokenizer))


def facts(backbone: Backbone, name: str) -> EmbedderInfo:
    """What an embedder over it says of itself."""
    config = backbone.model.config.text_config
    return EmbedderInfo(
        name=name,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        n_think=backbone.layout.n_think,
        width=config.hidden_size,
        dim=config.hidden_size,
        n_parameters=sum(weights.numel() for weights in backbone.model.parameters()),
        think_tokens=backbone.layout.think_tokens,
        contexts=backbone.layout.contexts,
        max_tokens=config.max_position_embeddings,
        provenance=Provenance(
            checkpoint=name, weights_sha256="", family=backbone.family.name, format="none", dtype="", device=""
        ),
    )


def queries(size: Size, n: int) -> list[Sample]:
    """Queries of equal length: an image of noise each, and the same question."""
    side = SIDES[size]
    noise = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    made = []
    for number, pixels in enumerate(noise):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=0)
        made.append(Sample(id=str(number), text=QUESTION, images=(refer(file.getvalue(), name=f"{number}.png"),)))
    return made


def check_room(device: torch.device, dtype: torch.dtype) -> None:
    """Refuse to make a 2B-shaped model where it would not fit. Raises BadInput with one sentence."""
    needed = _PARAMETERS_2B * dtype.itemsize * 1.25
    if device.type == "cuda":
        free, where = torch.cuda.mem_get_info(device)[0], "of the GPU"
    else:
        status = Path("/proc/meminfo")
        if not status.is_file():
            return
        lines = dict(line.split(":") for line in status.read_text(encoding="utf-8").splitlines())
        free, where = int(lines["MemAvailable"].split()[0]) * 1024, "of the machine"
    if free < needed:
        raise BadInput(
            f"A 2B-shaped model in {str(dtype).removeprefix('torch.')} needs about {needed / 2**30:.1f} GiB, but only "
            f"{free / 2**30:.1f} GiB {where} are free; take --dtype bfloat16 or --size bundled."
        )
