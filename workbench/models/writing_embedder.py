"""The embedder that writes its reasoning first (explicit CoT), then embeds attending to query and reasoning.

It has no think tokens: its thought is the text. So a trace begins with writing, its token table holds the text between
query and embed token, and `decode` gives back what was written. What other embedders do with another sample's thoughts is
done here with what the text is written from: another sample's query. Documents are embedded without reasoning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from jaxtyping import Float

from workbench.embedder import DecodesThoughts, Keep, Level, Objective
from workbench.errors import BadInput, Unsupported
from workbench.models.decoding import Written, read_off
from workbench.models.one_pass import OnePassEmbedder, as_array
from workbench.models.registries import Prefix
from workbench.models.sequence import pack, visibility, with_text
from workbench.models.spelling_out import write_and_embed
from workbench.models.thoughts import to_scores, to_thought
from workbench.targets import Target, WordTarget
from workbench.types import Context, DecodedThought, Encoded, TextScore, Trace

MAX_WRITTEN = 256
"""Tokens after which a reasoning is cut and the embed token fed all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoned:
    """What a trace keeps to decode from: the query, and what was written from it."""

    prefix: Prefix
    written: Written


_SILENT = Written(ids=(), log_probabilities=(), ended=True)


@final
class WritingEmbedder(OnePassEmbedder, DecodesThoughts):
    """A backbone that writes its reasoning before it embeds a query."""

    @torch.inference_mode()
    def embed(self, batch: Sequence[Encoded]) -> Float[np.ndarray, "n dim"]:
        return self._spell_out(batch, scored=False)[1]

    def _spell_out(
        self, batch: Sequence[Encoded], *, scored: bool = True
    ) -> tuple[list[Written], Float[np.ndarray, "n dim"]]:
        """What each sample writes, and its embedding. Documents write nothing. Without `scored`, not how sure it was."""
        if not batch:
            raise BadInput("The batch is empty; give at least one sample.")
        found = np.zeros((len(batch), self.info.dim), dtype=np.float32)
        written = [_SILENT] * len(batch)
        asked = [place for place, encoded in enumerate(batch) if encoded.sample.role == "query"]
        silent = [place for place, encoded in enumerate(batch) if encoded.sample.role != "query"]
        if silent:
            found[silent] = super().embed([batch[place] for place in silent])
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
        return max(0, min(MAX_WRITTEN, self.info.max_tokens - longest - 2 - self._backbone.layout.n_embed))

    @torch.inference_mode()
    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        written, embeddings = self._spell_out(batch)
        longer = [self._longer(encoded, text) for encoded, text in zip(batch, written, strict=True)]
        if keep.attention:
            # A pass over what was written, for the rows of attention that writing does not score.
            traces = super().trace(longer, replace(keep, continuation=False))
        else:
            traces = [self._bare(encoded, embedding) for encoded, embedding in zip(longer, embeddings, strict=True)]
        if not keep.continuation:
            return traces
        return [
            replace(trace, continuation=Reasoned(prefix=encoded.inputs["prefix"], written=text))
            for trace, encoded, text in zip(traces, batch, written, strict=True)
        ]

    def _longer(self, encoded: Encoded, written: Written) -> Encoded:
        """The sample with its text behind the query; a document as it is."""
        if encoded.sample.role != "query":
            return encoded
        prefix = with_text(encoded.inputs["prefix"], torch.tensor(written.ids, dtype=torch.long), self._backbone.ids)
        n = len(prefix.ids)
        return replace(
            encoded,
            inputs={"prefix": prefix},
            tokens=self._table(prefix),
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
            latents=np.zeros((0, 0, self.info.width), dtype=np.float32),
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
        """Of the embedding alone, with the reasoning that the sample itself writes held as it is."""
        if any(isinstance(target, WordTarget) for target in targets):
            raise Unsupported(
                f"'{self.info.name}' writes its reasoning before it embeds, and maps of its words are not built; take a target "
                "of the embedding."
            )
        [written], _ = self._spell_out([encoded])
        return super().objective(self._longer(encoded, written), targets, level=level, context=context)


def _cut(written: Written, most: int) -> Written:
    if len(written.ids) <= most:
        return written
    return Written(ids=written.ids[:most], log_probabilities=written.log_probabilities[:most], ended=False)
