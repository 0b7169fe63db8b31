"""One sample, opened for attribution: visual features in, target values out, with gradients.

Everything a target needs stands in one sequence, so that all targets of a sample share each forward pass: the query with
its visual tokens, the thoughts, the embed tokens, then the decoded text, copies of the embed tokens from which one thought
is hidden, and a branch for each alternative word. A mask says who sees whom.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, final

import torch
from jaxtyping import Float, Shaped
from PIL import Image, ImageFilter
from torch import Tensor

from workbench.embedder import Filling, Level, Objective
from workbench.images import open_image, refer
from workbench.models.backbone import Backbone
from workbench.models.capture import AttentionTap
from workbench.models.objective_plan import make_plan
from workbench.models.registries import Prefix
from workbench.models.vision_rollout import through_vision
from workbench.models.wording import Wording
from workbench.targets import EmbeddingTarget, Score, Target, ThinkEffect, ThinkState, WordTarget
from workbench.types import Context, Encoded, ImageRef, Sample

BLUR = 12
"""The blurred image's radius is its longer side divided by this: no shape of a fifth of the image survives it."""
TOKENS_AT_ONCE = {"cpu": 2_048}
"""Without gradients, longer batches are run in pieces of this many sequence positions: on a CPU few enough that what passes from
layer to layer stays in a core's cache (a third faster for small models), elsewhere `_TOKENS_AT_ONCE`."""
_TOKENS_AT_ONCE = 16_384


@final
class BackboneObjective(Objective):
    """An objective over a backbone. Stateless between calls; safe to call from several threads if `encode` is."""

    def __init__(
        self,
        backbone: Backbone,
        encoded: Encoded,
        targets: Sequence[Target],
        level: Level,
        context: Context,
        encode: Callable[[Sample], Prefix],
        wording: Wording,
        written: slice | None = None,
    ) -> None:
        self.level = level
        self.targets = tuple(targets)
        self.grids = encoded.grids
        self._backbone = backbone
        self._encoded = encoded
        self._encode = encode
        self._wording = wording
        self._written = written
        planned = [one for one in self.targets if wording.in_sequence or not isinstance(one, WordTarget)]
        self._plan = make_plan(backbone, encoded, planned, context, written)
        self._columns = self._plan.packed.image[0].nonzero()[:, 0]
        self._own = self._see(encoded)
        self.features = self._own
        self.n_layers = len(backbone.family.layers(backbone.model))
        self.length = self._plan.ids.shape[1]
        self._words = [one for one in self.targets if isinstance(one, WordTarget)]
        self._positions = self.length + wording.further(self._plan, self._words)
        self._per_cell = len(self.features) // len(self._columns)
        with torch.no_grad():
            self._base = backbone.family.token_embedding(backbone.model)(self._plan.ids)

    @property
    def columns(self) -> tuple[int, ...]:
        return tuple(self._columns.tolist())

    @property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        plan, embed = self._plan, self._pooled(self._plan.packed.embed)
        found = []
        for target in self.targets:
            match target:
                case EmbeddingTarget():
                    places = embed
                case ThinkEffect():
                    places = (*embed, *self._pooled(plan.hidden_thought[target.think]))
                case ThinkState():
                    places = (plan.packed.think.start + target.think,)
                case WordTarget():
                    places = self._wording.places(plan, target)
            found.append(tuple(places))
        return tuple(found)

    def _pooled(self, embed: slice) -> range:
        return range(embed.stop - 1 if self._backbone.layout.pooling == "last" else embed.start, embed.stop)

    def __call__(self, features: Float[Tensor, "batch units dim"]) -> Float[Tensor, "batch targets"]:
        if features.requires_grad and torch.is_grad_enabled():
            return self._values(features)
        most = TOKENS_AT_ONCE.get(features.device.type, _TOKENS_AT_ONCE)
        size = max(1, most // self._positions)
        with torch.no_grad():
            return torch.cat([self._values(part) for part in features.split(size)])

    def baseline(self, filling: Filling) -> Float[Tensor, "units dim"]:
        if filling == "mean" and self.level == "tokens":
            return self.features.mean(dim=0, keepdim=True).expand_as(self.features).clone()
        changed = _blurred if filling == "blur" else _flat
        sample = self._encoded.sample
        images = tuple(changed(image) for image in sample.images)
        prefix = self._encode(replace(sample, images=images))
        if [tuple(grid) for grid in prefix.grids] != [(grid.frames, grid.rows, grid.cols) for grid in self.grids]:
            raise RuntimeError("a filled image was cut into another grid than its original")
        return self._see(replace(self._encoded, inputs={"prefix": prefix}))

    def noise(self, n: int, seed: int) -> Float[Tensor, "n units dim"]:
        draw = torch.Generator().manual_seed(seed)
        mean, spread = self.features.mean(dim=0), self.features.std(dim=0, correction=0)
        drawn = torch.randn((n, *self.features.shape), generator=draw).to(self.features.device)
        return mean + spread * drawn

    def spread(self, cells: Shaped[Tensor, "*batch cells"]) -> Shaped[Tensor, "*batch units"]:
        return cells.repeat_interleave(self._per_cell, dim=-1)

    def gather(self, units: Float[Tensor, "*batch units"]) -> Float[Tensor, "*batch cells"]:
        return units.unflatten(-1, (-1, self._per_cell)).sum(-1)

    @property
    def thoughts(self) -> tuple[int, ...]:
        packed = self._plan.packed
        # A written text goes on to the end token, which the embed tokens read too.
        thought = packed.think if self._written is None else slice(self._written.start, packed.embed.start)
        return tuple(range(thought.start, thought.stop))

    def attention(self) -> Iterator[Float[Tensor, "heads seq seq"]]:
        states = self._states()
        for index in reversed(range(self.n_layers)):
            tap = AttentionTap(self._plan.mask)
            with torch.no_grad():
                self._run_layer(index, states[index], tap)
            yield tap.weights[0]

    def attention_gradients(
        self,
    ) -> Iterator[tuple[int, Float[Tensor, "heads seq seq"], Float[Tensor, "heads seq seq"]]]:
        states = self._states()
        top = states[-1].requires_grad_()
        with torch.enable_grad():
            values = self._read(self._backbone.family.final_norm(self._backbone.model)(top))[0]
            onward = [torch.autograd.grad(value, top, retain_graph=True)[0] for value in values]
        for index in reversed(range(self.n_layers)):
            below = states[index].detach().requires_grad_()
            tap = AttentionTap(self._plan.mask)
            with torch.enable_grad():
                above = self._run_layer(index, below, tap)
            for number, gradient in enumerate(onward):
                found, onward[number] = torch.autograd.grad(above, (tap.weights, below), gradient, retain_graph=True)
                yield number, tap.weights.detach()[0], found[0]

    def through_vision(self, rows: Float[Tensor, "rows cells"]) -> Float[Tensor, "rows cells"]:
        return through_vision(self._backbone, self._encoded, rows)

    def _states(self) -> list[Float[Tensor, "1 seq width"]]:
        """The residual stream before each decoder layer, and after the last."""
        with torch.no_grad():
            states = [self._inputs(self.features[None])]
            for index in range(self.n_layers):
                states.append(self._run_layer(index, states[-1], self._plan.mask))
        return states

    def _run_layer(self, index: int, states: Float[Tensor, "1 seq width"], mask: Any) -> Float[Tensor, "1 seq width"]:
        backbone = self._backbone
        return backbone.family.run_layer(backbone.model, index, states, self._plan.positions, mask)

    def _see(self, encoded: Encoded) -> Float[Tensor, "units dim"]:
        prefix = encoded.inputs["prefix"]
        pixels = prefix.pixels.to(self._backbone.device)
        if self.level == "pixels":
            return pixels.float()
        with torch.no_grad():
            thw = prefix.thw.to(pixels.device)
            return self._backbone.family.visual_tokens(self._backbone.model, pixels, thw).float()

    def _inputs(self, features: Float[Tensor, "batch units dim"]) -> Float[Tensor, "batch seq width"]:
        batch = len(features)
        if self.level == "pixels":
            thw = self._plan.packed.thw.repeat(batch, 1)
            features = self._backbone.family.visual_tokens(self._backbone.model, features.flatten(0, 1), thw)
            features = features.unflatten(0, (batch, -1))
        base = self._base.expand(batch, -1, -1)
        return base.index_copy(1, self._columns, features.to(base.dtype))

    def _values(self, features: Float[Tensor, "batch units dim"]) -> Float[Tensor, "batch targets"]:
        positions = self._plan.positions.expand(-1, len(features), -1)
        return self._read(self._backbone.run(self._inputs(features), positions, self._plan.mask))

    def _read(self, hidden: Float[Tensor, "batch seq width"]) -> Float[Tensor, "batch targets"]:
        backbone, plan = self._backbone, self._plan
        embedding = backbone.pool(hidden[:, plan.packed.embed])
        spoken = iter(self._wording.values(hidden, plan, self._words))
        values = []
        for target in self.targets:
            match target:
                case EmbeddingTarget():
                    value = _score(embedding, target.score)
                case ThinkEffect():
                    without = backbone.pool(hidden[:, plan.hidden_thought[target.think]])
                    value = _score(embedding, target.score) - _score(without, target.score)
                case ThinkState():
                    value = self._wording.state(hidden[:, plan.packed.think.start + target.think], target.word)
                case WordTarget():
                    value = next(spoken)
            values.append(value)
        return torch.stack(values, dim=1)


def _score(embedding: Float[Tensor, "batch dim"], score: Score) -> Float[Tensor, " batch"]:
    positive = torch.tensor(score.positive).to(embedding)
    value = embedding @ positive
    if score.kind == "cosine":
        return value
    others = embedding @ torch.tensor(score.others).to(embedding).T
    return value - (others.mean(1) if score.kind == "contrast" else others.amax(1))


def _blurred(ref: ImageRef) -> ImageRef:
    picture = open_image(ref)
    return _as_ref(picture.filter(ImageFilter.GaussianBlur(max(picture.size) / BLUR)), ref.name)


def _flat(ref: ImageRef) -> ImageRef:
    picture = open_image(ref)
    return _as_ref(picture.resize((1, 1), Image.Resampling.BOX).resize(picture.size), ref.name)


def _as_ref(picture: Image.Image, name: str) -> ImageRef:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return refer(file.getvalue(), name=name)
