"""From prefixes to one padded batch: query, think tokens, embed tokens, and in training the reasoning text.

Prefixes are padded on the left, texts on the right, so think and embed tokens stand at the same columns in every row.
Masks are built here, once, as explicit booleans; the model is never left to guess one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from workbench.errors import BadCheckpoint
from workbench.models.attention_rules import columns
from workbench.models.layout import Layout
from workbench.models.registries import Prefix
from workbench.types import Context

PAD, QUERY, THINK, EMBED, TEXT = -1, 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutIds:
    """Token ids of a layout, looked up by name."""

    think: tuple[int, ...]
    embed: tuple[int, ...]
    start: int
    end: int
    pad: int
    image: int
    switches: tuple[tuple[int, ...], ...] = ()
    """For each of the layout's switches, the tokens that turn it on."""

    @classmethod
    def find(cls, layout: Layout, tokenizer: Any) -> "LayoutIds":
        """Look the layout's tokens up. Raises BadCheckpoint naming those that the tokenizer lacks."""
        vocabulary = tokenizer.get_vocab()
        turning = [name for switch in layout.switches for name in switch.tokens]
        lacking = [name for name in (*layout.special_tokens, "<|image_pad|>", *turning) if name not in vocabulary]
        if lacking:
            raise BadCheckpoint(
                f"The tokenizer lacks {len(lacking)} tokens of the layout ({', '.join(lacking[:4])}); "
                "tokenizer and thinkscope.json are not from the same checkpoint."
            )
        return cls(
            think=tuple(vocabulary[name] for name in layout.think_tokens),
            embed=tuple(vocabulary[name] for name in layout.embed_tokens),
            start=vocabulary[layout.decoder_start],
            end=vocabulary[layout.decoder_end],
            pad=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else vocabulary[layout.decoder_end],
            image=vocabulary["<|image_pad|>"],
            switches=tuple(tuple(vocabulary[name] for name in switch.tokens) for switch in layout.switches),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A batch as tensors. Columns: padded prefix, think, embed, text."""

    ids: Int[Tensor, "batch seq"]
    positions: Int[Tensor, "3 batch seq"]
    segments: Int[Tensor, "batch seq"]
    image: Bool[Tensor, "batch seq"]
    """The query's visual tokens."""
    rule: Int[Tensor, " batch"]
    """Which of `Layout.rules` holds for each row."""
    think: slice
    embed: slice
    text: slice
    """Decoder start token, then the text's tokens; empty without texts."""
    pixels: Tensor | None
    thw: Int[Tensor, "images 3"]

    def to(self, device: torch.device) -> "Packed":
        """The same batch on another device."""
        move = {
            name: getattr(self, name).to(device) for name in ("ids", "positions", "segments", "image", "rule", "thw")
        }
        pixels = None if self.pixels is None else self.pixels.to(device)
        return Packed(think=self.think, embed=self.embed, text=self.text, pixels=pixels, **move)


def pack(prefixes: Sequence[Prefix], ids: LayoutIds, texts: Sequence[Int[Tensor, " _"]] | None = None) -> Packed:
    """Lay prefixes (and texts, token ids without start and end) out as one batch."""
    n_prefix = max(len(prefix.ids) for prefix in prefixes)
    special = torch.tensor([*ids.think, *ids.embed])
    n_text = 1 + max(len(text) for text in texts) if texts is not None else 0
    n_main = n_prefix + len(special)
    shape = (len(prefixes), n_main + n_text)
    tokens = torch.full(shape, ids.pad)
    positions = torch.zeros(3, *shape, dtype=torch.long)
    segments = torch.full(shape, PAD)
    # By place, not by token: a written text may hold the image token as a word.
    image = torch.zeros(shape, dtype=torch.bool)
    kinds = torch.tensor([THINK] * len(ids.think) + [EMBED] * len(ids.embed))
    for row, prefix in enumerate(prefixes):
        begin = n_prefix - len(prefix.ids)
        tokens[row, begin:n_prefix] = prefix.ids
        positions[:, row, begin:n_prefix] = prefix.positions
        segments[row, begin:n_prefix] = QUERY
        for (frames, rows, cols), start in zip(prefix.grids, prefix.spans, strict=True):
            image[row, begin + start : begin + start + frames * rows * cols] = True
        at = int(prefix.positions.max()) + 1
        tokens[row, n_prefix:n_main] = special
        positions[:, row, n_prefix:n_main] = torch.arange(at, at + len(special))
        segments[row, n_prefix:n_main] = kinds
        if texts is not None:
            end = n_main + 1 + len(texts[row])
            tokens[row, n_main] = ids.start
            tokens[row, n_main + 1 : end] = texts[row]
            positions[:, row, n_main:] = torch.arange(at + len(special), at + len(special) + n_text)
            segments[row, n_main:end] = TEXT
    pixels = [prefix.pixels for prefix in prefixes if prefix.pixels is not None]
    n_think = len(ids.think)
    return Packed(
        ids=tokens,
        positions=positions,
        segments=segments,
        image=image,
        rule=torch.tensor([_rule(prefix, ids) for prefix in prefixes]),
        think=slice(n_prefix, n_prefix + n_think),
        embed=slice(n_prefix + n_think, n_main),
        text=slice(n_main, n_main + n_text),
        pixels=torch.cat(pixels) if pixels else None,
        thw=torch.cat([prefix.thw for prefix in prefixes]),
    )


def with_text(prefix: Prefix, text: Int[Tensor, " tokens"], ids: LayoutIds) -> Prefix:
    """The prefix with a written text behind it: start token, text, and the end token unless the text has it already."""
    ended = len(text) > 0 and int(text[-1]) == ids.end
    end = torch.tensor([] if ended else [ids.end], dtype=torch.long)
    return behind(prefix, torch.cat([torch.tensor([ids.start]), text, end]))


def behind(prefix: Prefix, added: Int[Tensor, " tokens"]) -> Prefix:
    """The prefix with further tokens of text."""
    at = int(prefix.positions.max()) + 1
    return Prefix(
        ids=torch.cat([prefix.ids, added]),
        positions=torch.cat([prefix.positions, torch.arange(at, at + len(added)).expand(3, -1)], dim=1),
        pixels=prefix.pixels,
        thw=prefix.thw,
        grids=prefix.grids,
        spans=prefix.spans,
    )


def visibility(
    packed: Packed, layout: Layout, context: Context, limit: Int[Tensor, " batch"] | None = None
) -> Bool[Tensor, "batch 1 seq seq"]:
    """Return True where a row may attend to a column.

    `limit`, when given, hides the thoughts from the `limit`-th on from the embed tokens and the text (random truncation
    in training). Padding sees only itself, so that no row is empty.
    """
    segments = packed.segments
    n = segments.shape[1]
    mask = seen_from(packed, layout, context, slice(n))
    mask &= torch.ones(n, n, dtype=torch.bool, device=segments.device).tril()
    if limit is not None:
        number = torch.arange(n, device=segments.device) - packed.think.start
        late = (segments == THINK) & (number[None, :] >= limit[:, None])
        reader = (segments == EMBED) | (segments == TEXT)
        mask &= ~(reader[:, :, None] & late[:, None, :])
    mask |= torch.eye(n, dtype=torch.bool, device=segments.device)
    return mask[:, None]


def seen_from(packed: Packed, layout: Layout, context: Context, rows: slice) -> Bool[Tensor, "batch rows seq"]:
    """Which columns the layout's rules show to some rows, whatever comes first."""
    kinds = _kinds(packed, layout)
    table = _table(layout, context).to(kinds.device)
    asking, seen = kinds[:, rows, None], kinds[:, None, :]
    return table[0][asking, seen] if len(table) == 1 else table[packed.rule[:, None, None], asking, seen]


def shown_to_text(packed: Packed, layout: Layout, context: Context) -> Bool[Tensor, "batch seq"]:
    """Which columns a text that is written from the thoughts may see."""
    table = _table(layout, context).to(packed.rule.device)
    return table[packed.rule, -2].gather(1, _kinds(packed, layout) % table.shape[-1])


def _rule(prefix: Prefix, ids: LayoutIds) -> int:
    if not ids.switches:
        return 0
    held = set(prefix.ids.tolist())
    return next((number for number, tokens in enumerate(ids.switches, 1) if held & set(tokens)), 0)


def _names(layout: Layout) -> tuple[str, ...]:
    """What the rules tell apart. Padding comes last and has no name."""
    return ("words", "image", *_thoughts(layout), "embed", "reasoning", "")


def _thoughts(layout: Layout) -> tuple[str, ...]:
    """The think tokens one by one where a rule names one, else all as one: most layouts keep a small table."""
    named = {name for attends in layout.rules for row, seen in attends.items() for name in (row, *seen)}
    return layout.think_tokens if named & set(layout.think_tokens) else ("think",)


def _kinds(packed: Packed, layout: Layout) -> Int[Tensor, "batch seq"]:
    """Of each position, the place of its name in `_names`; -1, the last, is padding."""
    parts = len(_thoughts(layout))
    # By segment: query (words; an image is the next), think, embed, text, and last padding.
    place = torch.tensor([0, 2, 2 + parts, 3 + parts, PAD], device=packed.segments.device)
    kinds = place[packed.segments] + packed.image
    if parts > 1:
        kinds[:, packed.think] += torch.arange(parts, device=kinds.device)
    return kinds


def _table(layout: Layout, context: Context) -> Bool[Tensor, "rules from to"]:
    """For each of the layout's rules, who may look at whom, by place in `_names`."""
    names, think = _names(layout), _thoughts(layout)
    tables = []
    for attends in layout.rules:
        seen = [columns(attends, row, think, context) for row in names[:-1]]
        tables.append([[column in row for column in names] for row in (*seen, set())])
    return torch.tensor(tables)
