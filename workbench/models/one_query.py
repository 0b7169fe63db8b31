"""Attention of one query in each row, as when a text is written: two batched matrix products.

On a CPU they take two thirds of the time of the fused kernel, which is made for many queries and does one head of one row
after the other. On a GPU the fused kernel that takes a mask knows no groups of heads, so all keys and values would be copied for
each head before every token.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_FEWEST = 16
"""Columns from which on the products are faster; below, PyTorch multiplies without its matrix library."""


def suits_one_query(
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch groups columns width"],
    seen: Bool[Tensor, "_ _ queries columns"] | None,
) -> bool:
    """Whether `attend_one` should be used: for one query, without gradient, where the fused kernel is slower."""
    if query.shape[2] != 1 or torch.is_grad_enabled():
        return False
    if query.device.type == "cpu":
        return query.dtype == torch.float32 and key.shape[2] >= _FEWEST
    return seen is not None and key.shape[1] < query.shape[1]


def attend_one(
    query: Float[Tensor, "batch heads 1 width"],
    key: Float[Tensor, "batch groups columns width"],
    value: Float[Tensor, "batch groups columns width"],
    seen: Bool[Tensor, "batch 1 1 columns"] | None,
    scaling: float | None,
) -> Float[Tensor, "batch 1 heads width"]:
    """What scaled dot-product attention gives; heads share keys in groups, `seen` is None for all columns.

    Shares are taken in float32 in any precision.
    """
    batch, heads, _, width = query.shape
    grouped = query.reshape(batch, key.shape[1], -1, width) * (width**-0.5 if scaling is None else scaling)
    scores = grouped @ key.mT
    if seen is not None:
        scores.masked_fill_(~seen, float("-inf"))
    shares = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    return (shares @ value).reshape(batch, 1, heads, width)
