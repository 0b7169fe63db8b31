"""Negatives of all processes: the loss and its gradients equal those of one process with the whole batch."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from workbench.recipes.gathering import gather_documents, repeated, same
from workbench.recipes.objectives import info_nce


def _loss(weight: torch.Tensor, queries: torch.Tensor, documents: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    found, offered = queries @ weight, documents @ weight
    everyone, all_keys, offset = gather_documents(offered, keys)
    positive = torch.arange(len(queries)) + offset
    excluded = same(keys[: len(queries)], all_keys)
    excluded[torch.arange(len(queries)), positive] = False
    return info_nce(found, everyone, positive, excluded, 0.7)


def _data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, generator=draw)
    return weight, torch.randn(4, 4, generator=draw), torch.randn(5, 4, generator=draw), torch.arange(10).reshape(5, 2)


def _work(rank: int, file: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    weight, queries, documents, keys = _data()
    weight.requires_grad_(True)
    # Process 0 holds two documents, process 1 three: uneven on purpose.
    mine = slice(0, 2) if rank == 0 else slice(2, 5)
    loss = _loss(weight, queries[2 * rank : 2 * rank + 2], documents[mine], keys[mine])
    loss.backward()
    assert weight.grad is not None
    dist.all_reduce(weight.grad)
    dist.all_reduce(loss.detach())
    if rank == 0:
        torch.save({"gradient": weight.grad / 2}, out)
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    mp.spawn(_work, args=(str(tmp_path / "meeting"), str(tmp_path / "out.pt")), nprocs=2)
    weight, queries, documents, _ = _data()
    weight.requires_grad_(True)
    positive = torch.arange(4)
    none = torch.zeros(4, 5, dtype=torch.bool)
    info_nce(queries @ weight, documents @ weight, positive, none, 0.7).backward()
    found = torch.load(tmp_path / "out.pt", weights_only=True)["gradient"]
    assert weight.grad is not None
    assert torch.allclose(found, weight.grad, atol=1e-6)


def test_documents_are_one_by_identity_or_by_content() -> None:
    # Columns: hash of the id, hash of the content.
    keys = torch.tensor([[1, 10], [2, 20], [1, 30], [4, 20]])
    assert same(keys, keys).int().tolist() == [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert repeated(keys).tolist() == [False, False, True, True]
