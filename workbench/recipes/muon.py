"""Muon (K. Jordan; Liu et al., arXiv 2502.16982), torch's own, with matrices of one shape taken together.

torch orthogonalises one matrix after the other, in bfloat16. Many small matrices keep a GPU waiting for the host, and for a CPU
without bfloat16 instructions that is many times slower than float32 (`benchmarks/muon.py`). Here matrices of one shape go
through one batched product, in bfloat16 on an accelerator and in float32 on a CPU.
"""

# torch gives its operations on lists of tensors no public names.
# pyright: reportPrivateImportUsage=false
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor


@final
class Muon(torch.optim.Muon):
    """As torch.optim.Muon with `adjust_lr_fn="match_rms_adamw"`: updates have AdamW's usual size, one learning rate serves both.

    State and settings are torch's, so a run that was saved with the one goes on with the other. On a CPU updates differ from
    torch's by its rounding to bfloat16.
    """

    def __init__(self, params: Any, *, lr: float) -> None:
        super().__init__(params, lr=lr, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient. Returns the closure's loss, None without one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params: list[Tensor] = []
            gradients: list[Tensor] = []
            moments: list[Tensor] = []
            self._init_group(group, params, gradients, moments)
            if params:
                _update(params, gradients, moments, group)
        return loss


def _update(params: list[Tensor], gradients: list[Tensor], moments: list[Tensor], group: Any) -> None:
    momentum, rate = group["momentum"], float(group["lr"])
    torch._foreach_lerp_(moments, gradients, 1 - momentum)
    ahead = torch._foreach_lerp(gradients, moments, momentum) if group["nesterov"] else moments
    torch._foreach_mul_(params, 1 - rate * group["weight_decay"])
    alike: dict[torch.Size, list[int]] = defaultdict(list)
    for place, parameter in enumerate(params):
        alike[parameter.shape].append(place)
    for shape, places in alike.items():
        stacked = torch.stack([ahead[place] for place in places])
        made = orthogonalised(stacked, group["ns_coefficients"], group["ns_steps"], group["eps"])
        # As AdamW's update, whose root mean square is 0.2 to 0.4 (arXiv 2502.16982, section 2.2).
        size = 0.2 * math.sqrt(max(shape))
        torch._foreach_add_([params[place] for place in places], list(made.to(stacked.dtype)), alpha=-rate * size)


def orthogonalised(
    matrices: Float[Tensor, "n rows cols"],
    coefficients: tuple[float, float, float],
    steps: int,
    eps: float,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "n rows cols"]:
    """Matrices of the same singular vectors, their singular values between about 0.7 and 1.2 (Newton-Schulz, quintic).

    Args:
        matrices: of any scale.
        coefficients: of the first, third and fifth power.
        steps: iterations.
        eps: the least norm that a matrix is divided by.
        dtype: in which to compute; None: float32 on a CPU, bfloat16 elsewhere. The result has it.
    """
    dtype = dtype or (torch.float32 if matrices.device.type == "cpu" else torch.bfloat16)
    first, third, fifth = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    found = (matrices.mT if tall else matrices).to(dtype)
    found = found / found.flatten(1).norm(dim=1).clamp(min=eps)[:, None, None]
    for _ in range(steps):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth), found, beta=first)
    return found.mT if tall else found
