"""Runs fit their room, in order, and a sample that fits no room still runs."""

import pytest
import torch

from workbench.models.runs import cut, runs


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (9, [[2, 3], [4], [5], [30]]),
        (12, [[2, 3], [4, 5], [30]]),
        (90, [[2, 3, 4, 5], [30]]),
        (1, [[2], [3], [4], [5], [30]]),
    ],
)
def test_runs_fit_their_room(room: int, expected: list[list[int]]) -> None:
    lengths = [2, 3, 4, 5, 30]
    assert list(cut(lengths, lengths, room)) == expected
    assert list(cut([], [], room)) == []


def test_room_counts_the_padding() -> None:
    lengths = [30, 2, 2, 2]
    assert list(cut(lengths, lengths, 60)) == [[30, 2], [2, 2]]


@pytest.mark.parametrize(
    ("n", "room", "sizes"), [(16, 130, [8, 8]), (7, 30, [3, 3, 1]), (9, 40, [3, 3, 3]), (8, 80, [8])]
)
def test_runs_of_one_length_share_the_work(n: int, room: int, sizes: list[int]) -> None:
    lengths = [10] * n
    found = list(cut(list(range(n)), lengths, room))
    assert [len(run) for run in found] == sizes
    assert [place for run in found for place in run] == list(range(n))


def test_no_padding_is_added_for_the_sake_of_evenness() -> None:
    lengths = [2, 3, 4, 5, 30]
    assert list(cut(lengths, lengths, 90)) == [[2, 3, 4, 5], [30]]  # [2, 3, 4], [5, 30] would be even


def test_a_cpu_takes_less_at_a_time() -> None:
    lengths = [100] * 40
    on_cpu, on_gpu = (list(runs(lengths, lengths, torch.device(kind))) for kind in ("cpu", "cuda"))
    assert [len(run) for run in on_cpu] == [10, 10, 10, 10]
    assert [len(run) for run in on_gpu] == [40]
