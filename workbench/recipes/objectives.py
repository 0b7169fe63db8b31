"""The losses of think-then-embed training."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from workbench.recipes.dense import IGNORE


def info_nce(
    queries: Float[Tensor, "batch dim"],
    documents: Float[Tensor, "documents dim"],
    positive: Int[Tensor, " batch"],
    excluded: Bool[Tensor, "batch documents"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Contrastive loss (nats): each query against all documents but the excluded ones (copies of its own target)."""
    # At a temperature of 0.05 the rounding of bf16 would be felt in the logits.
    with torch.autocast(queries.device.type, enabled=False):
        logits = queries.float() @ documents.float().T / temperature
    return functional.cross_entropy(logits.masked_fill(excluded, float("-inf")), positive)


def text_loss(logits: Float[Tensor, "batch text vocab"], labels: Int[Tensor, "batch text"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of the reasoning's tokens, nats per token."""
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE)


def readout_loss(
    logits: Float[Tensor, "batch think vocab"], labels: Int[Tensor, "batch text"], parts: Int[Tensor, "batch text"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy of each reasoning token under the think token that owns its part of the text, nats per token."""
    readings = functional.log_softmax(logits.float(), dim=-1)
    valid = labels != IGNORE
    row = torch.arange(len(labels), device=labels.device)[:, None].expand_as(labels)
    return -readings[row[valid], parts[valid], labels[valid]].mean()
