"""A real (tiny) Qwen2-VL whose weights are set by hand, so that every attribution can be worked out: a wrong map must fail.

Images are grids of painted cells. Four colours are *marks*; a visual token carries the signal of its own cell's mark and
nothing of its neighbours. Then, in two decoder layers:

- think token k attends to the cell with mark k and copies its signal;
- the embed token attends to think token 2 alone: the embedding says whether mark 1 is there, and nothing else;
- the decoder's first word reads think token 1, the word after " red" think token 2, the word after " blue" think token 3.

The head reads marks 0 and 2 as " red", 1 as " blue", 3 as " green": a thought begins " red blue red", its first and its
third word being the same word from different cells. Cells of other colours (`DECOYS`) stand out and mean nothing. In the
vision tower each patch attends to the patches of its own colour, in its own image, and what is attended is not added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import write_layout
from PIL import Image

from workbench.images import refer
from workbench.models.creation import SmallSize, give_layout, small_backbone, small_tokenizer
from workbench.models.layout import tte_flash
from workbench.targets import EmbeddingTarget, Score, Target, ThinkEffect, ThinkState, WordTarget
from workbench.types import Encoded, ImageRef, Sample

CELL = 16
"""Pixels to a side of one cell, which becomes one merged visual token."""
MARKS = ((235, 30, 60), (30, 40, 230), (240, 20, 220), (30, 220, 40))
SIGNS = ((1, -1, -1), (-1, -1, 1), (1, -1, 1), (-1, 1, -1))
"""Each mark's direction from grey. No mark lies on it exactly, or its gradient with respect to pixels would be 0."""
DECOYS = ((240, 230, 30), (30, 230, 230), (10, 10, 10))
BACKGROUND = (235, 235, 235)
WORDS = (" red", " blue", " red", " green")
"""What the head reads each mark as."""
N_THINK = 4
EMBED_READS = 1
"""The think token (from 0) that the embedding is made from."""

BALLAST, TEXT, SIGNAL, READ, TAG, ASK_MARK, ASK_THOUGHT, BIAS = 0, 1, 2, 6, 10, 14, 18, 22
"""Axes of the residual stream. The ballast keeps the norms nearly constant, so that everything is nearly linear."""
SLOT, SINK = 8, 12
"""Axes of a head that the rotation leaves alone, for its frequency there is 1e-6 and less."""
SHARP, REST = 24.0, 11.0
"""Attention scores of what is asked for, and of text, which takes whatever is not asked for."""
GAIN = 4.0
THRESHOLD, STEEP = 0.7, 20.0
SIZE = SmallSize(
    width=64,
    layers=2,
    heads=2,
    key_value_heads=2,
    mlp=8,
    vision_width=32,
    vision_layers=2,
    vision_heads=2,
    vision_mlp_ratio=1,
    min_pixels=CELL * CELL,
    max_pixels=64 * CELL * CELL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One image: rows x cols cells, some of them marked, some of them decoys."""

    rows: int
    cols: int
    marks: Mapping[int, tuple[int, int]]
    """Mark -> (row, col)."""
    decoys: Sequence[tuple[int, int]] = field(default=())


WIDE = Board(rows=3, cols=5, marks={0: (2, 3), 1: (0, 1), 2: (2, 0), 3: (0, 4)}, decoys=((0, 0), (1, 4), (2, 2)))
"""All four marks on a non-square board; no mark is where any is after the usual mistakes (by columns, mirrored, shifted)."""
PAIR = (
    Board(rows=2, cols=4, marks={2: (0, 2), 0: (1, 3)}, decoys=((0, 0),)),
    Board(rows=3, cols=2, marks={1: (2, 0), 3: (0, 1)}, decoys=((1, 1), (2, 1))),
)
"""The marks spread over two images of different shapes."""


def draw(board: Board) -> ImageRef:
    """The board as an image whose size the processor keeps."""
    pixels = np.empty((board.rows, board.cols, 3), dtype=np.uint8)
    pixels[:] = BACKGROUND
    for mark, place in board.marks.items():
        pixels[place] = MARKS[mark]
    for number, place in enumerate(board.decoys):
        pixels[place] = DECOYS[number]
    file = BytesIO()
    Image.fromarray(pixels.repeat(CELL, axis=0).repeat(CELL, axis=1)).save(file, "PNG")
    return refer(file.getvalue(), name=f"{board.rows}x{board.cols}.png")


def board_sample(*boards: Board) -> Sample:
    """A sample of these images."""
    return Sample(id=f"{len(boards)} boards", text="what is it ?", images=tuple(map(draw, boards)))


def cell_of(mark: int, boards: Sequence[Board]) -> int:
    """Where a mark is among the cells of all images."""
    before = 0
    for board in boards:
        if mark in board.marks:
            row, col = board.marks[mark]
            return before + row * board.cols + col
        before += board.rows * board.cols
    raise KeyError(mark)


def embedding_target() -> EmbeddingTarget:
    """The embedding's score for mark 1 against the other marks."""
    axes = np.eye(SIZE.width, dtype=np.float32)
    others = axes[[READ + mark for mark in range(N_THINK) if mark != EMBED_READS]]
    score = Score(kind="contrast", positive=axes[READ + EMBED_READS], others=others)
    return EmbeddingTarget(label="embedding", score=score)


def planted_targets(model: Any) -> list[tuple[Target, int]]:
    """One target of every kind, each with the mark whose cell alone decides it."""
    embedding = embedding_target()
    red, blue, green = (model.text_ids(word)[0] for word in (" red", " blue", " green"))
    text = (red, blue, red)
    found: list[tuple[Target, int]] = [
        (embedding, EMBED_READS),
        (ThinkEffect(label="effect", think=EMBED_READS, score=embedding.score), EMBED_READS),
    ]
    for k, word in enumerate((red, blue, red, green)):
        found.append((ThinkState(label=f"think {k + 1}", think=k, word=word), k))
    for at in range(len(text)):
        found.append((WordTarget(label=f"word {at + 1}", tokens=text, start=at, stop=at + 1), at))
    against = WordTarget(label="word 3 against blue", tokens=text, start=2, stop=3, alternative=(blue,))
    return [*found, (against, 2)]


def idle_effect() -> ThinkEffect:
    """The effect of a thought that the embedding does not read: 0, whatever the image shows."""
    return ThinkEffect(label="idle", think=0, score=embedding_target().score)


def cells(encoded: Encoded) -> int:
    """Number of cells of all images."""
    return sum(grid.n_tokens for grid in encoded.grids)


def write_planted(folder: Path) -> Path:
    """Write the checkpoint; returns its folder."""
    tokenizer = small_tokenizer(["what is it ?"] + ["a red blue green"] * 20)
    model, processor = small_backbone(SIZE, tokenizer)
    backbone = give_layout(model, processor, tte_flash(N_THINK))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _set_tower(model.model.visual)
        _set_decoder(model, backbone)
    # Rotations slow enough that slots 8 to 15 of a head stand still over any sequence here.
    model.config.text_config.rope_parameters["rope_theta"] = 1e12
    return write_layout(folder, backbone)


def _set_tower(tower: Any) -> None:
    axes = slice(0, 6, 2)  # red, green, blue; the odd axes hold their opposites, so that the mean is 0
    for colour in range(3):
        tower.patch_embed.proj.weight[2 * colour, colour] = 1 / 128
        tower.patch_embed.proj.weight[2 * colour + 1, colour] = -1 / 128
    for block in tower.blocks:
        block.norm1.weight.fill_(1)
        block.norm2.weight.fill_(1)
        # Slots 3, 7 and 11 of a head of 16 turn by a thousandth for each patch.
        for part in (0, 32):
            for head in (0, 16):
                for colour, slot in enumerate((3, 7, 11)):
                    block.attn.qkv.weight[part + head + slot, 2 * colour] = 2.5
    merger = tower.merger
    merger.ln_q.weight.fill_(1)
    for mark, (signs, colour) in enumerate(zip(SIGNS, MARKS, strict=True)):
        direction = torch.tensor(signs) / 3**0.5
        # After the norm a patch is 4 x its unit colour; a cell's signal is about the mean of its four patches.
        merger.mlp[0].weight[mark].unflatten(0, (4, 32))[:, axes] = STEEP * direction / 16
        merger.mlp[0].bias[mark] = -STEEP * THRESHOLD
        level = STEEP * (float(_unit(colour) @ direction) - THRESHOLD)
        merger.mlp[2].weight[SIGNAL + mark, mark] = 1 / level
    merger.mlp[2].bias[BALLAST] = 8


def _unit(colour: tuple[int, int, int]) -> torch.Tensor:
    mean, spread = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    normed = (torch.tensor(colour) / 255 - mean) / spread
    return normed / normed.norm()


def _set_decoder(model: Any, backbone: Any) -> None:
    word = backbone.processor.tokenizer.get_vocab()
    red, blue, green = (backbone.processor.tokenizer(text)["input_ids"] for text in (" red", " blue", " green"))
    assert len(red) == len(blue) == len(green) == 1, "each colour must be one token"
    table = model.get_input_embeddings().weight
    table[:, BALLAST], table[:, TEXT] = 8, 1
    for k, identity in enumerate(backbone.ids.think):
        table[identity, TEXT], table[identity, TAG + k], table[identity, ASK_MARK + k] = 0, 1, 1
    asks = {backbone.ids.embed[0]: EMBED_READS, word["<|reason_start|>"]: 0, red[0]: 1, blue[0]: 2}
    for identity, thought in asks.items():
        table[identity, ASK_THOUGHT + thought] = 1
    table[backbone.ids.embed[0], BIAS] = 2
    head = torch.zeros_like(table)
    for mark, [identity] in enumerate((red, blue, red, green)):
        head[identity, READ + mark] = 1.8
    model.lm_head.weight = torch.nn.Parameter(head)
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
    stack = model.model.language_model
    stack.norm.weight[[*range(READ, READ + N_THINK), BIAS]] = 1
    _set_attention(stack.layers[0], asked=ASK_MARK, key=SIGNAL, value=SIGNAL, gain=GAIN)
    _set_attention(stack.layers[1], asked=ASK_THOUGHT, key=TAG, value=READ, gain=1.0)


def _set_attention(layer: Any, *, asked: int, key: int, value: int, gain: float) -> None:
    """The first head finds what the token asks for and copies it to READ; the second looks around and adds nothing."""
    layer.input_layernorm.weight.fill_(1)
    layer.post_attention_layernorm.weight.fill_(1)
    attention, scale = layer.self_attn, 32**0.5
    for number in range(N_THINK):
        attention.q_proj.weight[SLOT + number, asked + number] = SHARP * scale
        attention.k_proj.weight[SLOT + number, key + number] = 1
        attention.v_proj.weight[number, value + number] = 1
        attention.o_proj.weight[READ + number, number] = gain
    attention.q_proj.weight[SINK, BALLAST] = REST * scale / 8
    attention.k_proj.weight[SINK, TEXT] = 1
