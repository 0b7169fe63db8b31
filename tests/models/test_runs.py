"""Runs fit their room, in order, and a sample that fits no room still runs."""

import pytest
import torch

from workbench.models.runs import cut, runs


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (9, [[2, 3], [4], [5], [30]]),
        (12, [[2, 3, 4], [5], [30]]),
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


def test_a_cpu_takes_less_at_a_time() -> None:
    lengths = [100] * 40
    on_cpu, on_gpu = (list(runs(lengths, lengths, torch.device(kind))) for kind in ("cpu", "cuda"))
    assert [len(run) for run in on_cpu] == [10, 10, 10, 10]
    assert [len(run) for run in on_gpu] == [40]
