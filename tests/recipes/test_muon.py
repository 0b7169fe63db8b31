"""Muon by shapes against torch's, and the orthogonalisation against what it is said to do."""

from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from workbench.recipes import muon
from workbench.recipes.muon import Muon, orthogonalised

SHAPES = ((6, 6), (12, 5), (6, 6), (5, 12), (12, 5), (3, 40))
USUAL = ((3.4445, -4.7750, 2.0315), 5, 1e-7)


def parameters() -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=draw)) for shape in SHAPES]


def trained(optimiser: torch.optim.Optimizer, members: list[nn.Parameter], steps: int = 3) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for member in members:
            member.grad = torch.randn(member.shape, generator=draw)
        optimiser.step()
    return [member.detach().clone() for member in members]


def grouped(members: list[nn.Parameter]) -> list[dict[str, Any]]:
    """As the recipes group them: of two rates, with decay and without."""
    return [
        {"params": members[:3], "weight_decay": 0.1},
        {"params": members[3:], "weight_decay": 0.0, "lr": 0.005},
    ]


@pytest.mark.parametrize(("dtype", "share"), [(torch.bfloat16, 1e-5), (None, 0.05)], ids=["bfloat16", "float32"])
def test_it_moves_weights_as_torchs_own_does(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype | None, share: float
) -> None:
    """In torch's bfloat16 all the way, in float32 but for that rounding: a hundredth or two of the way."""
    monkeypatch.setattr(muon, "orthogonalised", partial(orthogonalised, dtype=dtype))
    ours, theirs, before = parameters(), parameters(), parameters()
    moved = trained(Muon(grouped(ours), lr=0.02), ours)
    expected = trained(torch.optim.Muon(grouped(theirs), lr=0.02, adjust_lr_fn="match_rms_adamw"), theirs)
    for found, wanted, first in zip(moved, expected, before, strict=True):
        assert (found - wanted).norm() < share * (wanted - first).norm()


def test_a_run_of_torchs_goes_on_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muon, "orthogonalised", partial(orthogonalised, dtype=torch.bfloat16))
    ours, theirs = parameters(), parameters()
    first, second = Muon(ours, lr=0.02), torch.optim.Muon(theirs, lr=0.02, adjust_lr_fn="match_rms_adamw")
    trained(second, theirs)
    with torch.no_grad():
        for mine, member in zip(ours, theirs, strict=True):
            mine.copy_(member)
    first.load_state_dict(deepcopy(second.state_dict()))
    before = [member.detach().clone() for member in theirs]
    for found, wanted, at in zip(trained(first, ours, 1), trained(second, theirs, 1), before, strict=True):
        assert (found - wanted).norm() < 1e-5 * (wanted - at).norm()


def test_what_has_no_gradient_stays_and_is_not_remembered() -> None:
    members = parameters()
    optimiser = Muon(members, lr=0.02)
    for member in members[1:]:
        member.grad = torch.ones_like(member)
    first = members[0].detach().clone()
    optimiser.step()
    assert torch.equal(members[0], first)
    assert members[0] not in optimiser.state
    assert all(member in optimiser.state for member in members[1:])


def test_a_closure_is_asked_for_loss_and_gradients() -> None:
    member = nn.Parameter(torch.eye(3))

    def closure() -> Tensor:
        loss = member.square().sum()
        loss.backward()
        return loss

    assert Muon([member], lr=0.1).step(closure) == 3
    assert not torch.equal(member, torch.eye(3))


@pytest.mark.parametrize("shape", [(4, 4), (9, 4), (4, 9)])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_singular_values_become_about_one_and_their_vectors_stay(shape: tuple[int, int], scale: float) -> None:
    draw = torch.Generator().manual_seed(2)
    left = torch.linalg.qr(torch.randn(shape[0], shape[0], generator=draw))[0][:, :4]
    right = torch.linalg.qr(torch.randn(shape[1], shape[1], generator=draw))[0][:, :4]
    matrices = torch.stack([left @ torch.diag(values) @ right.T for values in torch.rand(3, 4, generator=draw) + 0.3])
    made = orthogonalised(matrices * scale, *USUAL)
    inner = left.T @ made @ right
    values = inner.diagonal(dim1=1, dim2=2)
    assert values.min() > 0.65
    assert values.max() < 1.25
    assert (inner - torch.diag_embed(values)).abs().max() < 1e-4
    assert (left @ inner @ right.T - made).abs().max() < 1e-4


def test_one_matrix_among_others_comes_out_as_it_does_alone() -> None:
    draw = torch.Generator().manual_seed(3)
    matrices = torch.randn(4, 7, 5, generator=draw) * torch.tensor([1e-4, 1.0, 1e4, 0.0])[:, None, None]
    together = orthogonalised(matrices, *USUAL)
    for matrix, found in zip(matrices, together, strict=True):
        assert torch.allclose(orthogonalised(matrix[None], *USUAL)[0], found, atol=1e-5)
    assert torch.equal(together[3], torch.zeros(7, 5))


def test_a_cpu_computes_in_float32_unless_told_otherwise() -> None:
    matrices = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(4))
    exact = orthogonalised(matrices.double(), *USUAL, dtype=torch.float64)
    assert orthogonalised(matrices, *USUAL).dtype == torch.float32
    assert (orthogonalised(matrices, *USUAL) - exact).abs().max() < 1e-4
    assert orthogonalised(matrices, *USUAL, dtype=torch.bfloat16).dtype == torch.bfloat16
