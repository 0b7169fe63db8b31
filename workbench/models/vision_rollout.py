"""Attention on merged tokens, followed back through the vision tower to the patches, one row at a time.

Never a patches x patches matrix: each layer's attention is made for a block of queries, used and forgotten.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.backbone import Backbone
from workbench.models.registries import VisionLayer, VisionPass
from workbench.types import Encoded

SCORES_AT_ONCE = 2**22
"""Attention weights held at once, all heads together: 16 MiB of float32."""


@torch.no_grad()
def through_vision(
    backbone: Backbone, encoded: Encoded, rows: Float[Tensor, "rows cells"]
) -> Float[Tensor, "rows cells"]:
    """Row-vector attention rollout through the vision tower; the contract is `ComposesVision.through_vision`."""
    prefix = encoded.inputs["prefix"]
    seen = backbone.family.vision_pass(
        backbone.model, prefix.pixels.to(backbone.device), prefix.thw.to(backbone.device)
    )
    return roll_back(seen, rows)


def roll_back(seen: VisionPass, rows: Float[Tensor, "rows cells"]) -> Float[Tensor, "rows cells"]:
    """Spread each cell's mass over its patches, send it back through the layers, last to first, and gather it again."""
    patches_per_cell = torch.bincount(seen.cells, minlength=rows.shape[1])
    flow = (rows / patches_per_cell)[:, seen.cells]
    for layer in reversed(seen.layers):
        flow = 0.5 * flow + 0.5 * _attended(flow, layer())
    return torch.zeros_like(rows).index_add(1, seen.cells, flow)


def _attended(flow: Float[Tensor, "rows patches"], layer: VisionLayer) -> Float[Tensor, "rows patches"]:
    """The flow times the layer's attention, mean over heads."""
    sent = torch.zeros_like(flow)
    begin = 0
    for length in layer.lengths:
        end = begin + length
        key = layer.key[:, begin:end].float()
        block = max(1, SCORES_AT_ONCE // (len(key) * length))
        for start in range(begin, end, block):
            stop = min(start + block, end)
            scores = layer.query[:, start:stop].float() @ key.mT * layer.scaling
            sent[:, begin:end] += flow[:, start:stop] @ scores.softmax(-1).mean(0)
        begin = end
    return sent
