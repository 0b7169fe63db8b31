"""The embedder whose thoughts a small language model beside the backbone reads (LaME): decoding goes on from K vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.edits import Edit
from workbench.embedder import EmbedderInfo
from workbench.errors import BadInput
from workbench.models.backbone import Backbone
from workbench.models.decoding import read_off
from workbench.models.editing import Edited
from workbench.models.latent_decoder import LatentDecoder
from workbench.models.one_pass import as_array
from workbench.models.passes import Passed
from workbench.models.randomising import draw_anew, draw_module_anew, rename
from workbench.models.thinking_embedder import ThinkingEmbedder
from workbench.models.thoughts import to_scores, to_thought
from workbench.models.wording import DecoderWords, Wording
from workbench.types import Context, DecodedThought, Encoded, TextScore, Trace

_DECODER = "latent decoder"
"""Of `parts`, the one nearest to the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """What a trace keeps to decode from: the think tokens' final states, normed."""

    latents: Float[Tensor, "think width"]


@final
class BottleneckEmbedder(ThinkingEmbedder):
    """A backbone with learned think and embed tokens, and a latent decoder that reads the former."""

    def __init__(self, backbone: Backbone, info: EmbedderInfo, decoder: LatentDecoder) -> None:
        super().__init__(backbone, info)
        self._decoder = decoder

    @property
    def parts(self) -> tuple[str, ...]:
        return _DECODER, *super().parts

    def randomised(self, parts: Sequence[str], seed: int) -> "BottleneckEmbedder":
        decoder = draw_module_anew(self._decoder, seed) if _DECODER in parts else self._decoder
        backbone = draw_anew(self._backbone, [part for part in parts if part != _DECODER], seed)
        return BottleneckEmbedder(backbone, rename(self.info, parts, seed), decoder)

    def _continuation(self, row: int, _encoded: Encoded, passed: Passed, /) -> Bottleneck:
        return Bottleneck(latents=passed.think[row].clone())

    def _edited_continuation(
        self, row: int, place: int, _encoded: Encoded, edited: Edited, edit: Edit, /
    ) -> Bottleneck | None:
        if edit.hidden:
            return None  # the decoder was trained on all thoughts, and has no place for fewer
        return Bottleneck(latents=edited.hidden[row, place, : self._backbone.layout.n_think].clone())

    def decode(
        self,
        traces: Sequence[Trace],
        *,
        context: Context | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        thoughts_from: Sequence[Trace] | None = None,
    ) -> list[DecodedThought]:
        chosen = self._context(context)
        written = self._decoder.write(
            self._latents(thoughts_from or traces),
            self._backbone.ids,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
        )
        return [to_thought(self._backbone.processor.tokenizer, one, chosen) for one in written]

    @torch.inference_mode()
    def score(
        self,
        traces: Sequence[Trace],
        texts: Sequence[str],
        *,
        context: Context | None = None,
        thoughts_from: Sequence[Trace] | None = None,
    ) -> list[TextScore]:
        self._context(context)
        ids, device = self._backbone.ids, self._backbone.device
        known = {text: self.text_ids(text) for text in set(texts)}
        lines = [known[text] for text in texts]
        given = torch.full((len(lines), 1 + max(len(line) for line in lines)), ids.pad, device=device)
        wanted = given.clone()
        for row, line in enumerate(lines):
            given[row, : len(line) + 1] = torch.tensor([ids.start, *line], device=device)
            wanted[row, : len(line) + 1] = torch.tensor([*line, ids.end], device=device)
        readings = self._decoder(self._latents(thoughts_from or traces), given)
        scored = read_off(readings, wanted, [len(line) + 1 for line in lines])
        return to_scores(self._backbone.processor.tokenizer, self._backbone.layout.decoder_end, lines, scored)

    def _latents(self, traces: Sequence[Trace]) -> Float[Tensor, "batch think width"]:
        held = []
        for trace in traces:
            if not isinstance(trace.continuation, Bottleneck):
                raise BadInput(
                    f"The trace of sample '{trace.sample.id}' has no thoughts to decode from; trace it again."
                )
            held.append(trace.continuation.latents)
        return torch.stack(held)

    @torch.inference_mode()
    def vocabulary(self, hidden: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n vocab"]:
        """Logits through the final norm, the projection and the latent decoder's head.

        The backbone's own head is not trained by this recipe.
        """
        norm = self._backbone.family.final_norm(self._backbone.model)
        given = torch.from_numpy(np.ascontiguousarray(hidden)).to(self._backbone.device, self._decoder.table.dtype)
        return as_array(self._decoder.readings(norm(given)))

    def _wording(self) -> Wording:
        return DecoderWords(self._decoder, self._backbone.ids)


def with_decoder(info: EmbedderInfo, decoder: LatentDecoder) -> EmbedderInfo:
    """The facts with the decoder's parameters counted in."""
    return replace(info, n_parameters=info.n_parameters + sum(value.numel() for value in decoder.parameters()))
