"""Attention of one query in each row, as when a text is written: two batched matrix products.

On a CPU they take two thirds of the time of the fused kernel, which is made for many queries and does one head of one row
after the other.
"""

from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

_FEWEST = 16
"""Columns from which on the products are faster; below, PyTorch multiplies without its matrix library."""


def suits_one_query(query: Float[Tensor, "batch heads queries width"], key: Tensor) -> bool:
    """Whether `attend_one` should be used: one query, on a CPU, without gradient, over enough columns."""
    one = query.shape[2] == 1 and key.shape[2] >= _FEWEST
    return one and query.device.type == "cpu" and query.dtype == torch.float32 and not torch.is_grad_enabled()


@final
class AttendOne:
    """A mask under which the one query of each row attends by `attend_one`, whatever the device.

    In bfloat16 and float16 scores are rounded before their softmax, as in transformers' eager attention; the fused kernel
    keeps them in float32.
    """

    def __init__(self, seen: Bool[Tensor, "batch 1 1 columns"]) -> None:
        self._seen = seen

    def attend(self, _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """Attention output of one layer (batch 1 heads width)."""
        return attend_one(query, key, value, self._seen, scaling)


def attend_one(
    query: Float[Tensor, "batch heads 1 width"],
    key: Float[Tensor, "batch groups columns width"],
    value: Float[Tensor, "batch groups columns width"],
    seen: Bool[Tensor, "batch 1 1 columns"] | None,
    scaling: float | None,
) -> Float[Tensor, "batch 1 heads width"]:
    """What scaled dot-product attention gives; heads share keys in groups, `seen` is None for all columns."""
    batch, heads, _, width = query.shape
    grouped = query.reshape(batch, key.shape[1], -1, width) * (width**-0.5 if scaling is None else scaling)
    scores = grouped @ key.mT
    if seen is not None:
        scores.masked_fill_(~seen, float("-inf"))
    return (scores.softmax(-1) @ value).reshape(batch, 1, heads, width)
