"""Which attention numbers the explorer is sent: maps over the patches for every depth, packed small.

The reductions over heads are those of the attention probe (`probes/attention.py`); a test holds the two together.
"""

import base64
from typing import Literal

import numpy as np
from jaxtyping import Float

from workbench import stats
from workbench.types import PatchGrid, Trace

Reduction = Literal["mean", "max", "top"]
REDUCTIONS: tuple[Reduction, ...] = ("mean", "max", "top")
TOP_HEADS = 4
MAX_HEAD_BYTES = 2 * 2**20
"""Single heads are sent along up to this size; beyond it the page fetches a head when somebody chooses it."""


def reduced_maps(trace: Trace, reduction: Reduction) -> Float[np.ndarray, "depths rows seq"]:
    """Attention of the think and embed rows with the heads reduced; depth 0 is all layers together, then each layer.

    `mean` over heads; `max`, the largest share any head gives; `top`, the mean of those that look at the images most.
    """
    layered = [trace.attention.reshape(1, -1, *trace.attention.shape[2:])[0], *trace.attention]
    return np.stack([_reduce(trace, heads, reduction) for heads in layered])


def head_maps(trace: Trace, head: int) -> Float[np.ndarray, "depths rows seq"]:
    """Attention of one head (counted from 0); depth 0 is its mean over layers."""
    one = trace.attention[:, head]
    return np.concatenate([one.mean(axis=0, keepdims=True), one])


def pack(maps: Float[np.ndarray, "depths rows seq"], grid: PatchGrid) -> str:
    """The patches of one image as little-endian float16 in base64, frames averaged."""
    patches = maps[..., grid.positions].reshape(*maps.shape[:2], grid.frames, -1).mean(axis=2)
    return base64.b64encode(patches.astype("<f2").tobytes()).decode("ascii")


def sends_heads(trace: Trace) -> bool:
    """Whether all single heads are small enough to be sent along."""
    n_patches = sum(grid.rows * grid.cols for grid in trace.grids)
    layers, heads, rows, _ = trace.attention.shape
    return 2 * (layers + 1) * heads * rows * n_patches <= MAX_HEAD_BYTES


def _reduce(trace: Trace, heads: np.ndarray, reduction: Reduction) -> np.ndarray:
    if reduction == "max":
        return heads.max(axis=0)
    if reduction == "top" and trace.grids:
        inside = np.concatenate([np.arange(grid.start, grid.positions.stop) for grid in trace.grids])
        on_image = heads[..., inside].sum(axis=-1).mean(axis=-1)
        heads = heads[stats.top_k(on_image, TOP_HEADS)]
    return heads.mean(axis=0)
