"""The embedder that thinks in latents which it can decode and whose thoughts can be edited, whoever writes its text."""

import abc
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from workbench.edits import Edit
from workbench.embedder import DecodesThoughts, Editable
from workbench.errors import BadInput, Unsupported
from workbench.models.editable import why_not_editable
from workbench.models.editing import Edited, run_edits
from workbench.models.one_pass import OnePassEmbedder, as_array
from workbench.models.runs import runs
from workbench.models.sequence import Packed
from workbench.types import Encoded, Trace


class ThinkingEmbedder(OnePassEmbedder, DecodesThoughts, Editable):
    """A backbone with learned think and embed tokens and a decoder."""

    @property
    def learned(self) -> Float[np.ndarray, "think width"]:
        return self._table_rows(self._backbone.ids.think)

    @property
    def dummy(self) -> Float[np.ndarray, " width"]:
        return self._table_rows((self._backbone.ids.start,))[0]

    def _table_rows(self, ids: Sequence[int]) -> np.ndarray:
        return as_array(self._backbone.family.token_embedding(self._backbone.model).weight[list(ids)])

    def edit(
        self, batch: Sequence[Encoded], edits: Sequence[Sequence[Edit]], *, latents: bool = False
    ) -> list[list[Trace]]:
        if not batch or len({len(some) for some in edits}) != 1 or len(edits) != len(batch) or not edits[0]:
            raise BadInput(
                "Edits are of one sample or more, with as many edits for each as for the others, one at least."
            )
        if (reason := why_not_editable(self._backbone.layout, self.info.name)) is not None:
            raise Unsupported(reason)
        tail = self._backbone.layout.n_think + self._backbone.layout.n_embed
        lengths = [len(encoded.tokens.ids) + len(edits[0]) * tail for encoded in batch]
        together = runs(list(zip(batch, edits, strict=True)), lengths, self._backbone.device)
        return [traces for run in together for traces in self._edit(run, latents)]

    @torch.inference_mode()
    def _edit(self, run: Sequence[tuple[Encoded, Sequence[Edit]]], latents: bool) -> list[list[Trace]]:
        batch, edits = [encoded for encoded, _ in run], [some for _, some in run]
        packed = self._pack(batch)
        cached = self._cached(packed)
        first = None if cached is None else cached.start
        edited = run_edits(self._backbone, packed, batch, edits, first=first, latents=latents)
        embeddings = as_array(self._backbone.pool(edited.hidden[:, :, self._backbone.layout.n_think :]))
        states = as_array(torch.stack(edited.states, dim=2)) if edited.states else None
        found = []
        for row, (encoded, some) in enumerate(zip(batch, edits, strict=True)):
            bare = self._bare_trace(encoded)
            found.append(
                [
                    replace(
                        bare,
                        embedding=embeddings[row, place],
                        stepwise=embeddings[row, place][None],
                        latents=bare.latents if states is None else states[row, place],
                        continuation=self._edited_continuation(row, place, encoded, edited, edit),
                    )
                    for place, edit in enumerate(some)
                ]
            )
        return found

    def _bare_trace(self, encoded: Encoded) -> Trace:
        info, n = self.info, len(encoded.tokens.ids)
        empty = np.zeros((0, info.dim), dtype=np.float32)
        return Trace(
            sample=encoded.sample,
            tokens=encoded.tokens,
            grids=encoded.grids,
            think=encoded.think,
            embed=encoded.embed,
            latents=np.zeros((0, info.n_think, info.width), dtype=np.float32),
            attention=np.zeros((0, info.n_heads, info.n_think + 1, n), dtype=np.float32),
            embedding=np.zeros(info.dim, dtype=np.float32),
            stepwise=empty,
            knockout=empty,
            provenance=info.provenance,
        )

    @abc.abstractmethod
    def _edited_continuation(self, row: int, place: int, encoded: Encoded, edited: Edited, edit: Edit, /) -> object:
        """What the decoder goes on from under edit `place` of row `row`; None where it cannot."""


def visible(edit: Edit, packed: Packed) -> list[int]:
    """Thoughts that an edit does not hide."""
    return [k for k in range(packed.think.stop - packed.think.start) if k not in edit.hidden]
