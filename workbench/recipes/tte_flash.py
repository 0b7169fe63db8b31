"""TTE-Flash (arXiv 2605.16638): think tokens under a CoT-generation loss, then embed tokens under a contrastive loss.

Both come from one pass over one sequence: query, K learned think tokens, embed tokens, and the reasoning text, which sees
only the thoughts (`latents_only`) or the query as well. Queries and documents share all weights. Loss weights, schedule
and data of the paper are not public; each is a setting here. Its two open questions are `model.extraction` and
`model.dependency`; anything but shared weights trained jointly runs as `workbench/models/apart.py` says.
"""

from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from workbench.errors import BadInput
from workbench.models.apart import run_apart
from workbench.models.backbone import Backbone
from workbench.models.sequence import visibility
from workbench.recipes.batches import TrainBatch
from workbench.recipes.config import TrainConfig
from workbench.recipes.loop import Method, run_training
from workbench.recipes.objectives import readout_loss, text_loss
from workbench.recipes.parting import first_stage, freeze_thoughts, parted_layout
from workbench.recipes.perception import PerceptionHeads
from workbench.recipes.recipe import RECIPES, Recipe, Report
from workbench.recipes.step import TrainingStep, told
from workbench.types import Context


@final
class TteFlashStep(TrainingStep):
    """Query, thoughts, embed tokens and reasoning: one pass over all, or apart."""

    parts = ("text", "contrastive", "readout")

    def __init__(self, backbone: Backbone, config: TrainConfig, heads: PerceptionHeads | None) -> None:
        super().__init__(backbone, config, heads)
        self.first_stage = first_stage(config)
        self.at = 0

    @property
    def _text_only(self) -> bool:
        """Whether this step is of the first stage of `sequential`."""
        return self.training and self.at < self.first_stage

    @property
    def _embeds_only(self) -> bool:
        """Whether it is of the second."""
        return self.training and 0 < self.first_stage <= self.at

    def begin(self, step: int, /) -> None:
        self.at = step

    def drop_gradients(self) -> None:
        if self._embeds_only:
            freeze_thoughts(self.backbone, self)

    def forgets(self, step: int, /) -> tuple[nn.Parameter, ...]:
        return self.tables if 0 < self.first_stage == step else ()

    @property
    def tables(self) -> tuple[nn.Parameter, ...]:
        # In the second stage the embed tokens' rows learn, and decay would shrink the others.
        table: Any = self.backbone.family.token_embedding(self.backbone.model).weight
        return (table,) if self.first_stage else ()

    def save_further(self, folder: Path, dtype: torch.dtype, /) -> dict[str, Any]:
        if self.backbone.layout.extraction != "dual_adapter":
            return {}
        from workbench.models.dual_adapter import save_sets

        return save_sets(self.backbone.model, folder, dtype)

    def forward(
        self, batch: TrainBatch, context: Context, limits: Tensor | None = None, fixed_vision: bool = False
    ) -> dict[str, Tensor]:
        """Return `loss`, its parts, and counts for metrics. A stage of `sequential` has its own loss alone."""
        backbone, queries = self.backbone, batch.queries
        fixed_vision = fixed_vision or self._embeds_only
        mask = visibility(queries, backbone.layout, context, limits)
        visual = self.see(queries, fixed_vision)
        inputs = backbone.embed_tokens(queries, visual)
        if backbone.layout.is_parted:
            fixed = backbone.layout.dependency == "stop_gradient"
            apart = run_apart(backbone, queries, inputs, mask, fixed_thoughts=fixed, told=not self._embeds_only)
            think, embed, text = apart.think, apart.embed, apart.text
        else:
            hidden = backbone.run(inputs, queries.positions, mask)
            think, embed, text = hidden[:, queries.think], hidden[:, queries.embed], hidden[:, queries.text]
        parts: dict[str, Tensor] = {}
        said: dict[str, Tensor] = {}
        if not self._embeds_only:
            head = backbone.family.head(backbone.model)
            written = head(text)
            parts["text"], said = text_loss(written, batch.labels), told(written, batch.labels)
            if self.weights["readout"]:
                parts["readout"] = readout_loss(head(think), batch.labels, batch.parts)
        if not self._text_only:
            parts["contrastive"], said["batch_hit_at_1"] = self.contrast(backbone.pool(embed), batch, fixed_vision)
        perceived = {} if self._embeds_only else self.perceive(visual, batch)
        if perceived:
            parts["perception"] = perceived.pop("perception")
        return {
            "loss": self.total(parts),
            **{name: value.detach() for name, value in (parts | perceived).items()},
            **said,
        }


@RECIPES.register("tte-flash")
@final
class TteFlash(Recipe):
    """Training of thoughts and embedding: jointly in one pass with shared weights, or as the settings part them."""

    name = "tte-flash"
    about = "think tokens learn to write the reasoning, embed tokens learn to find the target; one pass, shared weights"
    reference = "TTE-Flash, arXiv 2605.16638"

    def train(self, config: TrainConfig, *, resume: bool, report: Report) -> Path:
        """Train and return the finished checkpoint's folder. Raises BadInput for settings that do not go together."""
        layout = parted_layout(config)
        if config.model.think < 1:
            raise BadInput(
                f"model.think is {config.model.think}, but tte-flash thinks in 1 token or more; the recipe without is no-think."
            )
        method = Method(name=self.name, layout=layout, text="reasoning_after", make_step=TteFlashStep)
        return run_training(method, config, resume=resume, report=report)
