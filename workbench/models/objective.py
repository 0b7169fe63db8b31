"""One sample, opened for attribution: visual features in, target values out, with gradients.

Everything a target needs stands in one sequence, so that all targets of a sample share each forward pass: the query with
its visual tokens, the thoughts, the embed tokens, then the decoded text, copies of the embed tokens from which one thought
is hidden, and a branch for each alternative word. A mask says who sees whom.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int, Shaped
from PIL import Image, ImageFilter
from torch import Tensor

from workbench.embedder import Filling, Level, Objective
from workbench.images import open_image, refer
from workbench.models.backbone import Backbone
from workbench.models.capture import AttentionTap
from workbench.models.registries import Prefix
from workbench.models.sequence import Packed, pack, visibility
from workbench.models.vision_rollout import through_vision
from workbench.targets import EmbeddingTarget, Score, Target, ThinkEffect, ThinkState, WordTarget
from workbench.types import Context, Encoded, ImageRef, Sample

BLUR = 12
"""The blurred image's radius is its longer side divided by this: no shape of a fifth of the image survives it."""
TOKENS_AT_ONCE = {"cpu": 2_048}
"""Without gradients, longer batches are run in pieces of this many sequence positions: on a CPU few enough that what passes from
layer to layer stays in a core's cache (a third faster for small models), elsewhere `_TOKENS_AT_ONCE`."""
_TOKENS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The one sequence that holds what all targets need. Batch size 1."""

    packed: Packed
    ids: Int[Tensor, "1 seq"]
    positions: Int[Tensor, "3 1 seq"]
    mask: Bool[Tensor, "1 1 seq seq"]
    hidden_thought: dict[int, slice]
    """For each thought that is hidden from a copy, the copy's columns."""
    branches: dict[tuple[int, tuple[int, ...]], slice]
    """For each (start, alternative), the columns of all but the alternative's last token."""


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
    ) -> None:
        self.level = level
        self.targets = tuple(targets)
        self.grids = encoded.grids
        self._backbone = backbone
        self._encoded = encoded
        self._encode = encode
        self._plan = make_plan(backbone, encoded, self.targets, context)
        # Of the query alone: a decoded text or an alternative may hold the image token as a word.
        query = self._plan.ids[0, : self._plan.packed.think.start]
        self._columns = (query == backbone.ids.image).nonzero()[:, 0]
        self._own = self._see(encoded)
        self.features = self._own
        self.n_layers = len(backbone.family.layers(backbone.model))
        self.length = self._plan.ids.shape[1]
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
                    places = tuple(range(plan.packed.text.start + target.start, plan.packed.text.start + target.stop))
                    if target.alternative:
                        branch = plan.branches[target.start, target.alternative]
                        places = (*places, *range(branch.start, branch.stop))
            found.append(tuple(places))
        return tuple(found)

    def _pooled(self, embed: slice) -> range:
        return range(embed.stop - 1 if self._backbone.layout.pooling == "last" else embed.start, embed.stop)

    def __call__(self, features: Float[Tensor, "batch units dim"]) -> Float[Tensor, "batch targets"]:
        if features.requires_grad and torch.is_grad_enabled():
            return self._values(features)
        most = TOKENS_AT_ONCE.get(features.device.type, _TOKENS_AT_ONCE)
        size = max(1, most // self._plan.ids.shape[1])
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
        think = self._plan.packed.think
        return tuple(range(think.start, think.stop))

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
        spoken = self._spoken(hidden)
        values = []
        for target in self.targets:
            match target:
                case EmbeddingTarget():
                    value = _score(embedding, target.score)
                case ThinkEffect():
                    without = backbone.pool(hidden[:, plan.hidden_thought[target.think]])
                    value = _score(embedding, target.score) - _score(without, target.score)
                case ThinkState():
                    direction = backbone.family.head(backbone.model).weight[target.word].float()
                    state = hidden[:, plan.packed.think.start + target.think].float()
                    value = state @ (direction / direction.norm())
                case WordTarget():
                    assert spoken is not None
                    value = self._word(spoken, hidden, target)
            values.append(value)
        return torch.stack(values, dim=1)

    def _spoken(self, hidden: Float[Tensor, "batch seq width"]) -> Float[Tensor, "batch text vocab"] | None:
        text = self._plan.packed.text
        if text.stop == text.start:
            return None
        return self._backbone.family.head(self._backbone.model)(hidden[:, text]).float().log_softmax(-1)

    def _word(self, spoken: Tensor, hidden: Tensor, target: WordTarget) -> Float[Tensor, " batch"]:
        span = range(target.start, target.stop)
        value = sum((spoken[:, i, target.tokens[i]] for i in span), start=spoken.new_zeros(len(spoken)))
        if not target.alternative:
            return value
        first, *rest = target.alternative
        other = spoken[:, target.start, first]
        if rest:
            branch = hidden[:, self._plan.branches[target.start, target.alternative]]
            readings = self._backbone.family.head(self._backbone.model)(branch).float().log_softmax(-1)
            other = other + readings[:, range(len(rest)), rest].sum(-1)
        return value - other


def make_plan(backbone: Backbone, encoded: Encoded, targets: Sequence[Target], context: Context) -> Plan:
    """Lay out the sequence that serves all targets. Word targets must be of one text."""
    device = backbone.device
    texts = {target.tokens for target in targets if isinstance(target, WordTarget)}
    if len(texts) > 1:
        raise ValueError("the word targets of one objective must share their text")
    longest = max((target.stop for target in targets if isinstance(target, WordTarget)), default=0)
    text = [torch.tensor(next(iter(texts))[: longest - 1], dtype=torch.long)] if texts else None
    packed = pack([encoded.inputs["prefix"]], backbone.ids, text).to(device)
    mask = visibility(packed, backbone.layout, context)[0, 0]
    ids, positions = [packed.ids], [packed.positions]
    hidden_thought: dict[int, slice] = {}
    branches: dict[tuple[int, tuple[int, ...]], slice] = {}
    embed, at = packed.embed, packed.text
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
