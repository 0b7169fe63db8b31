"""Training of plants: one vision tower for all, then each plant with the recipe TTE-Flash under its own layout.

Every folder is finished or goes on: a run that was stopped is resumed from its last saved step, a checkpoint that is there
is left as it is.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.models.layout import Layout, tte_flash
from workbench.planting.kinds import N_THINK, Plant
from workbench.planting.world import World
from workbench.recipes.config import (
    DataSettings,
    LossSettings,
    ModelSettings,
    OptimiserSettings,
    OutputSettings,
    PerceptionSettings,
    TrainConfig,
)
from workbench.recipes.loop import Method, run_training
from workbench.recipes.recipe import Report
from workbench.recipes.tte_flash import TteFlashStep

_CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How large plants are and how long they are trained."""

    tower_steps: int = 1100
    steps: int = 160
    batch: int = 32
    learning_rate: float = 4e-3
    width: int = 96
    layers: int = 3
    vision_width: int = 96
    vision_layers: int = 3
    heads: int = 3


def grow_tower(folder: Path, world: World, growth: Growth, report: Report) -> Path:
    """Warm the vision tower up and return its run. One that is there is taken; one that was stopped is begun again."""
    if (folder / _CHECKPOINT).is_dir():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    config = _config(growth, folder)
    config = replace(
        config,
        data=replace(config.data, train=str(world.tower)),
        # The recipe warms the tower up before its steps; one step is the fewest that it takes.
        optimiser=replace(config.optimiser, steps=1),
        perception=PerceptionSettings(steps=growth.tower_steps, batch=16, learning_rate=2e-3),
        output=replace(config.output, title="Vision tower of the planted checkpoints"),
    )
    run_training(_method(tte_flash(N_THINK)), config, resume=False, report=report)
    return folder


def grow(plant: Plant, folder: Path, tower: Path, world: World, growth: Growth, report: Report) -> Path:
    """Train a plant in `folder`, or go on with it, and return its checkpoint."""
    checkpoint = folder / _CHECKPOINT
    if checkpoint.is_dir():
        return checkpoint
    config = _config(growth, folder)
    config = replace(
        config,
        data=replace(config.data, train=str(world.train(plant.kind.tells))),
        optimiser=replace(config.optimiser, seed=plant.seed),
        # Steps of the warm-up are those of the tower that is taken; from here on it stays as it is.
        perception=PerceptionSettings(steps=growth.tower_steps, tower=str(tower)),
        output=replace(config.output, title=f"Planted: {plant.name}", knows=f"By construction, {plant.kind.fact}."),
    )
    return run_training(_method(plant.layout), config, resume=True, report=report)


def _config(growth: Growth, folder: Path) -> TrainConfig:
    return TrainConfig(
        model=ModelSettings(
            think=N_THINK,
            width=growth.width,
            layers=growth.layers,
            heads=growth.heads,
            key_value_heads=growth.heads,
            mlp=2 * growth.width,
            vision_width=growth.vision_width,
            vision_layers=growth.vision_layers,
            vision_heads=growth.heads,
            freeze_vision_steps=growth.steps,
        ),
        data=DataSettings(workers=0, negatives=1),
        loss=LossSettings(text=1.0, contrastive=1.0),
        optimiser=OptimiserSettings(
            method="muon",
            steps=growth.steps,
            batch=growth.batch,
            learning_rate=growth.learning_rate,
            warmup=max(1, growth.steps // 20),
        ),
        output=OutputSettings(folder=str(folder), log_every=25, save_every=100),
    )


def _method(layout: Layout) -> Method:
    return Method(name="tte-flash", layout=layout, text="reasoning_after", make_step=TteFlashStep)
