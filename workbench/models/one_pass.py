"""The embedder of one pass: query, think tokens where there are any, embed tokens. It prepares, traces, embeds, reads words.

What writes text from its thoughts is built upon it: `latent_embedder` (TTE-Flash), `bottleneck_embedder` (LaME) and
`writing_embedder` (explicit CoT). By itself it is the embedder that does not think.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.embedder import (
    ComposesVision,
    Differentiable,
    Embedder,
    EmbedderInfo,
    Keep,
    Level,
    Objective,
    Randomisable,
    ReadsVocabulary,
)
from workbench.errors import BadInput, Unsupported
from workbench.models.apart import run_apart
from workbench.models.backbone import Backbone
from workbench.models.copies import split_copies
from workbench.models.objective import BackboneObjective
from workbench.models.passes import Passed, traced
from workbench.models.randomising import draw_anew, part_names, rename
from workbench.models.registries import Prefix
from workbench.models.runs import runs
from workbench.models.sequence import Packed, pack, visibility
from workbench.models.vision_rollout import through_vision
from workbench.models.wording import OwnWords, Wording
from workbench.targets import Target, WordTarget
from workbench.types import Context, Encoded, PatchGrid, Sample, TokenKind, TokenTable, Trace


class OnePassEmbedder(Embedder, ReadsVocabulary, Differentiable, ComposesVision, Randomisable):
    """A backbone with think tokens, or none, and embed tokens, filled in one pass."""

    def __init__(self, backbone: Backbone, info: EmbedderInfo) -> None:
        self.info = info
        self._backbone = backbone
        # The tokenizer keeps padding and truncation state while it runs; everything else here is stateless.
        self._encoding = threading.Lock()
        # Asked for every position of every sample, and slow to ask of a tokenizer.
        self._special = frozenset(backbone.processor.tokenizer.all_special_ids)
        self._words: dict[int, str] = {}

    def prepare(self, sample: Sample) -> Encoded:
        prefix = self._encode(sample)
        length = len(prefix.ids) + self._backbone.layout.n_think + self._backbone.layout.n_embed
        if length > self.info.max_tokens:
            raise BadInput(
                f"The sample is {length} tokens long, but the model takes {self.info.max_tokens}; shorten the text "
                "or send smaller or fewer images."
            )
        grids = tuple(
            PatchGrid(frames=frames, rows=rows, cols=cols, start=start)
            for (frames, rows, cols), start in zip(prefix.grids, prefix.spans, strict=True)
        )
        think = slice(len(prefix.ids), len(prefix.ids) + self._backbone.layout.n_think)
        return Encoded(
            sample=sample,
            inputs={"prefix": prefix},
            tokens=self._table(prefix),
            grids=grids,
            think=think,
            embed=length - 1,
        )

    def length(self, sample: Sample) -> int:
        with self._encoding:
            length = self._backbone.processor.length(sample)
        return length + self._backbone.layout.n_think + self._backbone.layout.n_embed

    def _encode(self, sample: Sample) -> Prefix:
        with self._encoding:
            return self._backbone.processor.encode(sample)

    def _table(self, prefix: Prefix) -> TokenTable:
        backbone = self._backbone
        ids = [*prefix.ids.tolist(), *backbone.ids.think, *backbone.ids.embed]

        # By place, not by token: a written text may hold the image token as a word.
        image = {
            start + n for start, (f, r, c) in zip(prefix.spans, prefix.grids, strict=True) for n in range(f * r * c)
        }

        def kind(place: int, identity: int) -> TokenKind:
            if place in image:
                return "image"
            return "control" if identity in self._special else "text"

        kinds: tuple[TokenKind, ...] = (
            *(kind(place, identity) for place, identity in enumerate(prefix.ids.tolist())),
            *repeat("think", len(backbone.ids.think)),
            *repeat("embed", len(backbone.ids.embed)),
        )
        return TokenTable(ids=np.array(ids, dtype=np.int64), texts=tuple(self.words(np.array(ids))), kinds=kinds)

    @torch.inference_mode()
    def embed(self, batch: Sequence[Encoded]) -> Float[np.ndarray, "n dim"]:
        return np.concatenate([self._embed(together) for together in self._runs(batch)])

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        return [trace for together in self._runs(batch) for trace in self._pass(together, keep)]

    def _runs(self, batch: Sequence[Encoded]) -> Iterator[Sequence[Encoded]]:
        if not batch:
            raise BadInput("The batch is empty; give at least one sample.")
        return runs(batch, [len(encoded.tokens.ids) for encoded in batch], self._backbone.device)

    def _embed(self, batch: Sequence[Encoded]) -> Float[np.ndarray, "n dim"]:
        backbone, packed = self._backbone, self._pack(batch)
        inputs = backbone.inputs(packed)
        if backbone.layout.extraction == "two_pass":
            mask = visibility(packed, backbone.layout, "latents_only")
            return as_array(backbone.pool(run_apart(backbone, packed, inputs, mask).embed))
        hidden = backbone.run(inputs, packed.positions, self._mask(packed), think=packed.think, embed=packed.embed)
        return as_array(backbone.pool(hidden[:, packed.embed]))

    @torch.inference_mode()
    def _pass(self, batch: Sequence[Encoded], keep: Keep) -> list[Trace]:
        backbone, layout = self._backbone, self._backbone.layout
        packed = self._pack(batch)
        passed = traced(backbone, packed, self._mask(packed), keep, self._cached(packed))
        embedding = backbone.pool(passed.embed)
        groups = backbone.pool(split_copies(passed.copies, layout)) if passed.copies.shape[1] else None
        traces = [
            self._trace(row, encoded, passed, embedding[row], None if groups is None else groups[row])
            for row, encoded in enumerate(batch)
        ]
        if not keep.continuation:
            return traces
        return [
            replace(trace, continuation=self._continuation(row, encoded, passed))
            for row, (trace, encoded) in enumerate(zip(traces, batch, strict=True))
        ]

    def _trace(
        self,
        row: int,
        encoded: Encoded,
        passed: Passed,
        embedding: Tensor,
        groups: Tensor | None,
    ) -> Trace:
        n_think, dim, packed = self._backbone.layout.n_think, len(embedding), passed.packed
        begin = packed.embed.stop - len(encoded.tokens.ids)
        attention = np.zeros((0, self.info.n_heads, n_think + 1, len(encoded.tokens.ids)), dtype=np.float32)
        if passed.attention:
            # Of several embed tokens the last row is kept: K think rows, then one embed row.
            rows = [*range(n_think), packed.embed.stop - packed.think.start - 1]
            attention = as_array(torch.stack([layer[row][:, rows, begin:] for layer in passed.attention]))
        latents = np.zeros((0, n_think, self.info.width), dtype=np.float32)
        if passed.states:
            latents = as_array(torch.stack([layer[row] for layer in passed.states]))
        changed = as_array(groups) if groups is not None else np.zeros((0, dim), dtype=np.float32)
        own = as_array(embedding)[None]
        return Trace(
            sample=encoded.sample,
            tokens=encoded.tokens,
            grids=encoded.grids,
            think=encoded.think,
            embed=encoded.embed,
            latents=latents,
            attention=attention,
            embedding=own[0],
            stepwise=np.concatenate([changed[:n_think], own]),
            knockout=changed[n_think:],
            provenance=self.info.provenance,
        )

    def _cached(self, _packed: Packed, /) -> slice | None:
        """The columns whose keys and values a trace keeps to decode from; None for none."""
        return None

    def _continuation(self, _row: int, _encoded: Encoded, _passed: Passed, /) -> Any:
        """What row `row` of the pass keeps to decode from."""
        return None

    def _context(self, context: Context | None) -> Context:
        known = self.info.contexts
        if not known:
            raise Unsupported(f"'{self.info.name}' was not trained to write its thoughts.")
        if context is not None and context not in known:
            raise Unsupported(
                f"'{self.info.name}' was not trained to decode with the context '{context}', only: {', '.join(known)}."
            )
        return context or known[0]

    @torch.inference_mode()
    def vocabulary(self, hidden: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n vocab"]:
        backbone = self._backbone
        head = backbone.family.head(backbone.model)
        states = torch.from_numpy(np.ascontiguousarray(hidden)).to(backbone.device, next(head.parameters()).dtype)
        return as_array(head(backbone.family.final_norm(backbone.model)(states)))

    def words(self, ids: Int[np.ndarray, " n"]) -> list[str]:
        tokenizer, known = self._backbone.processor.tokenizer, self._words
        asked = ids.tolist()
        for identity in set(asked) - known.keys():
            known[identity] = _visible(tokenizer.decode([identity], clean_up_tokenization_spaces=False))
        return [known[identity] for identity in asked]

    def text_ids(self, text: str) -> tuple[int, ...]:
        with self._encoding:
            return tuple(self._backbone.processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    def objective(
        self, encoded: Encoded, targets: Sequence[Target], *, level: Level = "tokens", context: Context | None = None
    ) -> Objective:
        if not encoded.grids:
            raise Unsupported(f"The sample '{encoded.sample.id}' has no image, and a map of patches needs one.")
        extraction = self._backbone.layout.extraction
        if extraction != "shared":
            raise Unsupported(
                f"'{self.info.name}' has the extraction {extraction}, and maps of what it looks at are built for models whose think "
                "and embed tokens come from one pass with shared weights; its attention can be read."
            )
        if any(isinstance(target, WordTarget) for target in targets):
            context = self._context(context)
        return BackboneObjective(
            self._backbone,
            encoded,
            targets,
            level,
            context or "latents_only",
            self._encode,
            self._wording(),
            self._written(encoded),
        )

    def _wording(self) -> Wording:
        return OwnWords(self._backbone)

    def _written(self, _encoded: Encoded, /) -> slice | None:
        """Where a text stands that was written before the embedding, its start token first; None where none is."""
        return None

    def through_vision(
        self, encoded: Encoded, rows: Float[np.ndarray, "rows cells"]
    ) -> Float[np.ndarray, "rows cells"]:
        if not encoded.grids:
            raise Unsupported(f"The sample '{encoded.sample.id}' has no image to follow attention back to.")
        given = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).to(self._backbone.device)
        return as_array(through_vision(self._backbone, encoded, given))

    @property
    def parts(self) -> tuple[str, ...]:
        return part_names(self._backbone)

    def randomised(self, parts: Sequence[str], seed: int) -> "OnePassEmbedder":
        return self._on(draw_anew(self._backbone, parts, seed), rename(self.info, parts, seed))

    def _on(self, backbone: Backbone, info: EmbedderInfo) -> "OnePassEmbedder":
        return type(self)(backbone, info)

    def _pack(self, batch: Sequence[Encoded]) -> Packed:
        prefixes = [encoded.inputs["prefix"] for encoded in batch]
        return pack(prefixes, self._backbone.ids).to(self._backbone.device)

    def _mask(self, packed: Packed) -> Any:
        padded = bool((packed.segments[:, 0] < 0).any())
        if self._backbone.layout.is_causal and not padded:
            return None
        return visibility(packed, self._backbone.layout, "latents_only")


def _visible(word: str) -> str:
    """The word with control characters as escapes: a NUL at the end of a string array's entry would vanish."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in word)


def as_array(tensor: Tensor) -> np.ndarray:
    """The tensor's values as float32, on the CPU, in C order."""
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
