"""Many edits of the thoughts in one pass: each is a copy of think and embed tokens, at their own positions, behind the query.

Copies see the query and themselves, under a mask of their own, and nothing attends to them, so each equals a pass of its
own; the query is computed once for all of them. States are put in by hooks (`capture.replacing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench.edits import Edit
from workbench.models.backbone import Backbone
from workbench.models.capture import Capture, replacing, tapped
from workbench.models.sequence import QUERY, Packed, visibility
from workbench.types import Encoded

_TOGETHER = 64
"""Copied columns that attend in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What a pass under edits leaves."""

    packed: Packed
    hidden: Float[Tensor, "batch edits tail width"]
    """Final states, normed, of each copy's think and embed tokens."""
    states: tuple[Float[Tensor, "batch edits think width"], ...]
    """After each layer; empty where not asked for."""
    keys: tuple[Tensor, ...]
    """Of each layer, from the first kept column on: query (where kept), think, embed, then copy by copy."""
    values: tuple[Tensor, ...]


def run_edits(
    backbone: Backbone,
    packed: Packed,
    batch: Sequence[Encoded],
    edits: Sequence[Sequence[Edit]],
    *,
    first: int | None,
    latents: bool,
) -> Edited:
    """One pass with all edits of a batch.

    Args:
        backbone: the model.
        packed: the batch.
        batch: its samples.
        edits: equally many for each sample.
        first: column from which on keys and values are kept; None for none.
        latents: whether states after each layer are kept.
    """
    n_main, n_edits = packed.embed.stop, len(edits[0])
    tail = slice(packed.think.start, packed.embed.stop)
    n_tail, n_think = tail.stop - tail.start, backbone.layout.n_think
    main = backbone.inputs(packed)
    inputs = torch.cat([main, main[:, tail].repeat(1, n_edits, 1)], dim=1)
    positions = torch.cat([packed.positions, packed.positions[:, :, tail].repeat(1, 1, n_edits)], dim=2)
    block = max(1, _TOGETHER // n_tail)
    sight = visibility(packed, backbone.layout, "latents_only")
    capture = Capture(
        n_main=n_main,
        rows=tail,
        main=sight,
        copies=_blocks(_masks(backbone, packed, batch, edits, sight[:, 0, tail]), n_main, block),
        cache=None if first is None else slice(first, None),
        attention=False,
        block=min(block, n_edits) * n_tail,
    )
    puts = _Puts(edits, main.device)

    def change(step: int, states: Tensor) -> None:
        copies = states[:, n_main:].unflatten(1, (n_edits, n_tail))[:, :, :n_think]
        puts.put_(step, copies)

    change(0, inputs)
    layers = backbone.family.layers(backbone.model)
    with (
        replacing(layers, lambda number, states: change(number + 1, states)),
        tapped(layers if latents else [], slice(n_main, None)) as tap,
    ):
        hidden = backbone.run(inputs, positions, capture)
    return Edited(
        packed=packed,
        hidden=hidden[:, n_main:].unflatten(1, (n_edits, n_tail)),
        states=tuple(states.unflatten(1, (n_edits, n_tail))[:, :, :n_think] for states in tap.states),
        # Taking columns out of a tensor that is not contiguous would copy all of it, for every edit anew.
        keys=tuple(keys.contiguous() for keys in capture.keys),
        values=tuple(values.contiguous() for values in capture.values),
    )


class _Puts:
    """States that are put in, step by step, for all edits of a batch."""

    def __init__(self, edits: Sequence[Sequence[Edit]], device: torch.device) -> None:
        self._device = device
        self._found = [
            (row, place, edit)
            for row, some in enumerate(edits)
            for place, edit in enumerate(some)
            if edit.states is not None
        ]

    def put_(self, step: int, copies: Float[Tensor, "batch edits think width"]) -> None:
        """Overwrite what the edits replace at this step."""
        rows, places, thoughts, states = [], [], [], []
        for row, place, edit in self._found:
            assert edit.states is not None
            assert edit.replaced is not None
            at = np.flatnonzero(edit.replaced[step])
            rows += [row] * len(at)
            places += [place] * len(at)
            thoughts += at.tolist()
            states.append(edit.states[step, at])
        if rows:
            given = torch.from_numpy(np.concatenate(states)).to(self._device, copies.dtype)
            copies[rows, places, thoughts] = given


def _masks(
    backbone: Backbone,
    packed: Packed,
    batch: Sequence[Encoded],
    edits: Sequence[Sequence[Edit]],
    own: Bool[Tensor, "batch tail main"],
) -> Bool[Tensor, "batch edits tail main"]:
    """What each copy would attend to if it stood in the place of the think and embed tokens themselves."""
    n_edits, n_think, begin = len(edits[0]), backbone.layout.n_think, packed.think.start
    mask = own[:, None].repeat(1, n_edits, 1, 1)
    rows = {"think": slice(0, n_think), "embed": slice(n_think, None)}
    image = packed.image[:, :begin]
    columns = {"image": image, "text": (packed.segments[:, :begin] == QUERY) & ~image}
    for row, some in enumerate(edits):
        start = begin - batch[row].think.start
        for place, edit in enumerate(some):
            one = mask[row, place]
            for reader, read in edit.blocked:
                if read == "think":
                    one[rows[reader], packed.think] = False
                else:
                    one[rows[reader], :begin] &= ~columns[read][row]
            one[n_think:, [begin + k for k in edit.hidden]] = False
            one[n_think:, [start + at for at in edit.positions]] = False
    # Whatever is cut, a position sees itself.
    mask[..., begin:] |= torch.eye(mask.shape[2], dtype=torch.bool, device=mask.device)
    return mask


def _blocks(
    mask: Bool[Tensor, "batch edits tail main"], n_main: int, block: int
) -> Bool[Tensor, "batch 1 copies columns"]:
    """The masks as rows over the sequence proper, of which copies see the query alone, and the copies of their own block."""
    batch, n_edits, n_tail, _ = mask.shape
    size = min(block, n_edits)
    begin = n_main - n_tail
    wide = torch.zeros(batch, n_edits, n_tail, n_main + size * n_tail, dtype=torch.bool, device=mask.device)
    wide[..., :begin] = mask[..., :begin]
    for place in range(n_edits):
        at = n_main + place % size * n_tail
        wide[:, place, :, at : at + n_tail] = mask[:, place, :, begin:]
    return wide.flatten(1, 2)[:, None]
