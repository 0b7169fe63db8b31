"""A copy of a model with some weights drawn anew, for sanity checks of maps (Adebayo et al., arXiv 1810.03292).

Only the drawn weights are copied: everything else is shared with the model that was loaded, which is never written to.
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from workbench.embedder import EmbedderInfo
from workbench.errors import UnknownName
from workbench.models.backbone import Backbone

Module = TypeVar("Module", bound=torch.nn.Module)
_BESIDE = 999_983
"""The stream of what is no part of the backbone; its parts are counted from 0."""
_HEAD, _WORDS, _VISION = "head", "word embeddings", "vision tower"


def part_names(backbone: Backbone) -> tuple[str, ...]:
    """From the output down: final norm and head, decoder layers last to first, word embeddings, vision tower."""
    return tuple(_parts(backbone))


def draw_anew(backbone: Backbone, parts: Sequence[str], seed: int) -> Backbone:
    """A copy whose named parts have random weights; all other weights are the original's own tensors.

    A tensor is drawn from a normal distribution with its own mean and spread, so that activations keep their scale and what
    is lost is what was learned. A head that is tied to the word embeddings belongs to them. Raises UnknownName for a part
    that there is not.
    """
    known = _parts(backbone)
    for part in parts:
        if part not in known:
            raise UnknownName("part of the model", part, known)
    drawn: dict[int, torch.nn.Parameter] = {}
    for number, part in enumerate(known):
        if part in parts:
            drawn |= _redrawn(known[part], seed, number)
    return replace(backbone, model=_copy(backbone.model, drawn))


def draw_module_anew(module: Module, seed: int) -> Module:
    """A copy of something beside the backbone, a latent decoder, with all of its weights drawn likewise."""
    return _copy(module, _redrawn(list(module.parameters()), seed, _BESIDE))


def _redrawn(weights: Sequence[torch.nn.Parameter], seed: int, number: int) -> dict[int, torch.nn.Parameter]:
    # One stream for each part, so that a part is the same whatever is drawn beside it.
    stream = torch.Generator().manual_seed(seed * 1_000_003 + number)
    return {id(one): _redraw(one, stream) for one in weights}


def _copy(module: Module, drawn: dict[int, torch.nn.Parameter]) -> Module:
    shared = {id(one): one for one in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, {**shared, **drawn})


def rename(info: EmbedderInfo, parts: Sequence[str], seed: int) -> EmbedderInfo:
    """Facts of the copy: no cache may take it for the original."""
    said = f"{info.name} with random {', '.join(parts)} (seed {seed})"
    origin = info.provenance

    def mark(digest: str) -> str:
        return hashlib.sha256(f"{digest} {said}".encode()).hexdigest()

    provenance = replace(
        origin,
        checkpoint=said,
        weights_sha256=mark(origin.weights_sha256),
        checkpoint_sha256=mark(origin.checkpoint_sha256),
        seed=seed,
    )
    return replace(info, name=said, provenance=provenance)


def _parts(backbone: Backbone) -> dict[str, list[torch.nn.Parameter]]:
    family, model = backbone.family, backbone.model
    words = list(family.token_embedding(model).parameters())
    tied = {id(weights) for weights in words}
    head = [*family.final_norm(model).parameters(), *family.head(model).parameters()]
    layers = list(family.layers(model))
    return {
        _HEAD: [weights for weights in head if id(weights) not in tied],
        **{f"layer {n}": list(layers[n - 1].parameters()) for n in range(len(layers), 0, -1)},
        _WORDS: words,
        _VISION: family.vision_parameters(model),
    }


def _redraw(weights: torch.nn.Parameter, stream: torch.Generator) -> torch.nn.Parameter:
    values = weights.detach().float()
    noise = torch.randn(values.shape, generator=stream).to(values.device)
    drawn = values.mean() + values.std(correction=0) * noise
    return torch.nn.Parameter(drawn.to(weights.dtype), requires_grad=weights.requires_grad)
