"""TTE-Flash (arXiv 2605.16638): think tokens under a CoT-generation loss, then embed tokens under a contrastive loss.

Both come from one pass over one sequence: query, K learned think tokens, embed tokens, and the reasoning text, which sees
only the thoughts (`latents_only`) or the query as well. Queries and documents share all weights. Loss weights, schedule
and data of the paper are not public; each is a setting here.
"""

from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from workbench.models.backbone import Backbone
from workbench.models.sequence import Packed, visibility
from workbench.recipes.batches import TrainBatch
from workbench.recipes.config import LossSettings, TrainConfig
from workbench.recipes.dense import IGNORE
from workbench.recipes.gathering import gather_documents, repeated, same
from workbench.recipes.loop import run_training
from workbench.recipes.objectives import info_nce, readout_loss, text_loss
from workbench.recipes.perception import PerceptionHeads
from workbench.recipes.recipe import RECIPES, Recipe, Report
from workbench.types import Context


@final
class TteFlashStep(nn.Module):
    """Forward pass and losses of one batch. The backbone's model is a submodule, so that wrappers see its weights."""

    def __init__(
        self, backbone: Backbone, loss: LossSettings, heads: PerceptionHeads | None = None, perception: float = 0.0
    ) -> None:
        super().__init__()
        self.model = backbone.model
        self.backbone = backbone
        self.weights = {name: getattr(loss, name) for name in ("text", "contrastive", "readout")}
        self.weights["perception"] = perception
        self.temperature = loss.temperature
        self.heads = heads

    def forward(
        self, batch: TrainBatch, context: Context, limits: Tensor | None = None, fixed_vision: bool = False
    ) -> dict[str, Tensor]:
        """Return `loss`, its parts, and counts for metrics."""
        backbone, queries = self.backbone, batch.queries
        mask = visibility(queries, backbone.layout, context, limits)
        visual = self._see(queries, fixed_vision)
        hidden = backbone.run(backbone.embed_tokens(queries, visual), queries.positions, mask)
        documents = torch.cat(
            [self._embed(part, fixed_vision) for part in (batch.texts, batch.images) if part is not None]
        )
        everyone, keys, offset = gather_documents(documents, batch.keys)
        found = backbone.pool(hidden[:, queries.embed])
        positive = batch.positive + offset
        excluded = repeated(keys) | same(batch.keys[batch.positive], keys)
        excluded[torch.arange(len(positive)), positive] = False
        head = backbone.family.head(backbone.model)
        written = head(hidden[:, queries.text])
        parts = {
            "text": text_loss(written, batch.labels),
            "contrastive": info_nce(found, everyone, positive, excluded, self.temperature),
        }
        if self.weights["readout"]:
            parts["readout"] = readout_loss(head(hidden[:, queries.think]), batch.labels, batch.parts)
        perceived = {}
        if self.heads is not None and visual is not None and batch.dense is not None:
            perceived = self.heads(visual, batch.dense)
            parts["perception"] = perceived.pop("perception")
        total = sum((self.weights[name] * value for name, value in parts.items()), start=found.new_zeros(()))
        written_there = batch.labels != IGNORE
        right = (written.argmax(-1) == batch.labels) | ~written_there
        return {
            "loss": total,
            **{name: value.detach() for name, value in (parts | perceived).items()},
            "token_accuracy": right[written_there].float().mean(),
            "thought_exact": right.all(dim=1).float().mean(),
            "batch_hit_at_1": ((found @ everyone.T).masked_fill(excluded, -2).argmax(1) == positive).float().mean(),
        }

    def _embed(self, packed: Packed, fixed_vision: bool) -> Float[Tensor, "documents dim"]:
        mask = visibility(packed, self.backbone.layout, "latents_only")
        inputs = self.backbone.embed_tokens(packed, self._see(packed, fixed_vision))
        return self.backbone.pool(self.backbone.run(inputs, packed.positions, mask)[:, packed.embed])

    def _see(self, packed: Packed, fixed: bool) -> Tensor | None:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not fixed):
            return self.backbone.see(packed)


@RECIPES.register("tte-flash")
@final
class TteFlash(Recipe):
    """Joint training of thoughts and embedding in one pass with shared weights."""

    name = "tte-flash"
    about = "think tokens learn to write the reasoning, embed tokens learn to find the target; one pass, shared weights"
    reference = "TTE-Flash, arXiv 2605.16638"

    def train(self, config: TrainConfig, *, resume: bool, report: Report) -> Path:
        """Train and return the finished checkpoint's folder."""

        def step(backbone: Backbone, heads: PerceptionHeads | None) -> nn.Module:
            return TteFlashStep(backbone, config.loss, heads, config.perception.weight)

        return run_training(self.name, config, step, resume=resume, report=report)
