"""Attention rows of a trace as maps: which layers and heads, how they become one, and where the images are in them."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from workbench import stats
from workbench.errors import BadInput
from workbench.types import Measure, PatchGrid, Trace

Reduce = Literal["mean", "max", "top"]


def chosen_rows(trace: Trace, layer: int, head: int) -> Float[np.ndarray, "some_layers some_heads rows seq"]:
    """The attention of one layer and head, counted from 1, or of all where the number is 0.

    Raises BadInput for a number that the model does not have, and for a trace without attention.
    """
    n_layers, n_heads = trace.attention.shape[:2]
    if not n_layers or not trace.attention.size:
        raise BadInput("This trace holds no attention; trace the sample again with attention kept.")
    for what, number, most in (("layer", layer, n_layers), ("head", head, n_heads)):
        if not 0 <= number <= most:
            raise BadInput(f"There is no {what} {number}: this model has {most}, counted from 1; 0 takes them all.")
    layers = slice(None) if layer == 0 else slice(layer - 1, layer)
    heads = slice(None) if head == 0 else slice(head - 1, head)
    return trace.attention[layers, heads]


def reduced_rows(
    trace: Trace, layer: int, head: int, reduce: Reduce, top_heads: int, *, as_for: Trace | None = None
) -> tuple[Float[np.ndarray, "rows seq"], Float[np.ndarray, "rows seq"]]:
    """One row of weights for each think token and the embed token: as maps show them, and as a distribution.

    They differ for `max` alone. `top` takes the heads that are most on the images; a sample without images has none, and
    all heads are taken. `as_for`: the trace of the same model whose heads are taken, so that both can be compared.
    """
    chosen = chosen_rows(trace, layer, head)
    flat = chosen.reshape(-1, *chosen.shape[2:])
    if reduce == "top" and head == 0 and trace.grids:
        first = trace if as_for is None else as_for
        looked = chosen_rows(first, layer, head)
        looked = looked.reshape(-1, *looked.shape[2:])
        on_image = looked[..., image_positions(first)].sum(axis=-1).mean(axis=-1)
        flat = flat[stats.top_k(on_image, top_heads)]
    mean = flat.mean(axis=0)
    return (flat.max(axis=0), mean) if reduce == "max" else (mean, mean)


def row_names(trace: Trace) -> tuple[str, ...]:
    """`think 1` and so on, then `embed`."""
    return (*(f"think {k}" for k in range(1, trace.n_think + 1)), "embed")


def image_positions(trace: Trace) -> Bool[np.ndarray, " seq"]:
    """Whether each position is a visual token."""
    places = np.arange(len(trace.tokens.kinds))
    return np.isin(places, [place for grid in trace.grids for place in places[grid.positions]])


def grid_measure(
    name: str,
    values: np.ndarray,
    grid: PatchGrid,
    units: str,
    coords: dict[str, tuple[str, ...]],
    *,
    signed: bool = False,
    about: str = "",
) -> Measure:
    """A measure over one image's patches; the last axis of `values` holds them, the others are those of `coords`."""
    frames = ("frame",) if grid.frames > 1 else ()
    shape = (grid.frames, grid.rows, grid.cols) if frames else (grid.rows, grid.cols)
    dims = (*coords, *frames, "rows", "cols")
    values = values.reshape(*values.shape[:-1], *shape)
    return Measure(name=name, values=values, dims=dims, units=units, coords=coords, signed=signed, about=about)
