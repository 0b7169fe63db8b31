"""A small random checkpoint of each way to keep think and embed tokens apart, and passes over two samples."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from checkpoints import TINY, write_layout
from pictures import picture
from torch import Tensor

from workbench.models.apart import Apart, run_apart
from workbench.models.backbone import Backbone
from workbench.models.creation import give_layout, small_backbone, small_tokenizer
from workbench.models.dual_adapter import adapter_weights, attach_sets, save_sets
from workbench.models.layout import Layout, tte_flash
from workbench.models.sequence import Packed, pack, visibility
from workbench.types import Context, Sample

CONTEXTS: tuple[Context, ...] = ("latents_only", "query_and_latents")
WAYS = {
    "shared": tte_flash(4, contexts=CONTEXTS),
    "dual_adapter": tte_flash(4, contexts=CONTEXTS, extraction="dual_adapter"),
    "early_exit": tte_flash(4, contexts=CONTEXTS, extraction="early_exit", exit_layer=2),
    "two_pass": tte_flash(4, contexts=CONTEXTS, extraction="two_pass"),
}
APART = [name for name in WAYS if name != "shared"]
SAMPLES = (
    Sample(id="wide", text="What is at the centre?", images=(picture(128, 80),)),
    Sample(id="text", text="Find the image: a red red ring at the left."),
)
TEXTS = ("large red ring .", "blue")


def write_way(folder: Path, rows: list[dict[str, Any]], layout: Layout) -> Path:
    texts = [text for row in rows for text in (row["query"], row["reasoning"])]
    model, processor = small_backbone(TINY, small_tokenizer(texts), seed=1)
    backbone = give_layout(model, processor, layout, seed=1)
    if layout.extraction != "dual_adapter":
        return write_layout(folder, backbone)
    plain = copy.deepcopy(backbone.model)
    torch.manual_seed(3)
    attach_sets(model, 2)
    for role in ("think", "embed"):
        for name, value in adapter_weights(model, role).items():
            if ".lora_B." in name:
                torch.nn.init.normal_(value, std=0.2)
    write_layout(folder, replace(backbone, model=plain))
    manifest = json.loads((folder / "thinkscope.json").read_text())
    (folder / "thinkscope.json").write_text(json.dumps(manifest | save_sets(model, folder, torch.float32)))
    return folder


def packed_of(backbone: Backbone) -> Packed:
    tokenizer = backbone.processor.tokenizer
    texts = [torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in TEXTS]
    return pack([backbone.processor.encode(sample) for sample in SAMPLES], backbone.ids, texts)


def passed(backbone: Backbone, *, context: Context = "latents_only", **options: Any) -> tuple[Apart, Tensor]:
    """A pass over both samples with a text each, and the input embeddings, whose gradients are kept."""
    packed = packed_of(backbone)
    inputs = backbone.inputs(packed)
    if inputs.requires_grad:
        inputs.retain_grad()
    return run_apart(backbone, packed, inputs, visibility(packed, backbone.layout, context), **options), inputs
