"""LoRA adapters on the text stack, through peft; without a rank, full fine-tuning and nothing to do."""

import contextlib
from collections.abc import Iterator
from typing import Any, final

import torch

from workbench.errors import MissingExtra
from workbench.models.backbone import Backbone

TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


@final
class Adapters:
    """The adapters of one backbone, or none."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    @classmethod
    def attach(cls, backbone: Backbone, rank: int) -> "Adapters":
        """Add adapters of the given rank in place (rank 0: none) and freeze the rest but the layout's token rows."""
        if not rank:
            return cls(None)
        try:
            from peft import LoraConfig, get_peft_model  # noqa: PLC0415 - optional and slow to import
        except ImportError as error:
            raise MissingExtra("LoRA needs peft: pip install peft") from error
        rows = sorted({*backbone.ids.think, *backbone.ids.embed, backbone.ids.start, backbone.ids.end})
        config = LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules=TARGETS, trainable_token_indices={"embed_tokens": rows}
        )
        return cls(get_peft_model(backbone.model, config))

    @contextlib.contextmanager
    def merged(self) -> Iterator[None]:
        """While the block runs, the weights hold the adapters."""
        if self._wrapped is None:
            yield
            return
        self._wrapped.merge_adapter()
        try:
            with torch.no_grad():
                yield
        finally:
            self._wrapped.unmerge_adapter()
