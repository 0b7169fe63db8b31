"""Does the map depend on what the model has learned, and on what is asked? It must not survive random weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import numpy as np
from jaxtyping import Float

from workbench import stats
from workbench.attribution import Tick
from workbench.embedder import Differentiable, Randomisable, ReadsVocabulary
from workbench.probe import Control, register_probe
from workbench.stages import part_of, quiet
from workbench.targets import EmbeddingTarget, Target, ThinkEffect, ThinkState, WordTarget
from workbench.trust import MapCase, MapCheck
from workbench.types import Check, Measure, ProbeResult
from workbench.views import Bars, Lines, Note, Panel

_SURVIVES = 0.5
"""A map that agrees this much with one under wholly random weights shows the image, not the model."""
_INDIFFERENT = 0.9
"""A map that agrees this much with one for another target does not answer the question."""


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sanity(MapCheck):
    """Make the map again with random weights, and for another target, and see whether it changes (arXiv 1810.03292).

    `cascading`: from the output down, more and more parts get random weights; `independent`: one group of parts alone.
    Similarity is the rank correlation of the cells between the map and the one made again, with sign, units: -1 to 1. It
    should fall towards 0. `other_target` compares with the map for a random other target: another word at the same place,
    another candidate, another reading of the thought. Weights are drawn in a copy, with each tensor's own mean and spread;
    neighbouring parts are drawn together, so that deep models take no more than `stages` steps.

    It misleads in one direction only: a map that fails is not about the model, but a map that passes can still be wrong.
    Residual connections let much through, so a single random group may leave a good map standing. On grids of some 40 cells
    two unrelated maps differ from 0 by 0.16 or more in a third of cases.
    """

    name = "sanity"
    title = "Sanity of the map"
    version = 1
    reference = "Sanity Checks for Saliency Maps (arXiv 1810.03292); random target: arXiv 1912.09818"
    needs: ClassVar[tuple[type, ...]] = (Differentiable, Randomisable)

    stages: Annotated[int, Control(help="Steps of the cascade at most.", low=1, high=64)] = 4
    seed: Annotated[int, Control(help="Seed of weights and other targets.", low=0)] = 0

    def judge(self, case: MapCase, tick: Tick = quiet) -> ProbeResult:
        groups = [tuple(map(str, group)) for group in np.array_split(case.model.parts, min(self.stages, _n(case)))]
        total = 2 * len(groups) + 1
        own = case.relevance
        cascade, alone = [np.ones(len(own))], [np.ones(len(own))]
        for place, group in enumerate(groups):
            above = [part for earlier in groups[: place + 1] for part in earlier]
            told = f"Random weights, step {place + 1} of {len(groups)}"
            cascade.append(self._agreement(case, above, part_of(tick, 2 * place / total, 1 / total, told)))
            told = f"Random weights in {group[0]}"
            alone.append(self._agreement(case, group, part_of(tick, (2 * place + 1) / total, 1 / total, told)))
        other = self._other_target(case, part_of(tick, 2 * len(groups) / total, 1 / total, "Another target"))
        names = ("none", *(_named(group) for group in groups))
        measures = [
            _similarities("cascading", np.stack(cascade), names, case.labels, "random from the output down to here"),
            _similarities("independent", np.stack(alone), names, case.labels, "random here alone"),
            Measure(
                name="other_target",
                values=other.astype(np.float32),
                dims=("target",),
                units="rank correlation",
                coords={"target": case.labels},
                signed=True,
                better="lower",
                about="agreement with the map of a random other target",
            ),
        ]
        return self.found(case, measures, _verdicts(cascade[-1], other))

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        panels: list[Panel] = [
            Lines(measure="cascading", x="random", series="target", title="Agreement as weights turn random"),
            Lines(measure="independent", x="random", series="target", title="Agreement with one group random"),
            Bars(measure="other_target", x="target", title="Agreement with the map of another target"),
        ]
        kinds = {True: "info", False: "warning"}
        panels += [Note(text=f"{c.name}: {c.about}", kind=kinds[c.passed]) for c in result.checks]  # pyright: ignore[reportArgumentType]
        return tuple(panels)

    def _agreement(self, case: MapCase, parts: Sequence[str], tick: Tick) -> Float[np.ndarray, " targets"]:
        tick(0.0, "")
        other = case.model.randomised(parts, self.seed)
        again = case.explain_again(model=other, tick=tick)
        return stats.spearman(case.relevance.astype(np.float64), again.astype(np.float64))

    def _other_target(self, case: MapCase, tick: Tick) -> Float[np.ndarray, " targets"]:
        draw = np.random.default_rng(self.seed)
        n_words = 0
        if isinstance(case.model, ReadsVocabulary):
            n_words = case.model.vocabulary(case.trace.latents[-1][:1]).shape[1]
        found = []
        for place, target in enumerate(case.targets):
            # Word targets of one objective share their text, so each changed one is opened by itself.
            n = len(case.targets)
            mine = part_of(tick, place / n, 1 / n)
            mine(0.0, "")
            again = case.explain_again(targets=[other_than(target, draw, n_words)], tick=mine)
            found.append(stats.spearman(case.relevance[place].astype(np.float64), again[0].astype(np.float64)))
        return np.array(found)


def other_than(target: Target, draw: np.random.Generator, n_words: int) -> Target:
    """A target of the same kind and place that asks for something else.

    Args:
        target: what was asked.
        draw: where the choice comes from.
        n_words: size of the vocabulary, for targets that name a word of it.
    """
    match target:
        case WordTarget():
            taken = target.tokens[target.start]
            # The first token of an alternative would make a contrast with itself.
            excluded = {taken, *target.alternative[:1]}
            others = sorted(set(target.tokens) - excluded) or sorted(set(range(max(3, n_words))) - excluded)
            chosen = int(draw.choice(others))
            tokens = (*target.tokens[: target.start], chosen)
            return replace(target, tokens=tokens, stop=target.start + 1, label=f"other than {target.label}")
        case ThinkState():
            chosen = (target.word + int(draw.integers(1, max(2, n_words)))) % max(2, n_words)
            return replace(target, word=chosen, label=f"other than {target.label}")
        case EmbeddingTarget() | ThinkEffect():
            score = target.score
            if len(score.others):
                place = int(draw.integers(len(score.others)))
                rest = np.concatenate([np.delete(score.others, place, axis=0), score.positive[None]])
                changed = replace(score, positive=score.others[place], others=rest)
            else:
                direction = draw.normal(size=score.positive.shape)
                changed = replace(score, positive=(direction / np.linalg.norm(direction)).astype(score.positive.dtype))
            return replace(target, score=changed, label=f"other than {target.label}")


def _n(case: MapCase) -> int:
    return len(case.model.parts)


def _named(group: Sequence[str]) -> str:
    return group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}"


def _similarities(
    name: str, values: Float[np.ndarray, "random targets"], steps: tuple[str, ...], labels: tuple[str, ...], about: str
) -> Measure:
    return Measure(
        name=name,
        values=values.T.astype(np.float32),
        dims=("target", "random"),
        units="rank correlation",
        coords={"target": labels, "random": steps},
        signed=True,
        better="lower",
        about=f"agreement with the map when weights are {about}",
    )


def _verdicts(last: Float[np.ndarray, " targets"], other: Float[np.ndarray, " targets"]) -> list[Check]:
    survived, alike = float(np.abs(last).mean()), float(other.mean())
    return [
        Check(
            name="random weights change the map",
            value=survived,
            tolerance=_SURVIVES,
            passed=survived <= _SURVIVES,
            about=f"with all weights random the order of cells still agrees by {survived:.2f}; "
            f"over {_SURVIVES} the map shows the image and not the model",
        ),
        Check(
            name="another target changes the map",
            value=alike,
            tolerance=_INDIFFERENT,
            passed=alike <= _INDIFFERENT,
            about=f"the map of a random other target agrees by {alike:.2f}; "
            f"over {_INDIFFERENT} the map does not answer the question that was asked",
        ),
    ]
