"""LoRA adapters on the text stack, through peft; without a rank, full fine-tuning and nothing to do."""

import contextlib
from collections.abc import Iterator
from typing import Any, final

import torch
from torch import nn

from workbench.errors import MissingExtra
from workbench.models.backbone import Backbone


@final
class Adapters:
    """The adapters of one backbone, or none."""

    def __init__(self, wrapped: Any, tables: tuple[nn.Parameter, ...] = ()) -> None:
        self._wrapped = wrapped
        self.tables = tables
        """Embedding tables of which only the layout's rows learn; weight decay must leave them alone."""

    @classmethod
    def attach(cls, backbone: Backbone, rank: int, *, seed: int = 0) -> "Adapters":
        """Add adapters of the given rank in place (rank 0: none) and freeze the rest but the layout's token rows."""
        if not rank:
            return cls(None)
        try:
            from peft import LoraConfig, get_peft_model

            from workbench.models.dual_adapter import TEXT_MATRICES
        except ImportError as error:
            raise MissingExtra("LoRA needs peft: pip install peft") from error
        settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TEXT_MATRICES)
        # peft draws from the process's own generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            wrapped = get_peft_model(backbone.model, settings)
        return cls(wrapped, rows_alone(backbone))

    @contextlib.contextmanager
    def merged(self, backbone: Backbone) -> Iterator[dict[str, torch.Tensor]]:
        """While the block runs, the weights hold the adapters; gives them under the names of the plain model.

        The two sets of `dual_adapter` are not for all positions, so they are left out.
        """
        if backbone.layout.extraction == "dual_adapter":
            from workbench.models.dual_adapter import plain_weights

            yield plain_weights(backbone.model)
            return
        if self._wrapped is None:
            yield backbone.model.state_dict()
            return
        self._wrapped.merge_adapter()
        try:
            state = backbone.model.state_dict()
            yield {name.replace(".base_layer", ""): value for name, value in state.items() if ".lora_" not in name}
        finally:
            self._wrapped.unmerge_adapter()


def rows_alone(backbone: Backbone) -> tuple[nn.Parameter, ...]:
    """Let of the embedding tables only the layout's rows learn; returns the tables."""
    family, ids = backbone.family, backbone.ids
    both = (family.token_embedding(backbone.model).weight, family.head(backbone.model).weight)
    tables = {id(table): table for table in both if isinstance(table, nn.Parameter)}
    for table in tables.values():
        learns = torch.zeros(len(table), 1, device=table.device, dtype=table.dtype)
        learns[[*ids.think, *ids.embed, ids.start, ids.end]] = 1
        table.requires_grad_(True)
        table.register_hook(learns.mul)  # pyright: ignore[reportCallIssue] - the stub takes it for a value
    return tuple(tables.values())
