"""The embedder for learned think tokens whose text the backbone itself writes, from their keys and values (TTE-Flash)."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from workbench.edits import Edit
from workbench.errors import BadInput
from workbench.models.continuation import Continuation
from workbench.models.decoding import score, write
from workbench.models.editing import Edited
from workbench.models.passes import Passed
from workbench.models.sequence import Packed, shown_to_text
from workbench.models.thinking_embedder import ThinkingEmbedder, visible
from workbench.models.thoughts import to_scores, to_thought
from workbench.types import Context, DecodedThought, Encoded, TextScore, Trace


@final
class LatentEmbedder(ThinkingEmbedder):
    """A backbone with learned think and embed tokens."""

    def _cached(self, packed: Packed, /) -> slice:
        wants_query = "query_and_latents" in self._backbone.layout.contexts
        return slice(0 if wants_query else packed.think.start, packed.think.stop)

    @property
    def _read(self) -> slice:
        """Layers that the text sees: those up to the exit, where there is one."""
        return slice(self._backbone.layout.exit_layer or None)

    def _continuation(self, row: int, encoded: Encoded, passed: Passed, /) -> Continuation:
        packed = passed.packed
        query, thoughts = self._shown(row, encoded, packed)
        # Without a rule for the text its columns stand side by side.
        shown: slice | Tensor = slice(query[0] if query else 0, None)
        if self._backbone.layout.restricts_text:
            columns = [*query, *(packed.think.start + k for k in thoughts)]
            shown = torch.tensor(columns, dtype=torch.long, device=packed.ids.device) - self._cached(packed).start
        return Continuation(
            keys=tuple(keys[row, :, shown].clone() for keys in passed.keys[self._read]),
            values=tuple(values[row, :, shown].clone() for values in passed.values[self._read]),
            n_query=len(query),
            n_think=len(thoughts),
            position=int(packed.positions[0, row, packed.embed.stop - 1]) + 1,
        )

    def _edited_continuation(
        self, row: int, place: int, encoded: Encoded, edited: Edited, edit: Edit, /
    ) -> Continuation:
        packed, first = edited.packed, self._cached(edited.packed).start
        query, thoughts = self._shown(row, encoded, packed)
        seen = [k for k in visible(edit, packed) if k in thoughts]
        tail = packed.embed.stop + place * (packed.embed.stop - packed.think.start)
        columns = torch.tensor([*query, *(tail + k for k in seen)], dtype=torch.long, device=packed.ids.device) - first
        return Continuation(
            keys=tuple(keys[row].index_select(1, columns) for keys in edited.keys[self._read]),
            values=tuple(values[row].index_select(1, columns) for values in edited.values[self._read]),
            n_query=len(query),
            n_think=len(seen),
            position=int(packed.positions[0, row, packed.embed.stop - 1]) + 1,
        )

    def _shown(self, row: int, encoded: Encoded, packed: Packed) -> tuple[Sequence[int], Sequence[int]]:
        """Columns of the query, and thoughts from 0, that a written text may see in the widest of its contexts."""
        layout, with_query = self._backbone.layout, self._cached(packed).start == 0
        begin = packed.embed.stop - len(encoded.tokens.ids)
        query, thoughts = range(begin, packed.think.start) if with_query else range(0), range(layout.n_think)
        if not layout.restricts_text:
            return query, thoughts
        may = shown_to_text(packed, layout, "query_and_latents" if with_query else "latents_only")[row].tolist()
        return [at for at in query if may[at]], [k for k in thoughts if may[packed.think.start + k]]

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
        return [to_thought(self._backbone.processor.tokenizer, one, chosen) for one in written]

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
        known = {text: self.text_ids(text) for text in set(texts)}
        ids = [known[text] for text in texts]
        tokenizer, end = self._backbone.processor.tokenizer, self._backbone.layout.decoder_end
        return to_scores(tokenizer, end, ids, score(self._backbone, batch, ids))

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
