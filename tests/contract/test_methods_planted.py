"""Every attribution method on the model whose answer is known: a map that points elsewhere fails here."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import planted_backbone as planted
import pytest

from workbench.attribution import AttributionProbe, methods
from workbench.probe import build, parameters

BOARDS = {"wide": (planted.WIDE,), "pair": planted.PAIR}
PLACE_BLIND = {"grad_cam"}
"""One weight for a channel wherever it stands: cells that read as the same word cannot be told apart."""
TARGET_BLIND = {"attention_rollout"}
"""No gradient enters: what has no effect is followed like anything else."""

SAMPLED = {"gradient_shap"}
"""From baselines of noise, a few draws may miss where a value jumps. Such a map must say that it is not to be trusted."""


def cases() -> Iterator[Any]:
    for name, method in methods().items():
        level = next(parameter for parameter in parameters(method) if parameter.name == "level")
        for choice in level.choices:
            for boards in BOARDS:
                yield pytest.param(name, choice, boards, id=f"{name}-{choice}-{boards}")


def points_at(cells: np.ndarray, place: int) -> bool:
    """Whether a map points at one cell: no other is higher, and it stands out from the rest."""
    positive = cells.clip(min=0)
    return bool(cells[place] >= 0.99 * cells.max() > 0 and positive[place] > 2 * positive.mean())


def alike(mark: int) -> list[int]:
    return [other for other, word in enumerate(planted.WORDS) if word == planted.WORDS[mark]]


@pytest.mark.parametrize(("name", "level", "board"), list(cases()))
def test_every_target_points_at_its_own_cell(name: str, level: str, board: str, planted_backbone: Any) -> None:
    model, boards = planted_backbone, BOARDS[board]
    method = build(methods()[name], {"level": level})
    assert isinstance(method, AttributionProbe)
    pairs = planted.planted_targets(model)
    targets = [*(target for target, _ in pairs), planted.idle_effect()]
    encoded = model.prepare(planted.board_sample(*boards))
    objective = model.objective(encoded, targets, level=level)
    [trace] = model.trace([encoded])
    result = method.explain(objective, trace)
    maps = cells_of(result)
    values = result.measure("value").values
    lost = {measure.name: measure.values for measure in result.measures}.get("completeness_gap", np.zeros(len(maps)))
    for (target, mark), cells, value, gap in zip(pairs, maps, values, lost, strict=False):
        places = [planted.cell_of(m, boards) for m in (alike(mark) if name in PLACE_BLIND else [mark])]
        right = any(points_at(cells, place) for place in places)
        assert right or (name in SAMPLED and gap > 1), (target.label, cells.round(4).tolist())
        # A map of rounding errors can point at the right cell too.
        assert cells.max() > 1e-4 * abs(value), target.label
    if name not in TARGET_BLIND:
        assert np.abs(maps[-1]).max() < 0.01 * np.abs(maps[0]).max()


def cells_of(result: Any) -> np.ndarray:
    maps = [measure.values for measure in result.measures if measure.name.startswith("attribution_image_")]
    return np.concatenate([values.reshape(len(values), -1) for values in maps], axis=1)


@pytest.mark.parametrize("board", BOARDS)
def test_the_model_does_what_its_description_says(board: str, planted_backbone: Any) -> None:
    model, boards = planted_backbone, BOARDS[board]
    encoded = model.prepare(planted.board_sample(*boards))
    assert [(grid.rows, grid.cols) for grid in encoded.grids] == [(one.rows, one.cols) for one in boards]
    [trace] = model.trace([encoded])
    [thought] = model.decode([trace], max_tokens=3)
    assert thought.text == " red blue red"
    cells = np.concatenate([np.arange(grid.start, grid.start + grid.n_tokens) for grid in encoded.grids])
    for k in range(planted.N_THINK):
        seen = trace.attention[0, 0, k, cells]
        assert seen[planted.cell_of(k, boards)] > 0.999
    assert trace.attention[1, 0, -1, encoded.think.start + planted.EMBED_READS] > 0.999
    without = planted.board_sample(*(without_mark(one, planted.EMBED_READS) for one in boards))
    [changed] = model.embed([model.prepare(without)])
    assert changed @ trace.embedding < 0.6, "without its mark the embedding is another"
    for other in (0, 2, 3):
        [same] = model.embed([model.prepare(planted.board_sample(*(without_mark(one, other) for one in boards)))])
        assert same @ trace.embedding > 0.9999


def without_mark(board: planted.Board, mark: int) -> planted.Board:
    marks = {other: place for other, place in board.marks.items() if other != mark}
    return planted.Board(rows=board.rows, cols=board.cols, marks=marks, decoys=board.decoys)


def wrong(shape: tuple[int, int], place: tuple[int, int]) -> Sequence[np.ndarray]:
    """Maps as mistakes make them: read column by column, mirrored, shifted by one, in merge blocks, flat, empty."""
    right = np.zeros(shape)
    right[place] = 1
    by_column = right.T.ravel()
    return (
        by_column,
        right[::-1].ravel(),
        right[:, ::-1].ravel(),
        np.roll(right.ravel(), 1),
        np.ones(right.size),
        np.zeros(right.size),
        -right.ravel(),
    )


def test_wrong_maps_are_told_from_right_ones() -> None:
    board = planted.WIDE
    for mark, place in board.marks.items():
        cell = planted.cell_of(mark, (board,))
        right = np.zeros(board.rows * board.cols)
        right[cell] = 1
        assert points_at(right, cell)
        assert all(not points_at(cells, cell) for cells in wrong((board.rows, board.cols), place))
