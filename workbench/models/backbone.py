"""A loaded model with its layout: the forward pass that recipes train and the embedder runs."""

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.layout import Layout
from workbench.models.registries import Family, Processor
from workbench.models.roles import Roles, playing
from workbench.models.sequence import LayoutIds, Packed

_NONE = slice(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """Model, family, processor and layout that belong together."""

    model: Any
    family: Family
    processor: Processor
    layout: Layout
    ids: LayoutIds

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return self.family.token_embedding(self.model).weight.shape[1]

    def to_device(self, device: torch.device) -> "Backbone":
        """The same backbone with its model moved."""
        self.model.to(device)
        return self

    def inputs(self, packed: Packed) -> Float[Tensor, "batch seq width"]:
        """Input embeddings with the visual tokens in their places. The vision tower runs once for the whole batch."""
        return self.embed_tokens(packed, self.see(packed))

    def see(self, packed: Packed) -> Float[Tensor, "tokens width"] | None:
        """Merged visual tokens of the whole batch, in the order of its rows; None without images."""
        if packed.pixels is None:
            return None
        return self.family.visual_tokens(self.model, packed.pixels, packed.thw)

    def embed_tokens(
        self, packed: Packed, visual: Float[Tensor, "tokens width"] | None
    ) -> Float[Tensor, "batch seq width"]:
        """Input embeddings with the given visual tokens in their places."""
        embedded = self.family.token_embedding(self.model)(packed.ids)
        if visual is None:
            return embedded
        return embedded.masked_scatter(packed.image[..., None], visual.to(embedded.dtype))

    def run(
        self,
        inputs: Float[Tensor, "batch seq width"],
        positions: Tensor,
        mask: Any,
        past: Any = None,
        *,
        think: slice = _NONE,
        embed: slice = _NONE,
        stop: int | None = None,
    ) -> Float[Tensor, "batch seq width"]:
        """Final, normed hidden states. `mask` is a boolean mask, a capture plan, or None for plain causal.

        `think` and `embed` say which of the columns given are whose, for a layout whose weights differ between them. With
        `stop`, only so many layers run, and their states are normed.
        """
        adapted = self.layout.extraction == "dual_adapter"
        roles = (
            playing(Roles(columns=inputs.shape[1], think=think, embed=embed)) if adapted else contextlib.nullcontext()
        )
        part = {} if stop is None else {"stop": stop}
        with roles:
            out = self.family.text_stack(self.model)(
                inputs_embeds=inputs,
                position_ids=positions,
                attention_mask={"full_attention": mask},
                past_key_values=past,
                use_cache=past is not None,
                **part,
            )
        return out.last_hidden_state

    def speak(
        self, inputs: Float[Tensor, "batch text width"], positions: Tensor, mask: Any, past: Any
    ) -> Float[Tensor, "batch text width"]:
        """As `run`, for columns of text that is written from thoughts: what the generation head reads."""
        return self.run(inputs, positions, mask, past, think=slice(None), stop=self.layout.exit_layer or None)

    def pool(self, hidden: Float[Tensor, "*n embed width"]) -> Float[Tensor, "*n width"]:
        """Unit-length embedding from the final hidden states of the embed tokens."""
        pooled = hidden[..., -1, :] if self.layout.pooling == "last" else hidden.mean(dim=-2)
        return torch.nn.functional.normalize(pooled.float(), dim=-1)
