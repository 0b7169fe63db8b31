"""Explicit reasoning: many samples write at once, with a cache of keys and values, and embed behind what they wrote.

The end token and the embed tokens are fed to the same cache as soon as a row's text ends, while other rows still write, so
that nothing is computed twice and no row waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.models.backbone import Backbone
from workbench.models.capture import Capture
from workbench.models.columns import Columns
from workbench.models.continuation import Continuation
from workbench.models.decoding import Written, choose
from workbench.models.registries import Prefix
from workbench.models.runs import runs
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
    backbone: Backbone,
    prefixes: Sequence[Prefix],
    *,
    max_tokens: int,
    min_tokens: int = 0,
    temperature: float = 0.0,
    seed: int = 0,
    scored: bool = True,
) -> tuple[list[Written], Float[Tensor, "n dim"]]:
    """What each sample writes, of at most `max_tokens` tokens, and its embedding.

    No text ends before `min_tokens`. Without `scored` the log-probabilities are left out, which nobody needs who wants the
    embedding alone.
    """
    columns, position = _read(backbone, prefixes)
    tail = (backbone.ids.end, *backbone.ids.embed)
    head, table = backbone.family.head(backbone.model), backbone.family.token_embedding(backbone.model)
    draw = torch.Generator(device="cpu").manual_seed(seed)
    rows = [_Row(number=n, ids=[], scores=[], states=[]) for n in range(len(prefixes))]
    alive = rows
    token = torch.full((len(rows), 1), backbone.ids.start, device=backbone.device)
    while True:
        places = position[None, :, None].expand(3, -1, 1)
        hidden = backbone.run(table(token), places, columns.begin(), past=columns)[:, -1]
        readings = head(hidden)
        if len(alive[0].ids) < min_tokens and alive[0].tail < 0:
            # Texts that may not end yet are all of one length.
            readings[:, backbone.ids.end] = float("-inf")
        chosen = choose(readings.float() if temperature else readings, temperature, draw)
        taken: Sequence[float] = ()
        if scored:
            taken = readings.float().log_softmax(-1).gather(1, chosen[:, None])[:, 0].tolist()
        following = [
            _follow(row, identity, taken[place : place + 1], hidden[place], backbone, max_tokens, tail)
            for place, (row, identity) in enumerate(zip(alive, chosen.tolist(), strict=True))
        ]
        going = [place for place, identity in enumerate(following) if identity is not None]
        if not going:
            break
        order = going
        if len(going) < len(alive):
            order = columns.keep(going)
            position, alive = position[order], [alive[place] for place in order]
        token = torch.tensor([[following[place]] for place in order], device=backbone.device)
        position = position + 1
    written = [Written(ids=tuple(r.ids), log_probabilities=tuple(r.scores), ended=r.ended) for r in rows]
    return written, backbone.pool(torch.stack([torch.stack(row.states) for row in rows]))


def _read(backbone: Backbone, prefixes: Sequence[Prefix]) -> tuple[Columns, Int[Tensor, " batch"]]:
    """The prefixes' keys and values, and each row's next position."""
    parts: list[Continuation] = []
    for together in runs(prefixes, [len(prefix.ids) for prefix in prefixes], backbone.device):
        packed = pack(together, backbone.ids).to(backbone.device)
        n = packed.think.start
        padded = bool((packed.segments[:, 0] < 0).any())
        mask = visibility(packed, backbone.layout, "query_and_latents")[:, :, :n, :n] if padded else None
        # Nothing is read of the prefix but its keys and values: the next token is fed to them.
        capture = Capture(n_main=n, rows=slice(n - 1, n), main=mask, copies=None, cache=slice(0, n), attention=False)
        backbone.run(backbone.inputs(packed)[:, :n], packed.positions[:, :, :n], capture)
        parts += [
            Continuation(
                keys=tuple(keys[row, :, n - len(prefix.ids) :] for keys in capture.keys),
                values=tuple(values[row, :, n - len(prefix.ids) :] for values in capture.values),
                n_query=len(prefix.ids),
                n_think=0,
                position=int(packed.positions[0, row, n]),
            )
            for row, prefix in enumerate(together)
        ]
    return Columns(parts), torch.tensor([part.position for part in parts], device=backbone.device)


def _follow(
    row: _Row,
    chosen: int,
    score: Sequence[float],
    state: Tensor,
    backbone: Backbone,
    max_tokens: int,
    tail: tuple[int, ...],
) -> int | None:
    """The token to feed to the row next, from what its last one gave; None when the row is done."""
    if row.tail < 0:
        row.ended = chosen == backbone.ids.end
        if not row.ended and len(row.ids) < max_tokens:
            row.ids.append(chosen)
            row.scores.extend(score)
            return chosen
    elif row.tail > 0:
        row.states.append(state)
    row.tail += 1
    return tail[row.tail] if row.tail < len(tail) else None
