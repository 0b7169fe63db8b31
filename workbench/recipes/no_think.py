"""No thinking: the discriminative embedder (VLM2Vec, arXiv 2410.05160), the control of the recipes that think.

The last token's final state is the embedding, and the contrastive loss is all that is learned. VLM2Vec takes the last
token of the input itself; here it is an embed token of its own, as in the other recipes, so that they differ in the
thinking alone.
"""

from dataclasses import replace
from pathlib import Path
from typing import final

from torch import Tensor

from workbench.models.layout import no_think
from workbench.models.sequence import visibility
from workbench.recipes.batches import TrainBatch
from workbench.recipes.config import TrainConfig
from workbench.recipes.loop import Method, run_training
from workbench.recipes.recipe import RECIPES, Recipe, Report
from workbench.recipes.step import TrainingStep
from workbench.types import Context


@final
class NoThinkStep(TrainingStep):
    """One pass over query and embed token."""

    parts = ("contrastive",)

    def forward(
        self,
        batch: TrainBatch,
        context: Context = "latents_only",
        limits: Tensor | None = None,
        fixed_vision: bool = False,
    ) -> dict[str, Tensor]:
        """Return `loss`, its parts, and counts for metrics."""
        backbone, queries = self.backbone, batch.queries
        visual = self.see(queries, fixed_vision)
        mask = visibility(queries, backbone.layout, context, limits)
        hidden = backbone.run(backbone.embed_tokens(queries, visual), queries.positions, mask)
        contrastive, hit = self.contrast(backbone.pool(hidden[:, queries.embed]), batch, fixed_vision)
        parts = {"contrastive": contrastive}
        perceived = self.perceive(visual, batch)
        if perceived:
            parts["perception"] = perceived.pop("perception")
        return {
            "loss": self.total(parts),
            **{name: value.detach() for name, value in (parts | perceived).items()},
            "batch_hit_at_1": hit,
        }


@RECIPES.register("no-think")
@final
class NoThink(Recipe):
    """Contrastive training of the last token; no thoughts, no text. What thinking is to be measured against."""

    name = "no-think"
    about = "the last token learns to find the target, and nothing is thought or written: the control of the others"
    reference = "VLM2Vec, arXiv 2410.05160"

    def train(self, config: TrainConfig, *, resume: bool, report: Report) -> Path:
        """Train and return the finished checkpoint's folder. Settings of thoughts and text have nothing to act on."""
        config = replace(
            config,
            model=replace(config.model, think=0, contexts=()),
            loss=replace(config.loss, text=0.0, readout=0.0, truncation=0.0),
        )
        method = Method(name=self.name, layout=no_think(), text="none", make_step=NoThinkStep)
        return run_training(method, config, resume=resume, report=report)
