"""A traced pass: the batch runs under a capture, once or, where thoughts are fed to a second pass, twice."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.embedder import Keep
from workbench.models.apart import Behind, Held
from workbench.models.backbone import Backbone
from workbench.models.capture import Capture, tapped
from workbench.models.copies import copies_mask, copy_positions
from workbench.models.sequence import Packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What a traced pass leaves behind."""

    packed: Packed
    attention: tuple[Float[Tensor, "batch heads rows main"], ...]
    """Of each layer, rows of think and embed tokens; empty where not asked for."""
    states: tuple[Float[Tensor, "batch think width"], ...]
    """The residual stream at the think tokens behind each layer; empty where not asked for."""
    think: Float[Tensor, "batch think width"]
    """Final states of the think tokens, normed."""
    embed: Float[Tensor, "batch embed width"]
    """Final states of the embed tokens, normed."""
    copies: Float[Tensor, "batch copies width"]
    """The same of their copies; none where not asked for."""
    keys: tuple[Float[Tensor, "batch groups columns head_width"], ...]
    """Of each layer and group of heads, at the columns that were to be kept."""
    values: tuple[Float[Tensor, "batch groups columns head_width"], ...]


def traced(backbone: Backbone, packed: Packed, main: Any, keep: Keep, cached: slice | None) -> Passed:
    """Run a batch under a capture.

    Args:
        backbone: model and layout.
        packed: the batch, without texts.
        main: its mask, None for plain causal.
        keep: what is to be left behind.
        cached: columns whose keys and values are to be left behind, None for none.
    """
    inputs, positions = backbone.inputs(packed), packed.positions
    copies = None
    if keep.edits and backbone.layout.n_think > 0:
        copied = inputs[:, packed.embed].repeat(1, 2 * backbone.layout.n_think, 1)
        inputs = torch.cat([inputs, copied], dim=1)
        positions = torch.cat([positions, copy_positions(packed, backbone.layout)], dim=2)
        copies = copies_mask(packed, backbone.layout)
    run = _twice if backbone.layout.extraction == "two_pass" else _once
    return run(backbone, packed, inputs, positions, main, copies, keep, cached if keep.continuation else None)


def _once(
    backbone: Backbone,
    packed: Packed,
    inputs: Tensor,
    positions: Tensor,
    main: Any,
    copies: Any,
    keep: Keep,
    cached: slice | None,
) -> Passed:
    capture = Capture(
        n_main=packed.embed.stop,
        rows=slice(packed.think.start, packed.embed.stop),
        main=main,
        copies=copies,
        cache=cached,
        attention=keep.attention,
    )
    layers = backbone.family.layers(backbone.model) if keep.latents else []
    with tapped(layers, packed.think) as tap:
        hidden = backbone.run(inputs, positions, capture, think=packed.think, embed=slice(packed.embed.start, None))
    return Passed(
        packed=packed,
        attention=tuple(capture.attention),
        states=tuple(tap.states),
        think=hidden[:, packed.think],
        embed=hidden[:, packed.embed],
        copies=hidden[:, packed.embed.stop :],
        keys=tuple(capture.keys),
        values=tuple(capture.values),
    )


def _twice(
    backbone: Backbone,
    packed: Packed,
    inputs: Tensor,
    positions: Tensor,
    main: Any,
    copies: Any,
    keep: Keep,
    cached: slice | None,
) -> Passed:
    """Think rows are of the first pass, the embed row and the copies of the second."""
    think, n_think, n = packed.think, packed.think.stop - packed.think.start, packed.embed.stop
    first = Capture(
        n_main=think.stop,
        rows=think,
        main=None if main is None else main[:, :, : think.stop, : think.stop],
        copies=None,
        cache=slice(0, think.stop),
        attention=keep.attention,
    )
    layers = backbone.family.layers(backbone.model) if keep.latents else []
    with tapped(layers, think) as tap:
        hidden = backbone.run(inputs[:, : think.stop], positions[:, :, : think.stop], first)
    thoughts = hidden[:, think]
    second = Capture(
        n_main=n,
        rows=slice(think.start, n),
        main=main,
        copies=copies,
        cache=None,
        attention=keep.attention,
        past=think.start,
    )
    held = Held()
    held.keys, held.values = first.keys, first.values
    given = torch.cat([thoughts, inputs[:, think.stop :]], dim=1)
    found = backbone.run(given, positions[:, :, think.start :], second, Behind(held, think.start))
    pad = (0, n - think.stop)
    return Passed(
        packed=packed,
        attention=tuple(
            torch.cat([torch.nn.functional.pad(early, pad), late[:, :, n_think:]], dim=2)
            for early, late in zip(first.attention, second.attention, strict=True)
        ),
        states=tuple(tap.states),
        think=thoughts,
        embed=found[:, n_think : n - think.start],
        copies=found[:, n - think.start :],
        keys=() if cached is None else tuple(keys[:, :, cached] for keys in first.keys),
        values=() if cached is None else tuple(values[:, :, cached] for values in first.values),
    )
