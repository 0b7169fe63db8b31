"""Plants made, measured and judged one after the other, in a folder where a run that was stopped goes on.

Who judges is given: this file knows no audit, and the judge is given a checkpoint and data, never what was planted.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.audit import Verdict
from workbench.models.reading import checkpoint_hash
from workbench.planting.growing import Growth, grow, grow_tower
from workbench.planting.kinds import Plant
from workbench.planting.retrieval import measure_retrieval
from workbench.planting.world import AUDITED_SPLIT, World, WorldSize, make_world
from workbench.recipes.recipe import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a judge is asked."""

    checkpoint: Path
    data: str
    split: str
    n: int
    kept: Path
    """Folder of the case, where a judge may keep what it has read, so that asking it again costs little."""


Judge = Callable[[Question], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One plant and the verdict on it."""

    kind: str
    seed: int
    expected: str
    detail: str
    """What else was planted: which think token, or for which task."""
    verdict: str
    """The kind that the judge names."""
    right: bool
    strength: str
    """Of the evidence, as the judge sees it."""
    sentence: str
    """The verdict in the judge's words."""
    hit_at_1: float
    """Share of the audited samples whose target is found."""
    hit_at_1_low: float
    hit_at_1_high: float
    chance: float
    """What knowing the task alone gives."""
    n: int
    seconds_training: float
    """Of what was trained in this run; 0 where the checkpoint was there."""
    seconds_judging: float
    checkpoint_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large plants and their world are."""

    world: WorldSize = field(default_factory=WorldSize)
    growth: Growth = field(default_factory=Growth)
    n: int = 200
    """Samples that are audited."""


def judge_plants(plants: Sequence[Plant], folder: Path, judge: Judge, report: Report, scale: Scale) -> Iterator[Case]:
    """Yield the case of every plant, in order. What is in the folder already is not made again; the judge is asked anew.

    Args:
        plants: which.
        folder: holds the world, the vision tower, and one folder for each plant.
        judge: is asked for each.
        report: takes lines of progress.
        scale: sizes; a folder made with others keeps the checkpoints that are in it.
    """
    report("world: writing pictures and questions")
    world = make_world(folder / "world", scale.world)
    tower = grow_tower(folder / "tower", world, scale.growth, _under(report, "tower"))
    for number, plant in enumerate(plants, start=1):
        name = f"{number}/{len(plants)} {plant.name}"
        yield _case(plant, folder / plant.name, tower, world, judge, _under(report, name), scale)


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    """All cases as JSON values, with how many verdicts are right."""
    return {
        "cases": [dataclasses.asdict(case) for case in cases],
        "right": sum(case.right for case in cases),
        "total": len(cases),
    }


def _case(plant: Plant, folder: Path, tower: Path, world: World, judge: Judge, report: Report, scale: Scale) -> Case:
    begun = time.monotonic()
    checkpoint = grow(plant, folder, tower, world, scale.growth, report)
    trained = time.monotonic() - begun
    found = measure_retrieval(checkpoint, world, scale.n)
    report(f"Hit@1 {found.hit_at_1.value:.3f}, by chance {found.chance:.3f}")
    begun = time.monotonic()
    question = Question(
        checkpoint=checkpoint, data=str(world.audited), split=AUDITED_SPLIT, n=scale.n, kept=folder / "kept"
    )
    verdict = judge(question)
    report(f"verdict {verdict.kind}, {'right' if verdict.kind == plant.kind.name else 'wrong'}: {verdict.sentence}")
    return Case(
        kind=plant.kind.name,
        seed=plant.seed,
        expected=plant.kind.name,
        detail=plant.detail,
        verdict=verdict.kind,
        right=verdict.kind == plant.kind.name,
        strength=verdict.strength,
        sentence=verdict.sentence,
        hit_at_1=found.hit_at_1.value,
        hit_at_1_low=found.hit_at_1.low,
        hit_at_1_high=found.hit_at_1.high,
        chance=found.chance,
        n=scale.n,
        seconds_training=trained,
        seconds_judging=time.monotonic() - begun,
        checkpoint_sha256=checkpoint_hash(checkpoint),
    )


def _under(report: Report, name: str) -> Report:
    return lambda line: report(f"{name}: {line}")
