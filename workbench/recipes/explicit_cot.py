"""Explicit chain of thought: the model writes its reasoning as text, then embeds attending to query and reasoning.

The baseline that latent thoughts are measured against (Think-Then-Embed, arXiv 2510.05014; UME-R1, arXiv 2511.00405). In
training the reasoning is given (teacher forcing), so that one pass gives both losses: the text's cross-entropy, and the
contrastive loss of the embed token behind it. When embedding, the model first writes. Documents carry no reasoning to learn
from, so they are embedded without.
"""

from dataclasses import replace
from pathlib import Path
from typing import final

from torch import Tensor

from workbench.models.layout import explicit_cot
from workbench.models.sequence import visibility
from workbench.recipes.batches import TrainBatch
from workbench.recipes.config import TrainConfig
from workbench.recipes.loop import Method, run_training
from workbench.recipes.objectives import text_loss
from workbench.recipes.recipe import RECIPES, Recipe, Report
from workbench.recipes.step import TrainingStep, told
from workbench.types import Context


@final
class ExplicitCotStep(TrainingStep):
    """One pass over query, reasoning and embed token."""

    parts = ("text", "contrastive")

    def forward(
        self, batch: TrainBatch, context: Context, limits: Tensor | None = None, fixed_vision: bool = False
    ) -> dict[str, Tensor]:
        """Return `loss`, its parts, and counts for metrics. Labels end where the query does: at the end token."""
        backbone, queries = self.backbone, batch.queries
        visual = self.see(queries, fixed_vision)
        mask = visibility(queries, backbone.layout, context, limits)
        hidden = backbone.run(backbone.embed_tokens(queries, visual), queries.positions, mask)
        contrastive, hit = self.contrast(backbone.pool(hidden[:, queries.embed]), batch, fixed_vision)
        # The last column before the embed tokens holds the end token, which predicts nothing.
        last = queries.embed.start - 1
        written = backbone.family.head(backbone.model)(hidden[:, last - batch.labels.shape[1] : last])
        parts = {"text": text_loss(written, batch.labels), "contrastive": contrastive}
        perceived = self.perceive(visual, batch)
        if perceived:
            parts["perception"] = perceived.pop("perception")
        return {
            "loss": self.total(parts),
            **{name: value.detach() for name, value in (parts | perceived).items()},
            **told(written, batch.labels),
            "batch_hit_at_1": hit,
        }


@RECIPES.register("explicit-cot")
@final
class ExplicitCot(Recipe):
    """Joint training of written reasoning and of the embed token behind it."""

    name = "explicit-cot"
    about = (
        "the reasoning is written word by word, then the embed token attends to query and reasoning: the slow baseline"
    )
    reference = "Think-Then-Embed, arXiv 2510.05014; UME-R1, arXiv 2511.00405"

    def train(self, config: TrainConfig, *, resume: bool, report: Report) -> Path:
        """Train and return the finished checkpoint's folder. Settings of latent thoughts have nothing to act on."""
        config = replace(
            config,
            model=replace(config.model, think=0, contexts=("query_and_latents",)),
            loss=replace(config.loss, readout=0.0, truncation=0.0),
        )
        method = Method(name=self.name, layout=explicit_cot(), text="reasoning_before", make_step=ExplicitCotStep)
        return run_training(method, config, resume=resume, report=report)
