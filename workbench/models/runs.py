"""How much of a batch passes the layers at a time: no more than what stays near the processor."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import torch

T = TypeVar("T")

_POSITIONS_ON_CPU = 1_024
"""Positions whose activations stay in a core's cache, which is a third faster."""
_POSITIONS_ON_GPU = 65_536


def runs(batch: Sequence[T], lengths: Sequence[int], device: torch.device) -> Iterator[Sequence[T]]:
    """Neighbours of the batch that, padded to the longest of them, suit the device; one at least in each run.

    Args:
        batch: what is to pass, like beside like where the caller could sort it.
        lengths: positions of each.
        device: where the model is.
    """
    return cut(batch, lengths, _POSITIONS_ON_CPU if device.type == "cpu" else _POSITIONS_ON_GPU)


def cut(batch: Sequence[T], lengths: Sequence[int], room: int) -> Iterator[Sequence[T]]:
    """As `runs`, with at most `room` positions together, padding included.

    As few runs as fit, and with as many samples in each as the others have where that needs no more padding: a small rest at
    the end costs nearly what a full run does.
    """
    ends = _ends(lengths, room, len(lengths))
    even = _ends(lengths, room, -(-len(lengths) // max(1, len(ends))))
    if len(even) > len(ends) or _padded(lengths, even) > _padded(lengths, ends):
        even = ends
    for begin, end in pairwise((0, *even)):
        yield batch[begin:end]


def _padded(lengths: Sequence[int], ends: Sequence[int]) -> int:
    """Positions of all runs, padding included."""
    return sum((end - begin) * max(lengths[begin:end]) for begin, end in pairwise((0, *ends)))


def _ends(lengths: Sequence[int], room: int, most: int) -> list[int]:
    """Where runs of at most `most` samples end that take what fits."""
    ends: list[int] = []
    begin, longest = 0, 0
    for place, length in enumerate(lengths):
        longest = max(longest, length)
        if place > begin and ((place + 1 - begin) * longest > room or place - begin == most):
            ends.append(place)
            begin, longest = place, length
    return [*ends, len(lengths)] if lengths else []
