"""The embedder that writes its reasoning first (explicit CoT), then embeds attending to query and reasoning.

It has no think tokens: its thought is the text. So a trace begins with writing, its token table holds the text between
query and embed token, and `decode` gives back what was written. What other embedders do with another sample's thoughts is
done here with what the text is written from: another sample's query. Documents are embedded without reasoning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import final

import numpy as np
import torch
from jaxtyping import Float

from workbench.embedder import DecodesThoughts, EmbedderInfo, Keep, Level, Objective
from workbench.errors import BadInput
from workbench.models.backbone import Backbone
from workbench.models.decoding import Written, read_off
from workbench.models.one_pass import OnePassEmbedder, as_array
from workbench.models.registries import Prefix
from workbench.models.sequence import pack, visibility, with_text
from workbench.models.spelling_out import write_and_embed
from workbench.models.thoughts import to_scores, to_thought
from workbench.targets import Target, WordTarget
from workbench.types import Context, DecodedThought, Encoded, Sample, TextScore, TokenKind, Trace

MAX_WRITTEN = 256
"""Tokens after which a reasoning is cut and the embed token fed all the same, where the checkpoint does not say (`max_written`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoned:
    """What a trace keeps to decode from: the query, and what was written from it."""

    prefix: Prefix
    written: Written


_SILENT = Written(ids=(), log_probabilities=(), ended=True)
_HELD, _QUERY = "written", "query"
"""Among a sample's inputs: the text that stands in its prefix already, and the prefix without it."""


@final
class WritingEmbedder(OnePassEmbedder, DecodesThoughts):
    """A backbone that writes its reasoning before it embeds a query.

    `most`: tokens after which a reasoning is cut: as many as it was trained on. None: `MAX_WRITTEN`.
    """

    def __init__(self, backbone: Backbone, info: EmbedderInfo, most: int | None = None) -> None:
        super().__init__(backbone, info)
        self._given = most

    @property
    def _most(self) -> int:
        return MAX_WRITTEN if self._given is None else self._given

    def _on(self, backbone: Backbone, info: EmbedderInfo) -> "WritingEmbedder":
        return WritingEmbedder(backbone, info, self._given)

    def length(self, sample: Sample) -> int:
        # The text's length is not known before it is written.
        return super().length(sample) + (self._most + 2 if sample.role == "query" else 0)

    @torch.inference_mode()
    def embed(self, batch: Sequence[Encoded]) -> Float[np.ndarray, "n dim"]:
        return self._spell_out(batch, scored=False)[1]

    def _spell_out(
        self, batch: Sequence[Encoded], *, scored: bool = True
    ) -> tuple[list[Written], Float[np.ndarray, "n dim"]]:
        """What each sample writes, and its embedding. Documents write nothing, and a text that is held is not written anew.

        Without `scored`, not how sure it was.
        """
        if not batch:
            raise BadInput("The batch is empty; give at least one sample.")
        found = np.zeros((len(batch), self.info.dim), dtype=np.float32)
        written = [_SILENT] * len(batch)
        given = [encoded.sample.role != "query" or _HELD in encoded.inputs for encoded in batch]
        asked = [place for place, done in enumerate(given) if not done]
        silent = [place for place, done in enumerate(given) if done]
        if silent:
            found[silent] = super().embed([batch[place] for place in silent])
            for place in silent:
                written[place] = batch[place].inputs.get(_HELD, _SILENT)
        if asked:
            prefixes = [batch[place].inputs["prefix"] for place in asked]
            texts, embeddings = write_and_embed(
                self._backbone, prefixes, max_tokens=self._room(prefixes), scored=scored
            )
            found[asked] = as_array(embeddings)
            for place, text in zip(asked, texts, strict=True):
                written[place] = text
        return written, found

    def _room(self, prefixes: Sequence[Prefix]) -> int:
        longest = max(len(prefix.ids) for prefix in prefixes)
        return max(0, min(self._most, self.info.max_tokens - longest - 2 - self._backbone.layout.n_embed))

    @torch.inference_mode()
    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        written, embeddings = self._spell_out(batch)
        longer = [self._with(encoded, text) for encoded, text in zip(batch, written, strict=True)]
        if keep.attention:
            # A pass over what was written, for the rows of attention that writing does not score.
            traces = super().trace(longer, replace(keep, continuation=False))
        else:
            traces = [self._bare(encoded, embedding) for encoded, embedding in zip(longer, embeddings, strict=True)]
        if not keep.continuation:
            return traces
        return [
            replace(
                trace, continuation=Reasoned(prefix=encoded.inputs.get(_QUERY, encoded.inputs["prefix"]), written=text)
            )
            for trace, encoded, text in zip(traces, batch, written, strict=True)
        ]

    def hold(self, encoded: Encoded, trace: Trace) -> Encoded:
        if encoded.sample.role != "query" or _HELD in encoded.inputs:
            return encoded
        n, backbone = len(encoded.inputs["prefix"].ids), self._backbone
        said = trace.tokens.ids[n : len(trace.tokens.ids) - backbone.layout.n_embed].tolist()
        if not said or said[0] != backbone.ids.start or said[-1] != backbone.ids.end:
            raise ValueError(f"the trace of '{trace.sample.id}' holds no text that was written behind {n} tokens")
        ids = tuple(said[1:-1])
        return self._with(encoded, Written(ids=ids, log_probabilities=(), ended=True))

    def _with(self, encoded: Encoded, written: Written) -> Encoded:
        """The sample with its text behind the query; a document as it is."""
        if encoded.sample.role != "query" or encoded.inputs.get(_HELD) is written:
            return encoded
        query = encoded.inputs.get(_QUERY, encoded.inputs["prefix"])
        prefix = with_text(query, torch.tensor(written.ids, dtype=torch.long), self._backbone.ids)
        n = len(prefix.ids)
        table, begin, end = self._table(prefix), len(query.ids) + 1, len(query.ids) + 1 + len(written.ids)
        said: tuple[TokenKind, ...] = (*repeat("reasoning", len(written.ids)),)
        return replace(
            encoded,
            inputs={"prefix": prefix, _QUERY: query, _HELD: written},
            tokens=replace(table, kinds=(*table.kinds[:begin], *said, *table.kinds[end:])),
            think=slice(n, n),
            embed=n + self._backbone.layout.n_embed - 1,
        )

    def _bare(self, encoded: Encoded, embedding: Float[np.ndarray, " dim"]) -> Trace:
        n, heads = len(encoded.tokens.ids), self.info.n_heads
        return Trace(
            sample=encoded.sample,
            tokens=encoded.tokens,
            grids=encoded.grids,
            think=encoded.think,
            embed=encoded.embed,
            latents=np.zeros((self.info.n_layers, 0, self.info.width), dtype=np.float32),
            attention=np.zeros((0, heads, 1, n), dtype=np.float32),
            embedding=embedding,
            stepwise=embedding[None],
            knockout=np.zeros((0, len(embedding)), dtype=np.float32),
            provenance=self.info.provenance,
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
        """The text that was written before the embedding, cut to `max_tokens`; at a temperature, another one is drawn.

        `thoughts_from`: the text that the other sample wrote, since a text is written from the whole query.
        """
        chosen, tokenizer = self._context(context), self._backbone.processor.tokenizer
        sources = [self._reasoned(trace) for trace in thoughts_from or traces]
        if any(len(source.written.log_probabilities) < len(source.written.ids) for source in sources):
            raise BadInput(
                "A text that a sample was given to hold was not written here; trace the sample itself to decode."
            )
        if temperature == 0.0:
            return [to_thought(tokenizer, _cut(source.written, max_tokens), chosen) for source in sources]
        prefixes = [source.prefix for source in sources]
        room = min(max_tokens, self._room(prefixes))
        drawn, _ = write_and_embed(self._backbone, prefixes, max_tokens=room, temperature=temperature, seed=seed)
        return [to_thought(tokenizer, one, chosen) for one in drawn]

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
        backbone = self._backbone
        sources = [self._reasoned(trace) for trace in thoughts_from or traces]
        said = [torch.tensor([*self.text_ids(text), backbone.ids.end]) for text in texts]
        longer = [with_text(source.prefix, text, backbone.ids) for source, text in zip(sources, said, strict=True)]
        packed = pack(longer, backbone.ids).to(backbone.device)
        mask = visibility(packed, backbone.layout, "query_and_latents")
        hidden = backbone.run(backbone.inputs(packed), packed.positions, mask)
        # The last column before the embed tokens holds the end token, which predicts nothing.
        last = packed.embed.start - 1
        head, tokenizer = backbone.family.head(backbone.model), backbone.processor.tokenizer
        scored = []
        for row, ids in enumerate(said):
            readings = head(hidden[row, last - len(ids) : last])[None]
            scored += read_off(readings, ids[None].to(readings.device), [len(ids)])
        return to_scores(tokenizer, backbone.layout.decoder_end, [ids[:-1].tolist() for ids in said], scored)

    def _reasoned(self, trace: Trace) -> Reasoned:
        if not isinstance(trace.continuation, Reasoned):
            raise BadInput(f"The trace of sample '{trace.sample.id}' has no query to write from; trace it again.")
        return trace.continuation

    def objective(
        self, encoded: Encoded, targets: Sequence[Target], *, level: Level = "tokens", context: Context | None = None
    ) -> Objective:
        if _HELD not in encoded.inputs:
            encoded = self._with(encoded, self._spell_out([encoded], scored=False)[0][0])
        words = [target for target in targets if isinstance(target, WordTarget)]
        needed = words[0].tokens[: max(target.stop for target in words) - 1] if words else ()
        if needed and encoded.inputs.get(_HELD, _SILENT).ids[: len(needed)] != needed:
            # Words of another text than the sample's own: one that was drawn, or written by a person.
            if len(words) < len(targets):
                raise ValueError("the targets of one objective must share their text")
            encoded = self._with(encoded, Written(ids=words[0].tokens, log_probabilities=(), ended=True))
        return super().objective(encoded, targets, level=level, context=context)

    def _written(self, encoded: Encoded, /) -> slice | None:
        if _HELD not in encoded.inputs:
            return None
        n = len(encoded.inputs[_QUERY].ids)
        return slice(n, n + 1 + len(encoded.inputs[_HELD].ids))


def _cut(written: Written, most: int) -> Written:
    if len(written.ids) <= most:
        return written
    return Written(ids=written.ids[:most], log_probabilities=written.log_probabilities[:most], ended=False)
