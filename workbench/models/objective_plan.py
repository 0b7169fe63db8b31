"""The one sequence that serves all targets of a sample: query, thoughts, embed tokens, and what reads them besides."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from workbench.models.backbone import Backbone
from workbench.models.sequence import Packed, pack, visibility
from workbench.targets import Target, ThinkEffect, WordTarget
from workbench.types import Context, Encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The one sequence that holds what all targets need. Batch size 1."""

    packed: Packed
    ids: Int[Tensor, "1 seq"]
    positions: Int[Tensor, "3 1 seq"]
    mask: Bool[Tensor, "1 1 seq seq"]
    text: slice
    """Columns from which the words of the thought are read, the start token's first; empty where the backbone reads none."""
    hidden_thought: dict[int, slice]
    """For each thought that is hidden from a copy, the copy's columns."""
    branches: dict[tuple[int, tuple[int, ...]], slice]
    """For each (start, alternative), the columns of all but the alternative's last token."""


def make_plan(
    backbone: Backbone, encoded: Encoded, targets: Sequence[Target], context: Context, written: slice | None = None
) -> Plan:
    """Lay out the sequence that serves all targets. Word targets must be of one text.

    `written`: where the text stands already, start token first, for a model that writes before it embeds.
    """
    device = backbone.device
    texts = {target.tokens for target in targets if isinstance(target, WordTarget)}
    if len(texts) > 1:
        raise ValueError("the word targets of one objective must share their text")
    longest = max((target.stop for target in targets if isinstance(target, WordTarget)), default=0)
    behind = bool(texts) and written is None
    text = [torch.tensor(next(iter(texts))[: longest - 1], dtype=torch.long)] if behind else None
    packed = pack([encoded.inputs["prefix"]], backbone.ids, text).to(device)
    at = packed.text if written is None else written
    mask = visibility(packed, backbone.layout, context)[0, 0]
    ids, positions = [packed.ids], [packed.positions]
    hidden_thought: dict[int, slice] = {}
    branches: dict[tuple[int, tuple[int, ...]], slice] = {}
    embed = packed.embed
    for target in targets:
        if isinstance(target, ThinkEffect) and target.think not in hidden_thought:
            seen = mask[embed.start].clone()
            seen[[packed.think.start + target.think, embed.start]] = False
            hidden_thought[target.think], mask = _extend(mask, seen, embed.stop - embed.start)
            ids.append(packed.ids[:, embed])
            positions.append(packed.positions[:, :, embed])
        elif isinstance(target, WordTarget) and (target.start, target.alternative) not in branches:
            given = target.alternative[:-1]
            branches[target.start, target.alternative], mask = _extend(mask, mask[at.start + target.start], len(given))
            ids.append(torch.tensor([given], dtype=torch.long, device=device).reshape(1, -1))
            first = packed.positions[:, :, at.start + target.start, None] + 1
            positions.append(first + torch.arange(len(given), device=device))
    return Plan(
        packed=packed,
        ids=torch.cat(ids, dim=1),
        positions=torch.cat(positions, dim=2),
        mask=mask[None, None],
        text=at,
        hidden_thought=hidden_thought,
        branches=branches,
    )


def _extend(
    mask: Bool[Tensor, "seq seq"], seen: Bool[Tensor, " seq"], n: int
) -> tuple[slice, Bool[Tensor, "longer longer"]]:
    """Add n columns that see `seen` and, causally, each other; nothing else sees them."""
    size = len(mask)
    grown = mask.new_zeros(size + n, size + n)
    grown[:size, :size] = mask
    grown[size:, :size] = torch.nn.functional.pad(seen, (0, size - len(seen)))
    grown[size:, size:] = mask.new_ones(n, n).tril()
    return slice(size, size + n), grown
