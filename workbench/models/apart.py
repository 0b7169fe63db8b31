"""Think tokens first; then, each going on from their keys and values, the text and the embed tokens.

For layouts that keep think and embed tokens apart (`Layout.is_parted`). What a mask shows of a sequence is the same as in one
pass over all of it, and so are the numbers; but here the embed tokens can be given thoughts without a gradient, thoughts of a
pass before, or a text that is read at a middle layer.
"""

from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench.models.backbone import Backbone
from workbench.models.capture import tapped
from workbench.models.sequence import Packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Final states, normed."""

    think: Float[Tensor, "batch think width"]
    """Where the text is read from: behind the exit layer, if the layout has one."""
    embed: Float[Tensor, "batch embed width"]
    text: Float[Tensor, "batch text width"]
    """As the generation head reads it; no columns without a text, or where none was asked for."""


@final
class Held:
    """What transformers takes for a cache, as far as its layers use one: each layer's keys and values, kept as they come."""

    def __init__(self) -> None:
        self.keys: list[Float[Tensor, "batch groups columns head_width"]] = []
        self.values: list[Float[Tensor, "batch groups columns head_width"]] = []

    def update(self, keys: Tensor, values: Tensor, _layer: int, /) -> tuple[Tensor, Tensor]:
        """Keep a layer's, first to last."""
        self.keys.append(keys)
        self.values.append(values)
        return keys, values


@final
class Behind:
    """The same, for columns that stand behind those that are held: they see them, and are not kept.

    Args:
        held: of an earlier pass; columns from the first to `stop` are shown.
        stop: where what is shown ends.
        without_gradient: columns, of those that are held and then one's own, that are shown as they are, whatever they were made
            from.
    """

    def __init__(self, held: Held, stop: int, *, without_gradient: slice = slice(0)) -> None:
        self._held = held
        self._stop = stop
        self._fixed = without_gradient

    def update(self, keys: Tensor, values: Tensor, layer: int, /) -> tuple[Tensor, Tensor]:
        """A layer's keys and values with those that are shown before them."""
        return self._joined(self._held.keys[layer], keys), self._joined(self._held.values[layer], values)

    def _joined(self, before: Tensor, own: Tensor) -> Tensor:
        joined = torch.cat([before[:, :, : self._stop], own], dim=2)
        begin, end, _ = self._fixed.indices(joined.shape[2])
        if end <= begin:
            return joined
        fixed = joined[:, :, begin:end].detach()
        return torch.cat([joined[:, :, :begin], fixed, joined[:, :, end:]], dim=2)


def run_apart(
    backbone: Backbone,
    packed: Packed,
    inputs: Float[Tensor, "batch seq width"],
    mask: Bool[Tensor, "batch 1 seq seq"],
    *,
    fixed_thoughts: bool = False,
    told: bool = True,
) -> Apart:
    """Think, then write and embed.

    Args:
        backbone: model and layout.
        packed: the batch, with a text behind the embed tokens or without.
        inputs: its input embeddings.
        mask: who sees whom, as for one pass over the whole sequence.
        fixed_thoughts: nothing that is made from the embed tokens has a gradient at a think token, of either pass.
        told: whether the text is run at all.
    """
    layout, n = backbone.layout, packed.think.stop
    held, positions = Held(), packed.positions
    exit_layers = backbone.family.layers(backbone.model)[layout.exit_layer - 1 : layout.exit_layer]
    with tapped(exit_layers if layout.exit_layer else [], packed.think, gradient=True) as tap:
        first = backbone.run(inputs[:, :n], positions[:, :, :n], mask[:, :, :n, :n], held, think=packed.think)
    think = final = first[:, packed.think]
    if layout.exit_layer:
        think = backbone.family.final_norm(backbone.model)(tap.states[0])
    text = first[:, :0]
    if told and packed.text.stop > packed.text.start:
        seen = mask[:, :, packed.text]
        seen = torch.cat([seen[..., :n], seen[..., packed.text]], dim=-1)
        text = backbone.speak(inputs[:, packed.text], positions[:, :, packed.text], seen, Behind(held, n))
    embed = _embed(backbone, packed, inputs, mask, held, final.detach() if fixed_thoughts else final, fixed_thoughts)
    return Apart(think=think, embed=embed, text=text)


def _embed(
    backbone: Backbone, packed: Packed, inputs: Tensor, mask: Tensor, held: Held, thoughts: Tensor, fixed: bool
) -> Float[Tensor, "batch embed width"]:
    begin, given, n_own = packed.embed.start, inputs[:, packed.embed], 0
    if backbone.layout.extraction == "two_pass":
        # The thoughts of the first pass take the think tokens' places in the second, which sees the query's cache alone.
        begin, n_own = packed.think.start, packed.think.stop - packed.think.start
        given = torch.cat([thoughts.to(inputs.dtype), given], dim=1)
    rows = slice(begin, packed.embed.stop)
    # Think tokens stand at the same columns, whether they are held from the first pass or run in this one.
    past: Any = Behind(held, begin, without_gradient=packed.think if fixed else slice(0))
    seen = mask[:, :, rows, : rows.stop]
    return backbone.run(
        given, packed.positions[:, :, rows], seen, past, think=slice(0, n_own), embed=slice(n_own, None)
    )[:, n_own:]
