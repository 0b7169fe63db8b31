"""Where the words of a thought are read from, with gradients: the backbone's own head, or a latent decoder beside it."""

import abc
from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.backbone import Backbone
from workbench.models.latent_decoder import LatentDecoder
from workbench.models.objective_plan import Plan
from workbench.models.sequence import LayoutIds
from workbench.targets import WordTarget


class Wording(abc.ABC):
    """How words come from the backbone's final, normed states."""

    in_sequence = True
    """Whether the text stands in the backbone's own sequence."""

    @abc.abstractmethod
    def state(self, states: Float[Tensor, "batch width"], word: int) -> Float[Tensor, " batch"]:
        """How far think tokens' states point along the unit direction that reads as a word."""

    @abc.abstractmethod
    def places(self, plan: Plan, target: WordTarget, /) -> tuple[int, ...]:
        """Columns of the states that a word is read from."""

    def further(self, _plan: Plan, _targets: Sequence[WordTarget], /) -> int:
        """Positions that pass beside the backbone's sequence for these words."""
        return 0

    @abc.abstractmethod
    def values(
        self, hidden: Float[Tensor, "batch seq width"], plan: Plan, targets: Sequence[WordTarget]
    ) -> list[Float[Tensor, " batch"]]:
        """Of each target: the word's log-probability, less its alternative's if it has one."""


@final
class OwnWords(Wording):
    """The backbone's head reads text that stands in the sequence, each alternative in a branch of its own."""

    def __init__(self, backbone: Backbone) -> None:
        self._head = backbone.family.head(backbone.model)

    def state(self, states: Float[Tensor, "batch width"], word: int) -> Float[Tensor, " batch"]:
        return _along(states.float(), self._head.weight[word])

    def places(self, plan: Plan, target: WordTarget, /) -> tuple[int, ...]:
        own = range(plan.text.start + target.start, plan.text.start + target.stop)
        if not target.alternative:
            return tuple(own)
        branch = plan.branches[target.start, target.alternative]
        return (*own, *range(branch.start, branch.stop))

    def values(
        self, hidden: Float[Tensor, "batch seq width"], plan: Plan, targets: Sequence[WordTarget]
    ) -> list[Float[Tensor, " batch"]]:
        if not targets:
            return []
        spoken = self._read(hidden[:, plan.text])
        return [
            _word(
                spoken,
                target,
                self._read(hidden[:, plan.branches[target.start, target.alternative]])
                if len(target.alternative) > 1
                else None,
            )
            for target in targets
        ]

    def _read(self, states: Float[Tensor, "batch text width"]) -> Float[Tensor, "batch text vocab"]:
        return self._head(states).float().log_softmax(-1)


@final
class DecoderWords(Wording):
    """A latent decoder reads the think tokens' states, all of them for every word."""

    in_sequence = False

    def __init__(self, decoder: LatentDecoder, ids: LayoutIds) -> None:
        self._decoder = decoder
        self._start = ids.start

    def state(self, states: Float[Tensor, "batch width"], word: int) -> Float[Tensor, " batch"]:
        return _along(self._decoder.soft(states).float(), self._decoder.table[word])

    def places(self, plan: Plan, _target: WordTarget, /) -> tuple[int, ...]:
        return tuple(range(plan.packed.think.start, plan.packed.think.stop))

    def further(self, plan: Plan, targets: Sequence[WordTarget], /) -> int:
        if not targets:
            return 0
        n_think = plan.packed.think.stop - plan.packed.think.start
        return n_think + max(max(target.stop, target.start + len(target.alternative)) for target in targets)

    def values(
        self, hidden: Float[Tensor, "batch seq width"], plan: Plan, targets: Sequence[WordTarget]
    ) -> list[Float[Tensor, " batch"]]:
        if not targets:
            return []
        latents = hidden[:, plan.packed.think]
        spoken = self._read(latents, targets[0].tokens[: max(target.stop for target in targets) - 1])
        found = []
        for target in targets:
            rest = None
            if len(target.alternative) > 1:
                said = target.tokens[: target.start]
                rest = self._read(latents, (*said, *target.alternative[:-1]))[:, target.start + 1 :]
            found.append(_word(spoken, target, rest))
        return found

    def _read(
        self, latents: Float[Tensor, "batch think width"], said: Sequence[int]
    ) -> Float[Tensor, "batch text vocab"]:
        given = torch.tensor([[self._start, *said]], device=latents.device).expand(len(latents), -1)
        return self._decoder(latents, given).float().log_softmax(-1)


def _along(states: Float[Tensor, "batch width"], direction: Float[Tensor, " width"]) -> Float[Tensor, " batch"]:
    return states @ (direction.float() / direction.float().norm())


def _word(
    spoken: Float[Tensor, "batch text vocab"], target: WordTarget, rest: Float[Tensor, "batch more vocab"] | None
) -> Float[Tensor, " batch"]:
    """`spoken[:, i]` reads the text's token i, `rest` the alternative's tokens after its first."""
    span = range(target.start, target.stop)
    value = spoken[:, span, target.tokens[target.start : target.stop]].sum(-1)
    if not target.alternative:
        return value
    first, *others = target.alternative
    other = spoken[:, target.start, first]
    if rest is not None:
        other = other + rest[:, range(len(others)), others].sum(-1)
    return value - other
