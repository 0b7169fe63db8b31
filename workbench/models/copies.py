"""Further copies of the embed tokens: one pass yields the embedding, its K truncations and its K knock-outs."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.models.layout import Layout
from workbench.models.sequence import EMBED, THINK, Packed, seen_from


def visible_thoughts(n_think: int) -> Bool[Tensor, "groups think"]:
    """For each copy, the thoughts it may see: the first 0 ... K-1 (stepwise), then all but one each (knock-out)."""
    steps = torch.arange(n_think)
    stepwise = steps[None, :] < steps[:, None]
    knockout = ~torch.eye(n_think, dtype=torch.bool)
    return torch.cat([stepwise, knockout])


def copies_mask(packed: Packed, layout: Layout) -> Bool[Tensor, "batch 1 copies all"]:
    """What each token of each copy may attend to. Columns: the sequence proper, then the copies."""
    main = packed.segments[:, : packed.embed.stop]
    device = main.device
    batch, n_main = main.shape
    groups = visible_thoughts(layout.n_think).to(device)
    n_embed = layout.n_embed
    embed = slice(packed.embed.start, packed.embed.start + 1)
    base = seen_from(packed, layout, "latents_only", embed)[:, 0, : packed.embed.stop] & (main != EMBED)
    number = (torch.arange(n_main, device=device) - packed.think.start).clamp(0, layout.n_think - 1)
    chosen = groups[:, number]
    seen = base[:, None, :] & (chosen[None] | (main != THINK)[:, None, :])
    seen = seen.repeat_interleave(n_embed, dim=1)
    copies = len(groups) * n_embed
    own = torch.zeros(copies, copies, dtype=torch.bool, device=device)
    for group in range(len(groups)):
        block = slice(group * n_embed, (group + 1) * n_embed)
        own[block, block] = torch.ones(n_embed, n_embed, dtype=torch.bool, device=device).tril()
    return torch.cat([seen, own.expand(batch, -1, -1)], dim=2)[:, None]


def copy_positions(packed: Packed, layout: Layout) -> Int[Tensor, "3 batch copies"]:
    """Positions of the copies: those of the embed tokens themselves, again and again."""
    return packed.positions[:, :, packed.embed].repeat(1, 1, 2 * layout.n_think)


def split_copies(
    hidden: Float[Tensor, "batch copies width"], layout: Layout
) -> Float[Tensor, "batch groups embed width"]:
    """The copies' final states by group: K truncations, then K knock-outs."""
    return hidden.unflatten(1, (2 * layout.n_think, layout.n_embed))
