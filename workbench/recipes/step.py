"""What all recipes' steps share: seeing, embedding documents, the contrastive loss and how the written text is told.

A recipe's step is a module: its weights are what is trained and kept by a run, its forward pass gives the loss.
"""

import abc
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from workbench.models.apart import run_apart
from workbench.models.backbone import Backbone
from workbench.models.sequence import Packed, visibility
from workbench.recipes.batches import TrainBatch
from workbench.recipes.config import TrainConfig
from workbench.recipes.dense import IGNORE
from workbench.recipes.gathering import gather_documents, repeated, same
from workbench.recipes.objectives import info_nce
from workbench.recipes.perception import PerceptionHeads
from workbench.types import Context


class TrainingStep(nn.Module, abc.ABC):
    """Forward pass and losses of one batch. The backbone's model is a submodule, so that wrappers see its weights."""

    parts: tuple[str, ...]
    """The weights of `LossSettings` that the recipe knows."""

    def __init__(self, backbone: Backbone, config: TrainConfig, heads: PerceptionHeads | None) -> None:
        super().__init__()
        self.model = backbone.model
        self.backbone = backbone
        self.weights = {name: getattr(config.loss, name) for name in self.parts}
        self.weights["perception"] = config.perception.weight
        self.temperature = config.loss.temperature
        self.heads = heads
        self.first_stage = 0
        """Steps of the first of two stages, 0 where there is one. A run that goes on keeps those that it began with, however
        long it is made."""

    @abc.abstractmethod
    def forward(
        self, batch: TrainBatch, context: Context, limits: Tensor | None = None, fixed_vision: bool = False
    ) -> dict[str, Tensor]:
        """Return `loss`, its parts, and counts for metrics.

        `limits`, when given, hides each query's thoughts from the limit-th on.
        """

    @property
    def towers(self) -> tuple[nn.Module, ...]:
        """Modules beside the backbone whose weight matrices are trained as its own are."""
        return ()

    @property
    def tables(self) -> tuple[nn.Parameter, ...]:
        """Embedding tables that weight decay must leave alone."""
        return ()

    def begin(self, _step: int, /) -> None:
        """Called before the pass of each step in training."""
        return

    def drop_gradients(self) -> None:
        """Called between gradient and update: what does not learn at this step loses its gradient."""
        return

    def forgets(self, _step: int, /) -> tuple[nn.Parameter, ...]:
        """Parameters whose past the optimiser forgets before this step: without it, rows that stop learning would drift on."""
        return ()

    def save_further(self, _folder: Path, _dtype: torch.dtype, /) -> dict[str, Any]:
        """Write what the checkpoint needs beside the backbone, and return what the manifest says of it."""
        return {}

    def total(self, parts: dict[str, Tensor]) -> Float[Tensor, ""]:
        """The weighted sum of the parts of the loss."""
        zero = torch.zeros((), device=self.backbone.device)
        return sum((self.weights[name] * value for name, value in parts.items()), start=zero)

    def see(self, packed: Packed, fixed: bool) -> Tensor | None:
        """The batch's visual tokens, with a gradient unless the vision tower is fixed."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not fixed):
            return self.backbone.see(packed)

    def embed(self, packed: Packed, fixed_vision: bool) -> Float[Tensor, "documents dim"]:
        """Embeddings of documents: the same model and layout, nothing written."""
        layout = self.backbone.layout
        mask = visibility(packed, layout, "latents_only")
        inputs = self.backbone.embed_tokens(packed, self.see(packed, fixed_vision))
        if layout.is_parted:
            fixed = layout.dependency == "stop_gradient"
            return self.backbone.pool(run_apart(self.backbone, packed, inputs, mask, fixed_thoughts=fixed).embed)
        return self.backbone.pool(self.backbone.run(inputs, packed.positions, mask)[:, packed.embed])

    def contrast(
        self, found: Float[Tensor, "batch dim"], batch: TrainBatch, fixed_vision: bool
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The contrastive loss of the queries' embeddings, and the share of queries whose document is the nearest."""
        documents = torch.cat([self.embed(part, fixed_vision) for part in batch.documents])
        everyone, keys, offset = gather_documents(documents, batch.keys)
        positive = batch.positive + offset
        excluded = repeated(keys) | same(batch.keys[batch.positive], keys)
        excluded[torch.arange(len(positive)), positive] = False
        hit = ((found @ everyone.T).masked_fill(excluded, -2).argmax(1) == positive).float().mean()
        return info_nce(found, everyone, positive, excluded, self.temperature), hit

    def perceive(self, visual: Tensor | None, batch: TrainBatch) -> dict[str, Tensor]:
        """The perception loss and its shares of right readings; empty where it is not trained or nothing is seen."""
        if self.heads is None or visual is None or batch.dense is None:
            return {}
        return self.heads(visual, batch.dense)


def told(written: Float[Tensor, "batch text vocab"], labels: Int[Tensor, "batch text"]) -> dict[str, Tensor]:
    """How much of the text is predicted right: of its tokens, and of whole texts (teacher-forced)."""
    there: Bool[Tensor, "batch text"] = labels != IGNORE
    right = (written.argmax(-1) == labels) | ~there
    said = there.any(dim=1)
    return {
        "token_accuracy": right[there].float().mean(),
        "thought_exact": right.all(dim=1)[said].float().mean(),
    }
