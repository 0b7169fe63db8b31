"""A step of Muon over the weight matrices of a bundled checkpoint: torch's, one matrix after the other, against ours by shapes.

python benchmarks/muon.py --json
"""

import torch
from _measure import emit, interleaved, parser
from torch import nn

from workbench.assets import resolve_checkpoint
from workbench.models.families.qwen2_vl import Qwen2VLFamily
from workbench.recipes.muon import Muon


def main() -> None:
    """Measure and print."""
    options = parser("Muon by shapes against torch's.")
    options.add_argument("--checkpoint", default="tte-flash")
    options.add_argument("--device", default="cpu")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    model = Qwen2VLFamily().load_model(
        resolve_checkpoint(args.checkpoint), device=torch.device("cpu"), dtype=torch.float32
    )
    matrices = [part.weight.detach() for part in model.model.modules() if isinstance(part, nn.Linear)]
    draw = torch.Generator().manual_seed(0)
    gradients = [torch.randn(matrix.shape, generator=draw).to(device) for matrix in matrices]

    def optimiser(make: type[torch.optim.Optimizer], **more: str) -> torch.optim.Optimizer:
        members = [nn.Parameter(matrix.clone().to(device)) for matrix in matrices]
        for member, gradient in zip(members, gradients, strict=True):
            member.grad = gradient
        return make(members, lr=1e-3, **more)  # pyright: ignore[reportCallIssue] - what all optimisers take

    def step(which: torch.optim.Optimizer) -> None:
        which.step()
        if device.type != "cpu":
            torch.accelerator.synchronize()

    torchs, ours = optimiser(torch.optim.Muon, adjust_lr_fn="match_rms_adamw"), optimiser(Muon)
    seconds = interleaved({"torch": lambda: step(torchs), "by_shapes": lambda: step(ours)}, rounds=args.rounds)
    emit(
        {
            "command": f"python benchmarks/muon.py --device {args.device} --threads {args.threads}",
            "matrices": len(matrices),
            "shapes": len({matrix.shape for matrix in matrices}),
            "by_shapes_seconds": seconds["by_shapes"],
            "torch_over_by_shapes": seconds["torch"] / seconds["by_shapes"],
        },
        args.json,
    )


if __name__ == "__main__":
    main()
