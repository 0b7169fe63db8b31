"""Explicit reasoning: many samples write at once, with a cache of keys and values, and embed behind what they wrote.

The end token and the embed tokens are fed to the same cache as soon as a row's text ends, while other rows still write, so
that nothing is computed twice and no row waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from workbench.models.backbone import Backbone
from workbench.models.decoding import Written, choose
from workbench.models.registries import Prefix
from workbench.models.sequence import pack, visibility


@dataclass(slots=True, kw_only=True)
class _Row:
    """One sample on its way."""

    number: int
    ids: list[int]
    scores: list[float]
    ended: bool = False
    tail: int = -1
    """Place in (end token, embed tokens) of the token that is fed now; -1 while the row writes."""
    states: list[Tensor]


@torch.inference_mode()
def write_and_embed(
    backbone: Backbone, prefixes: Sequence[Prefix], *, max_tokens: int, temperature: float = 0.0, seed: int = 0
) -> tuple[list[Written], Float[Tensor, "n dim"]]:
    """What each sample writes, of at most `max_tokens` tokens, and its embedding."""
    cache, real, position = _read(backbone, prefixes)
    tail = (backbone.ids.end, *backbone.ids.embed)
    head, table = backbone.family.head(backbone.model), backbone.family.token_embedding(backbone.model)
    draw = torch.Generator(device="cpu").manual_seed(seed)
    rows = [_Row(number=n, ids=[], scores=[], states=[]) for n in range(len(prefixes))]
    alive = rows
    token = torch.full((len(rows), 1), backbone.ids.start, device=backbone.device)
    while True:
        real = torch.cat([real, real.new_ones(len(real), 1)], dim=1)
        hidden = backbone.run(
            table(token), position[None, :, None].expand(3, -1, 1), real[:, None, None, :], past=cache
        )[:, -1]
        readings = head(hidden).float().log_softmax(-1)
        chosen = choose(readings, temperature, draw)
        taken = readings.gather(1, chosen[:, None])[:, 0].tolist()
        following = [
            _follow(row, identity, score, hidden[place], backbone, max_tokens, tail)
            for place, (row, identity, score) in enumerate(zip(alive, chosen.tolist(), taken, strict=True))
        ]
        going = [place for place, identity in enumerate(following) if identity is not None]
        if not going:
            break
        if len(going) < len(alive):
            kept = torch.tensor(going, device=backbone.device)
            cache.batch_select_indices(kept)
            real, position = real[kept], position[kept]
            alive = [alive[place] for place in going]
        token = torch.tensor([[following[place]] for place in going], device=backbone.device)
        position = position + 1
    written = [Written(ids=tuple(r.ids), log_probabilities=tuple(r.scores), ended=r.ended) for r in rows]
    return written, backbone.pool(torch.stack([torch.stack(row.states) for row in rows]))


def _read(
    backbone: Backbone, prefixes: Sequence[Prefix]
) -> tuple[DynamicCache, Bool[Tensor, "batch seq"], Int[Tensor, " batch"]]:
    """The prefixes' cache, which of its columns are real, and each row's next position."""
    packed = pack(prefixes, backbone.ids).to(backbone.device)
    n = packed.think.start
    mask = visibility(packed, backbone.layout, "query_and_latents")[:, :, :n, :n]
    cache = DynamicCache()
    backbone.run(backbone.inputs(packed)[:, :n], packed.positions[:, :, :n], mask, past=cache)
    return cache, packed.segments[:, :n] >= 0, packed.positions[0, :, n]


def _follow(
    row: _Row, chosen: int, score: float, state: Tensor, backbone: Backbone, max_tokens: int, tail: tuple[int, ...]
) -> int | None:
    """The token to feed to the row next, from what its last one gave; None when the row is done."""
    if row.tail < 0:
        row.ended = chosen == backbone.ids.end
        if not row.ended and len(row.ids) < max_tokens:
            row.ids.append(chosen)
            row.scores.append(score)
            return chosen
    elif row.tail > 0:
        row.states.append(state)
    row.tail += 1
    return tail[row.tail] if row.tail < len(tail) else None
