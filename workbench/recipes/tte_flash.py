"""TTE-Flash (arXiv 2605.16638): think tokens under a CoT-generation loss, then embed tokens under a contrastive loss.

Both come from one pass over one sequence: query, K learned think tokens, embed tokens, and the reasoning text, which sees
only the thoughts (`latents_only`) or the query as well. Queries and documents share all weights. Loss weights, schedule
and data of the paper are not public; each is a setting here.
"""

from pathlib import Path
from typing import final

from torch import Tensor

from workbench.models.layout import tte_flash
from workbench.models.sequence import visibility
from workbench.recipes.batches import TrainBatch
from workbench.recipes.config import TrainConfig
from workbench.recipes.loop import Method, run_training
from workbench.recipes.objectives import readout_loss, text_loss
from workbench.recipes.recipe import RECIPES, Recipe, Report
from workbench.recipes.step import TrainingStep, told
from workbench.types import Context


@final
class TteFlashStep(TrainingStep):
    """One pass over query, thoughts, embed tokens and reasoning."""

    parts = ("text", "contrastive", "readout")

    def forward(
        self, batch: TrainBatch, context: Context, limits: Tensor | None = None, fixed_vision: bool = False
    ) -> dict[str, Tensor]:
        """Return `loss`, its parts, and counts for metrics."""
        backbone, queries = self.backbone, batch.queries
        mask = visibility(queries, backbone.layout, context, limits)
        visual = self.see(queries, fixed_vision)
        hidden = backbone.run(backbone.embed_tokens(queries, visual), queries.positions, mask)
        contrastive, hit = self.contrast(backbone.pool(hidden[:, queries.embed]), batch, fixed_vision)
        head = backbone.family.head(backbone.model)
        written = head(hidden[:, queries.text])
        parts = {"text": text_loss(written, batch.labels), "contrastive": contrastive}
        if self.weights["readout"]:
            parts["readout"] = readout_loss(head(hidden[:, queries.think]), batch.labels, batch.parts)
        perceived = self.perceive(visual, batch)
        if perceived:
            parts["perception"] = perceived.pop("perception")
        return {
            "loss": self.total(parts),
            **{name: value.detach() for name, value in (parts | perceived).items()},
            **told(written, batch.labels),
            "batch_hit_at_1": hit,
        }


@RECIPES.register("tte-flash")
@final
class TteFlash(Recipe):
    """Joint training of thoughts and embedding in one pass with shared weights."""

    name = "tte-flash"
    about = "think tokens learn to write the reasoning, embed tokens learn to find the target; one pass, shared weights"
    reference = "TTE-Flash, arXiv 2605.16638"

    def train(self, config: TrainConfig, *, resume: bool, report: Report) -> Path:
        """Train and return the finished checkpoint's folder."""
        layout = tte_flash(config.model.think, contexts=config.model.contexts)
        method = Method(name=self.name, layout=layout, text="reasoning_after", make_step=TteFlashStep)
        return run_training(method, config, resume=resume, report=report)
