"""Columns hold what a concatenating cache would, through padding, growth and rows that leave."""

import pytest
import torch

from workbench.models.columns import Columns
from workbench.models.continuation import Continuation

LAYERS, HEADS, WIDTH = 2, 3, 4


def continuation(length: int, seed: int) -> Continuation:
    drawn = torch.Generator().manual_seed(seed)
    parts = [torch.randn(HEADS, length, WIDTH, generator=drawn) for _ in range(2 * LAYERS)]
    return Continuation(
        keys=tuple(parts[:LAYERS]), values=tuple(parts[LAYERS:]), n_query=length - 1, n_think=1, position=length
    )


@pytest.mark.parametrize("lengths", [[3, 3, 3, 3, 3], [3, 1, 5, 2, 4]])
def test_columns_are_what_concatenation_gives(lengths: list[int]) -> None:
    batch = [continuation(length, seed) for seed, length in enumerate(lengths)]
    columns = Columns(batch)
    # By row of the batch: what a layer's keys and values should be, without padding.
    keys = {row: list(part.keys) for row, part in enumerate(batch)}
    values = {row: list(part.values) for row, part in enumerate(batch)}
    rows = list(range(len(batch)))
    for step in range(150):
        seen = columns.begin()
        assert (seen is None) == (len(set(lengths)) == 1)
        for layer in range(LAYERS):
            new = torch.full((len(rows), HEADS, 1, WIDTH), float(step)) + torch.tensor(rows)[:, None, None, None]
            told_keys, told_values = columns.update(new, -new, layer)
            for place, row in enumerate(rows):
                keys[row][layer] = torch.cat([keys[row][layer], new[place]], dim=1)
                values[row][layer] = torch.cat([values[row][layer], -new[place]], dim=1)
                n = keys[row][layer].shape[1]
                torch.testing.assert_close(told_keys[place, :, -n:], keys[row][layer], rtol=0, atol=0)
                torch.testing.assert_close(told_values[place, :, -n:], values[row][layer], rtol=0, atol=0)
                if seen is not None:
                    assert seen[place, 0, 0].tolist() == [False] * (told_keys.shape[2] - n) + [True] * n
        if step in (10, 90):
            order = columns.keep([1, 3, 4] if len(rows) == 5 else [0, 2])
            rows = [rows[place] for place in order]
    assert sorted(rows) == [3, 4]  # 1 left last, from between them


def test_rows_move_only_into_gaps() -> None:
    columns = Columns([continuation(2, seed) for seed in range(6)])
    assert columns.keep([0, 2, 5]) == [0, 5, 2]
    assert columns.keep([0, 1, 2]) == [0, 1, 2]
    assert columns.keep([2]) == [2]


@pytest.mark.parametrize("lengths", [[3, 3], [3, 1]])
def test_several_columns_at_once_are_as_one_after_the_other(lengths: list[int]) -> None:
    batch = [continuation(length, seed) for seed, length in enumerate(lengths)]
    together, apart = Columns(batch, room=1), Columns(batch)
    new = torch.randn(len(batch), HEADS, 3, WIDTH)
    seen = together.begin(3)
    assert seen is not None
    told = [together.update(new, -new, layer) for layer in range(LAYERS)]
    for n in range(3):
        each = apart.begin()
        wanted = [apart.update(new[:, :, n : n + 1], -new[:, :, n : n + 1], layer) for layer in range(LAYERS)]
        size = wanted[0][0].shape[2]
        for (keys, values), (own_keys, own_values) in zip(told, wanted, strict=True):
            assert torch.equal(keys[:, :, :size], own_keys)
            assert torch.equal(values[:, :, :size], own_values)
        row = torch.ones(len(batch), size, dtype=torch.bool) if each is None else each[:, 0, 0]
        assert torch.equal(seen[:, 0, n, :size], row)
        assert not seen[:, 0, n, size:].any()


def test_a_row_leaves_with_what_it_holds() -> None:
    batch = [continuation(length, length) for length in (4, 2, 3)]
    columns = Columns(batch)
    columns.begin()
    new = torch.randn(3, HEADS, 1, WIDTH)
    for layer in range(LAYERS):
        columns.update(new, -new, layer)
    assert columns.keep([0, 2]) == [0, 2]
    left = columns.leave(1, position=9)
    assert (left.n_query, left.n_think, left.position) == (4, 0, 9)
    for layer in range(LAYERS):
        assert torch.equal(left.keys[layer], torch.cat([batch[2].keys[layer], new[2]], dim=1))
        assert torch.equal(left.values[layer], torch.cat([batch[2].values[layer], -new[2]], dim=1))


@pytest.mark.parametrize("lengths", [[3, 3], [3, 1]])
def test_columns_that_are_begun_on_the_device_hold_what_others_do(lengths: list[int]) -> None:
    batch = [continuation(length, seed) for seed, length in enumerate(lengths)]
    fixed, plain = Columns(batch, room=9), Columns(batch)
    for turn in range(2):
        place = torch.tensor([3])
        for step in range(6):
            new = torch.full((2, HEADS, 1, WIDTH), float(10 * turn + step + 1))
            seen, expected = fixed.begin_at(place), plain.begin()
            assert seen.shape == (2, 1, 1, 12)
            row = torch.ones(2, plain.filled, dtype=torch.bool) if expected is None else expected[:, 0, 0]
            assert torch.equal(seen[:, 0, 0, : plain.filled], row)
            assert not seen[:, 0, 0, plain.filled :].any()
            for layer in range(LAYERS):
                for told, wanted in zip(fixed.update(new, -new, layer), plain.update(new, -new, layer), strict=True):
                    assert torch.equal(told[:, :, : plain.filled], wanted)
            place += 1
        fixed.filled = plain.filled
        # Beginning in the usual way goes on behind what was put there.
        after = torch.randn(2, HEADS, 2, WIDTH)
        fixed.begin(2)
        keys, _ = fixed.update(after, after, 0)
        assert torch.equal(keys[:, :, -2:], after)
        assert keys.shape[2] == plain.filled + 2
        batch = [continuation(length, 5 + seed) for seed, length in enumerate(lengths)]
        fixed.refill(batch)
        assert fixed.filled == 3
        plain = Columns(batch)


def test_columns_do_not_move_under_a_recorded_pass() -> None:
    columns = Columns([continuation(3, 0)], room=2)
    columns.begin_at(torch.tensor([3]))
    columns.begin(2)
    with pytest.raises(ValueError, match="have room for 5, and may not move"):
        columns.begin()


def test_columns_are_refilled_with_rows_of_their_own_lengths_alone() -> None:
    columns = Columns([continuation(3, 0), continuation(2, 1)])
    for other in ([continuation(3, 0)], [continuation(2, 0), continuation(3, 1)]):
        with pytest.raises(ValueError, match="are given rows of"):
            columns.refill(other)
    columns.keep([1])
    with pytest.raises(ValueError, match="are given rows of"):
        columns.refill([continuation(3, 0), continuation(2, 1)])
