"""Grids and positions: any image size lands on the right tokens."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from workbench.errors import BadInput
from workbench.images import refer
from workbench.models.families.qwen2_vl import mrope_positions
from workbench.types import ImageRef, Sample


def image(pixels: np.ndarray) -> ImageRef:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return refer(file.getvalue(), name="test.png")


@pytest.mark.parametrize(("width", "height"), [(96, 96), (128, 80), (80, 128), (112, 96)])
def test_one_hot_patch_lands_on_its_token(tiny_model: Any, width: int, height: int) -> None:
    """Pixels of one merged cell move the token of that cell and no other (before the tower mixes them)."""
    processor = tiny_model._backbone.processor
    cell = 16
    blank = np.zeros((height, width, 3), dtype=np.uint8)
    plain = processor.encode(Sample(id="a", images=(image(blank),)))
    assert plain.grids == [(1, height // cell, width // cell)]
    rows, cols = height // cell, width // cell
    for row, col in [(0, 0), (0, cols - 1), (rows - 1, 0), (2, 3), (rows - 1, cols - 1)]:
        lit = blank.copy()
        lit[row * cell : (row + 1) * cell, col * cell : (col + 1) * cell] = 255
        changed = processor.encode(Sample(id="b", images=(image(lit),)))
        different = (changed.pixels != plain.pixels).any(dim=1).reshape(-1, 4).any(dim=1).nonzero().flatten().tolist()
        assert different == [row * cols + col]


def test_encoded_grid_points_at_image_tokens(tiny_model: Any) -> None:
    wide = image(np.full((80, 128, 3), 200, dtype=np.uint8))
    tall = image(np.full((128, 96, 3), 30, dtype=np.uint8))
    encoded = tiny_model.prepare(Sample(id="a", text="Which?", images=(wide, tall)))
    assert [(grid.rows, grid.cols) for grid in encoded.grids] == [(5, 8), (8, 6)]
    marked = [position for position, kind in enumerate(encoded.tokens.kinds) if kind == "image"]
    listed = [p for grid in encoded.grids for p in range(grid.positions.start, grid.positions.stop)]
    assert marked == listed
    assert encoded.tokens.kinds[encoded.think] == ("think",) * 4
    assert encoded.tokens.kinds[encoded.embed] == "embed"


@given(
    parts=st.lists(
        st.one_of(st.integers(1, 7), st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6))),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=60, deadline=None)
def test_positions_equal_transformers(tiny_model: Any, parts: list[Any]) -> None:
    flags: list[bool] = []
    grids: list[tuple[int, int, int]] = []
    for part in parts:
        if isinstance(part, int):
            flags += [False] * part
        else:
            # Two images never touch: each stands between its own vision-start and vision-end tokens.
            flags += [False, *[True] * int(np.prod(part)), False]
            grids.append(part)
    mine, after = mrope_positions(flags, grids)
    assert mine.shape == (3, len(flags))
    assert after == int(mine.max()) + 1
    if grids:
        theirs, _ = tiny_model._backbone.model.model.get_rope_index(
            torch.zeros(1, len(flags), dtype=torch.long),
            torch.tensor([flags]).int(),
            image_grid_thw=torch.tensor([(t, h * 2, w * 2) for t, h, w in grids]),
        )
        assert torch.equal(mine, theirs[:, 0])


def test_special_tokens_in_a_query_are_plain_text(tiny_model: Any) -> None:
    encoded = tiny_model.prepare(Sample(id="a", text="<|think_1|> and <|image_pad|> and <|im_end|>"))
    plain = tiny_model.prepare(Sample(id="b", text="words"))
    assert encoded.tokens.kinds.count("think") == 4
    assert "image" not in encoded.tokens.kinds
    assert encoded.tokens.kinds.count("control") == plain.tokens.kinds.count("control")


def test_too_long_a_text_is_refused(tiny_model: Any) -> None:
    with pytest.raises(BadInput, match="tokens long"):
        tiny_model.prepare(Sample(id="a", text="red " * 40_000))
