"""Whether a plant retrieves: a planted fact about thoughts is worth auditing only where there is an embedding to change."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.data.reader import read_pairs
from workbench.data.records import Pair
from workbench.embedder import Embedder
from workbench.models.checkpoint import load_checkpoint
from workbench.planting.world import AUDITED_SPLIT, World
from workbench.stats import Interval, bootstrap_interval
from workbench.types import Sample

_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """How well the right target is found among all distinct targets of the split."""

    hit_at_1: Interval
    """Share of queries whose target is the nearest, with its 95% bootstrap interval."""
    chance: float
    """The share that knowing no more than the task gives: the mean of 1 / (distinct targets of the query's task)."""
    n_candidates: int


def measure_retrieval(checkpoint: Path, world: World, n: int) -> Retrieval:
    """Hit@1 of a checkpoint on the first `n` samples of the audited split, on the CPU."""
    pairs = [pair for pair in read_pairs(str(world.audited), split=AUDITED_SPLIT, limit=n) if pair.target is not None]
    model = load_checkpoint(checkpoint, device="cpu", dtype="float32")
    targets = {pair.target_id: pair.target for pair in pairs if pair.target is not None}
    found = _embed(model, [pair.query for pair in pairs]) @ _embed(model, list(targets.values())).T
    names = list(targets)
    hits = np.array([names[best] == pair.target_id for best, pair in zip(found.argmax(1), pairs, strict=True)])
    return Retrieval(hit_at_1=bootstrap_interval(hits, seed=0), chance=_chance(pairs), n_candidates=len(names))


def _embed(model: Embedder, samples: Sequence[Sample]) -> np.ndarray:
    parts = [samples[at : at + _AT_ONCE] for at in range(0, len(samples), _AT_ONCE)]
    return np.concatenate([model.embed([model.prepare(sample) for sample in part]) for part in parts])


def _chance(pairs: Sequence[Pair]) -> float:
    by_task: dict[str, set[str]] = {}
    for pair in pairs:
        by_task.setdefault(str(pair.query.metadata["task"]), set()).add(pair.target_id)
    return float(np.mean([1 / len(by_task[str(pair.query.metadata["task"])]) for pair in pairs]))
