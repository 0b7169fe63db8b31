"""Explicit reasoning: many samples write at once, with a cache of keys and values, and embed behind what they wrote.

One pass reads query and start token, one each written token, and one end token and embed tokens of all rows together.
Nothing is computed twice, and rows that are done do not wait in the batch.
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
from workbench.models.sequence import behind, pack, visibility

_USUAL = 64
"""Columns that are kept ready for a text of which nothing is known."""


@dataclass(slots=True, kw_only=True)
class _Row:
    """One sample on its way."""

    ids: list[int]
    scores: list[float]
    ended: bool = False
    left: Continuation | None = None
    """What it goes on from to embed, when it ended before others."""


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
    tail = 1 + len(backbone.ids.embed)
    begun, position, state = read_queries(backbone, prefixes)
    columns = Columns(begun, room=(min_tokens or min(max_tokens, _USUAL)) + tail)
    del begun
    head, table = backbone.family.head(backbone.model), backbone.family.token_embedding(backbone.model)
    draw = torch.Generator(device="cpu").manual_seed(seed)
    rows = [_Row(ids=[], scores=[]) for _ in prefixes]
    alive = list(rows)
    while True:
        readings = head(state)
        if len(alive[0].ids) < min_tokens:
            # Texts that may not end yet are all of one length.
            readings[:, backbone.ids.end] = float("-inf")
        chosen = choose(readings.float() if temperature else readings, temperature, draw)
        taken: Sequence[float] = ()
        if scored:
            taken = readings.float().log_softmax(-1).gather(1, chosen[:, None])[:, 0].tolist()
        going = [
            place
            for place, identity in enumerate(chosen.tolist())
            if _goes_on(alive[place], identity, taken[place : place + 1], backbone.ids.end, max_tokens)
        ]
        if not going:
            break
        if len(going) < len(alive):
            for place in set(range(len(alive))) - set(going):
                alive[place].left = columns.leave(place, int(position[place]))
            order = columns.keep(going)
            position, chosen, alive = position[order], chosen[order], [alive[place] for place in order]
        places = position[None, :, None].expand(3, -1, 1)
        state = backbone.run(table(chosen[:, None]), places, columns.begin(), past=columns)[:, -1]
        position = position + 1
    if len(alive) < len(rows):
        for place, row in enumerate(alive):
            row.left = columns.leave(place, int(position[place]))
        left = [row.left for row in rows if row.left is not None]
        del columns  # before its rows are laid out once more
        columns = Columns(left, room=tail)
        position = torch.tensor([part.position for part in left], device=backbone.device)
        del left
        for row in rows:
            row.left = None
    written = [Written(ids=tuple(r.ids), log_probabilities=tuple(r.scores), ended=r.ended) for r in rows]
    return written, embed_behind(backbone, columns, position)


def read_queries(
    backbone: Backbone, prefixes: Sequence[Prefix]
) -> tuple[list[Continuation], Int[Tensor, " batch"], Float[Tensor, "batch width"]]:
    """Keys and values of prefixes and start token, each row's next position, and the state that its first word is read from."""
    begun = [behind(prefix, torch.tensor([backbone.ids.start])) for prefix in prefixes]
    parts: list[Continuation] = []
    states: list[Tensor] = []
    for together in runs(begun, [len(prefix.ids) for prefix in begun], backbone.device):
        packed = pack(together, backbone.ids).to(backbone.device)
        n = packed.think.start
        padded = bool((packed.segments[:, 0] < 0).any())
        mask = visibility(packed, backbone.layout, "query_and_latents")[:, :, :n, :n] if padded else None
        capture = Capture(n_main=n, rows=slice(n - 1, n), main=mask, copies=None, cache=slice(0, n), attention=False)
        hidden = backbone.run(backbone.inputs(packed)[:, :n], packed.positions[:, :, :n], capture)
        states.append(hidden[:, -1])
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
    position = torch.tensor([part.position for part in parts], device=backbone.device)
    return parts, position, torch.cat(states)


def _goes_on(row: _Row, chosen: int, score: Sequence[float], end: int, max_tokens: int) -> bool:
    """Take the next token into the row's text; False when the text is done without it."""
    row.ended = chosen == end
    if row.ended or len(row.ids) >= max_tokens:
        return False
    row.ids.append(chosen)
    row.scores.extend(score)
    return True


def embed_behind(backbone: Backbone, columns: Columns, position: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
    """End token and embed tokens behind what every row holds."""
    ids = torch.tensor([backbone.ids.end, *backbone.ids.embed], device=backbone.device)
    table = backbone.family.token_embedding(backbone.model)
    places = position[None, :, None] + torch.arange(len(ids), device=backbone.device)
    inputs = table(ids).expand(len(position), -1, -1)
    hidden = backbone.run(inputs, places.expand(3, -1, -1), columns.begin(len(ids)), past=columns)
    return backbone.pool(hidden[:, 1:])
