"""The embedder for learned think tokens filled in one pass (TTE-Flash, LaME): prepares, traces, embeds, decodes, reads words."""

import threading
from collections.abc import Sequence
from itertools import repeat
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.embedder import (
    ComposesVision,
    DecodesThoughts,
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
from workbench.models.backbone import Backbone
from workbench.models.capture import Capture, tapped
from workbench.models.continuation import Continuation
from workbench.models.copies import copies_mask, copy_positions, split_copies
from workbench.models.decoding import Written, score, write
from workbench.models.objective import BackboneObjective
from workbench.models.randomising import draw_anew, part_names, rename
from workbench.models.registries import Prefix
from workbench.models.sequence import Packed, pack, visibility
from workbench.models.vision_rollout import through_vision
from workbench.targets import Target, WordTarget
from workbench.types import Context, DecodedThought, Encoded, PatchGrid, Sample, TextScore, TokenKind, TokenTable, Trace


@final
class LatentEmbedder(Embedder, DecodesThoughts, ReadsVocabulary, Differentiable, ComposesVision, Randomisable):
    """A backbone with learned think and embed tokens."""

    def __init__(self, backbone: Backbone, info: EmbedderInfo) -> None:
        self.info = info
        self._backbone = backbone
        # The tokenizer keeps padding and truncation state while it runs; everything else here is stateless.
        self._encoding = threading.Lock()

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

    def _encode(self, sample: Sample) -> Prefix:
        with self._encoding:
            return self._backbone.processor.encode(sample)

    def _table(self, prefix: Prefix) -> TokenTable:
        backbone = self._backbone
        ids = [*prefix.ids.tolist(), *backbone.ids.think, *backbone.ids.embed]
        special = set(backbone.processor.tokenizer.all_special_ids)

        def kind(identity: int) -> TokenKind:
            if identity == backbone.ids.image:
                return "image"
            return "control" if identity in special else "text"

        kinds: tuple[TokenKind, ...] = (
            *(kind(identity) for identity in prefix.ids.tolist()),
            *repeat("think", len(backbone.ids.think)),
            *repeat("embed", len(backbone.ids.embed)),
        )
        return TokenTable(ids=np.array(ids, dtype=np.int64), texts=tuple(self.words(np.array(ids))), kinds=kinds)

    @torch.inference_mode()
    def embed(self, batch: Sequence[Encoded]) -> Float[np.ndarray, "n dim"]:
        packed = self._pack(batch)
        hidden = self._backbone.run(self._backbone.inputs(packed), packed.positions, self._mask(packed))
        return _array(self._backbone.pool(hidden[:, packed.embed]))

    @torch.inference_mode()
    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        backbone, layout = self._backbone, self._backbone.layout
        packed = self._pack(batch)
        inputs, positions = backbone.inputs(packed), packed.positions
        edits = keep.edits and layout.n_think > 0
        if edits:
            copies = inputs[:, packed.embed].repeat(1, 2 * layout.n_think, 1)
            inputs = torch.cat([inputs, copies], dim=1)
            positions = torch.cat([positions, copy_positions(packed, layout)], dim=2)
        wants_query = "query_and_latents" in layout.contexts
        capture = Capture(
            n_main=packed.embed.stop,
            rows=slice(packed.think.start, packed.embed.stop),
            main=self._mask(packed),
            copies=copies_mask(packed, layout) if edits else None,
            cache=slice(0 if wants_query else packed.think.start, packed.think.stop) if keep.continuation else None,
            attention=keep.attention,
        )
        layers = backbone.family.layers(backbone.model) if keep.latents else []
        with tapped(layers, packed.think) as tap:
            hidden = backbone.run(inputs, positions, capture)
        embedding = backbone.pool(hidden[:, packed.embed])
        groups = None
        if edits:
            groups = backbone.pool(split_copies(hidden[:, packed.embed.stop :], layout))
        return [
            self._trace(
                row, encoded, packed, capture, tap.states, embedding[row], None if groups is None else groups[row]
            )
            for row, encoded in enumerate(batch)
        ]

    def _trace(
        self,
        row: int,
        encoded: Encoded,
        packed: Packed,
        capture: Capture,
        states: Sequence[Tensor],
        embedding: Tensor,
        groups: Tensor | None,
    ) -> Trace:
        n_think, dim = self._backbone.layout.n_think, len(embedding)
        begin = packed.embed.stop - len(encoded.tokens.ids)
        attention = np.zeros((0, self.info.n_heads, n_think + 1, len(encoded.tokens.ids)), dtype=np.float32)
        if capture.attention:
            # Of several embed tokens the last row is kept: K think rows, then one embed row.
            rows = [*range(n_think), packed.embed.stop - packed.think.start - 1]
            attention = _array(torch.stack([layer[row][:, rows, begin:] for layer in capture.attention]))
        latents = np.zeros((0, n_think, self.info.width), dtype=np.float32)
        if states:
            latents = _array(torch.stack([layer[row] for layer in states]))
        changed = _array(groups) if groups is not None else np.zeros((0, dim), dtype=np.float32)
        own = _array(embedding)[None]
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
            continuation=self._continuation(row, encoded, packed, capture) if capture.keys else None,
        )

    def _continuation(self, row: int, encoded: Encoded, packed: Packed, capture: Capture) -> Continuation:
        assert capture.cache is not None
        with_query = capture.cache.start == 0
        begin = packed.embed.stop - len(encoded.tokens.ids) if with_query else 0
        return Continuation(
            keys=tuple(keys[row, :, begin:].clone() for keys in capture.keys),
            values=tuple(values[row, :, begin:].clone() for values in capture.values),
            n_query=encoded.think.start if with_query else 0,
            n_think=self._backbone.layout.n_think,
            position=int(packed.positions[0, row, packed.embed.stop - 1]) + 1,
        )

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
        batch = self._continuations(traces, thoughts_from, chosen)
        written = write(self._backbone, batch, max_tokens=max_tokens, temperature=temperature, seed=seed)
        return [self._thought(one, chosen) for one in written]

    def score(
        self,
        traces: Sequence[Trace],
        texts: Sequence[str],
        *,
        context: Context | None = None,
        thoughts_from: Sequence[Trace] | None = None,
    ) -> list[TextScore]:
        chosen = self._context(context)
        batch = self._continuations(traces, thoughts_from, chosen)
        with self._encoding:
            ids = [self._backbone.processor.tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
        scores = score(self._backbone, batch, ids)
        end = self._backbone.layout.decoder_end
        return [
            TextScore(tokens=(*self._pieces(line), end), log_probabilities=tuple(values))
            for line, values in zip(ids, scores, strict=True)
        ]

    def _context(self, context: Context | None) -> Context:
        known = self.info.contexts
        if not known:
            raise Unsupported(f"'{self.info.name}' was not trained to write its thoughts.")
        if context is not None and context not in known:
            raise Unsupported(
                f"'{self.info.name}' was not trained to decode with the context '{context}', only: {', '.join(known)}."
            )
        return context or known[0]

    def _continuations(
        self, traces: Sequence[Trace], thoughts_from: Sequence[Trace] | None, context: Context
    ) -> list[Continuation]:
        own = [self._seen(trace, context) for trace in traces]
        if thoughts_from is None:
            return own
        others = [self._seen(trace, context) for trace in thoughts_from]
        family, model = self._backbone.family, self._backbone.model
        return [mine.with_thoughts(other, family, model) for mine, other in zip(own, others, strict=True)]

    def _seen(self, trace: Trace, context: Context) -> Continuation:
        continuation = trace.continuation
        if not isinstance(continuation, Continuation):
            raise BadInput(f"The trace of sample '{trace.sample.id}' has no cache to decode from; trace it again.")
        return continuation if context == "query_and_latents" else continuation.thoughts_only()

    def _thought(self, written: Written, context: Context) -> DecodedThought:
        pieces = self._pieces(written.ids)
        return DecodedThought(
            text="".join(pieces),
            tokens=tuple(pieces),
            token_ids=written.ids,
            log_probabilities=written.log_probabilities,
            context=context,
            finish="end" if written.ended else "length",
        )

    def _pieces(self, ids: Sequence[int]) -> list[str]:
        """Text of each token such that joined they are the whole text; bytes of a split character go to its last token."""
        tokenizer = self._backbone.processor.tokenizer
        pieces, done = [], ""
        for count in range(1, len(ids) + 1):
            text = tokenizer.decode(list(ids[:count]), clean_up_tokenization_spaces=False)
            if text.endswith("\N{REPLACEMENT CHARACTER}") and count < len(ids):
                pieces.append("")
                continue
            pieces.append(text[len(done) :])
            done = text
        return pieces

    @torch.inference_mode()
    def vocabulary(self, hidden: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n vocab"]:
        backbone = self._backbone
        head = backbone.family.head(backbone.model)
        states = torch.from_numpy(np.ascontiguousarray(hidden)).to(backbone.device, next(head.parameters()).dtype)
        return _array(head(backbone.family.final_norm(backbone.model)(states)))

    def words(self, ids: Int[np.ndarray, " n"]) -> list[str]:
        tokenizer = self._backbone.processor.tokenizer
        return [_visible(tokenizer.decode([int(i)], clean_up_tokenization_spaces=False)) for i in ids]

    def text_ids(self, text: str) -> tuple[int, ...]:
        with self._encoding:
            return tuple(self._backbone.processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    def objective(
        self, encoded: Encoded, targets: Sequence[Target], *, level: Level = "tokens", context: Context | None = None
    ) -> Objective:
        if not encoded.grids:
            raise Unsupported(f"The sample '{encoded.sample.id}' has no image, and a map of patches needs one.")
        if any(isinstance(target, WordTarget) for target in targets):
            context = self._context(context)
        return BackboneObjective(self._backbone, encoded, targets, level, context or "latents_only", self._encode)

    def through_vision(
        self, encoded: Encoded, rows: Float[np.ndarray, "rows cells"]
    ) -> Float[np.ndarray, "rows cells"]:
        if not encoded.grids:
            raise Unsupported(f"The sample '{encoded.sample.id}' has no image to follow attention back to.")
        given = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).to(self._backbone.device)
        return _array(through_vision(self._backbone, encoded, given))

    @property
    def parts(self) -> tuple[str, ...]:
        return part_names(self._backbone)

    def randomised(self, parts: Sequence[str], seed: int) -> "LatentEmbedder":
        return LatentEmbedder(draw_anew(self._backbone, parts, seed), rename(self.info, parts, seed))

    def _pack(self, batch: Sequence[Encoded]) -> Packed:
        if not batch:
            raise BadInput("The batch is empty; give at least one sample.")
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


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
