"""Writing text from thoughts, many at once: greedy or sampled generation, and teacher-forced scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.models.backbone import Backbone
from workbench.models.columns import Columns
from workbench.models.continuation import Continuation, join


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Token ids of one decoded text without start and end, their log-probabilities, and whether the end was reached."""

    ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    ended: bool


@torch.inference_mode()
def write(
    backbone: Backbone, batch: Sequence[Continuation], *, max_tokens: int, temperature: float, seed: int
) -> list[Written]:
    """Decode all continuations together; rows that reach the end token leave the batch."""
    columns, device = Columns(batch), backbone.device
    position = torch.tensor([part.position for part in batch], device=device)
    draw = torch.Generator(device="cpu").manual_seed(seed)
    ids: list[list[int]] = [[] for _ in batch]
    scores: list[list[float]] = [[] for _ in batch]
    ended = [False] * len(batch)
    alive = list(range(len(batch)))
    token = torch.full((len(batch), 1), backbone.ids.start, device=device)
    head, embedding = backbone.family.head(backbone.model), backbone.family.token_embedding(backbone.model)
    for _ in range(max_tokens + 1):
        places = position[None, :, None].expand(3, -1, 1)
        hidden = backbone.speak(embedding(token), places, columns.begin(), columns)
        readings = head(hidden[:, -1]).float().log_softmax(-1)
        chosen = choose(readings, temperature, draw)
        taken = readings.gather(1, chosen[:, None])[:, 0].tolist()
        going = []
        for place, (row, identity) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            if identity == backbone.ids.end:
                ended[row] = True
            elif len(ids[row]) < max_tokens:
                ids[row].append(identity)
                scores[row].append(taken[place])
                going.append(place)
        if not going:
            break
        if len(going) < len(alive):
            order = columns.keep(going)
            position, chosen = position[order], chosen[order]
            alive = [alive[place] for place in order]
        token = chosen[:, None]
        position = position + 1
    return [
        Written(ids=tuple(i), log_probabilities=tuple(s), ended=e) for i, s, e in zip(ids, scores, ended, strict=True)
    ]


def choose(readings: Float[Tensor, "batch vocab"], temperature: float, draw: torch.Generator) -> Tensor:
    """The next token of each row: the likeliest at temperature 0, else drawn."""
    if temperature == 0.0:
        return readings.argmax(-1)
    shares = (readings / temperature).softmax(-1).cpu()
    return torch.multinomial(shares, 1, generator=draw)[:, 0].to(readings.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Of each token of a text, the end token last: its log-probability (nats), and whether it is the likeliest there."""

    log_probabilities: tuple[float, ...]
    likeliest: tuple[bool, ...]


def read_off(
    readings: Float[Tensor, "batch tokens vocab"], wanted: Int[Tensor, "batch tokens"], lengths: Sequence[int]
) -> list[Scored]:
    """Scores of wanted tokens under readings (unnormalised), the first `lengths[i]` of each row."""
    logs = readings.float().log_softmax(-1)
    taken = logs.gather(2, wanted[..., None])[..., 0].tolist()
    first = (logs.argmax(-1) == wanted).tolist()
    return [
        Scored(log_probabilities=tuple(values[:n]), likeliest=tuple(is_first[:n]))
        for values, is_first, n in zip(taken, first, lengths, strict=True)
    ]


@torch.inference_mode()
def score(backbone: Backbone, batch: Sequence[Continuation], texts: Sequence[Sequence[int]]) -> list[Scored]:
    """How likely each text is after each continuation."""
    cache, real, position = join(batch)
    device = backbone.device
    longest = max(len(text) for text in texts) + 1
    given = torch.full((len(texts), longest), backbone.ids.pad, device=device)
    wanted = given.clone()
    for row, text in enumerate(texts):
        line = torch.tensor([backbone.ids.start, *text], device=device)
        given[row, : len(line)] = line
        wanted[row, : len(line)] = torch.tensor([*text, backbone.ids.end], device=device)
    causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
    mask = torch.cat([real[:, None, :].expand(-1, longest, -1), causal.expand(len(texts), -1, -1)], dim=2)[:, None]
    positions = position[:, None] + torch.arange(longest, device=device)
    embedding = backbone.family.token_embedding(backbone.model)
    hidden = backbone.speak(embedding(given), positions.expand(3, -1, -1), mask, cache)
    return read_off(backbone.family.head(backbone.model)(hidden), wanted, [len(text) + 1 for text in texts])
