"""Documents of all processes as negatives for each."""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Int
from torch import Tensor


class _Gather(torch.autograd.Function):
    """The tensor of every process, stacked. Backward: what all processes' losses ask of one's own, summed."""

    @staticmethod
    def forward(_context: Any, own: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[dist.get_rank()]


def gather_documents(
    documents: Float[Tensor, "documents dim"], keys: Int[Tensor, "documents 2"]
) -> tuple[Float[Tensor, "all dim"], Int[Tensor, "all 2"], int]:
    """Return the documents and keys of every process, and where this process's own begin.

    Gradients flow back to the process that made a document. Processes may hold different numbers of documents: the
    shorter ones are padded for the exchange and cut after it.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return documents, keys, 0
    counts = [torch.zeros(1, dtype=torch.long, device=keys.device) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([len(keys)], device=keys.device))
    sizes = [int(count) for count in counts]
    room = max(sizes) - len(keys)
    padded = torch.cat([documents, documents.new_zeros(room, documents.shape[1])])
    everyone: Tensor = _Gather.apply(padded)  # pyright: ignore[reportAssignmentType]
    all_keys = [keys.new_zeros(max(sizes), 2) for _ in sizes]
    dist.all_gather(all_keys, torch.cat([keys, keys.new_zeros(room, 2)]))
    joined = torch.cat([part[:size] for part, size in zip(everyone, sizes, strict=True)])
    joined_keys = torch.cat([part[:size] for part, size in zip(all_keys, sizes, strict=True)])
    return joined, joined_keys, sum(sizes[: dist.get_rank()])


def same(one: Int[Tensor, "one 2"], other: Int[Tensor, "other 2"]) -> Bool[Tensor, "one other"]:
    """Which documents are one: those of equal identity (first key), and those of equal content (second key)."""
    return (one[:, None] == other[None, :]).any(dim=-1)


def repeated(keys: Int[Tensor, "all 2"]) -> Bool[Tensor, " all"]:
    """Which documents stand earlier in the order too (of another process, or under another id): they count once."""
    first = same(keys, keys).int().argmax(dim=1)
    return first != torch.arange(len(keys), device=keys.device)
