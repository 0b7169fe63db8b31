"""Integrated gradients of all think tokens: Thinkscope's way beside the plain way, at the same convergence.

Plain: Captum's IntegratedGradients through pixels, target by target, from the same blurred image, until the completeness gap
is at most 5%, in two ways. As it is called: with Captum's default of 50 steps, doubled where that is too few (reckoned from
the seconds of a step that the second way measures). By an oracle: each target with the fewest steps (of those in STEPS) that
converge, which nobody knows beforehand; finding them is not timed. Ours: all targets in one go from the visual tokens, with
early stop at the same gap; once more through pixels, to show what the level makes.

    python benchmarks/attribution.py --json
    python benchmarks/attribution.py --model random --rows 8 --cols 9
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import emit, interleaved, parser
from _models import MEDIUM, picture, random_embedder
from captum.attr import IntegratedGradients as Captum

from probes.integrated_gradients import IntegratedGradients
from workbench.attribution import CONVERGED, Attribution
from workbench.embedder import Objective
from workbench.gradients import UNITS_AT_ONCE, completeness_gap
from workbench.quadrature import gauss
from workbench.resolution import resolve
from workbench.targets import parse_target
from workbench.types import Encoded, Sample

STEPS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
DOUBLED = (50, 100, 200, 400)
_NUDGE = 0.002


def main() -> None:
    """Measure and print."""
    options = parser("Cost of integrated gradients for all think tokens.")
    options.add_argument("--model", choices=("bundled", "random", "both"), default="both")
    options.add_argument("--rows", type=int, default=8, help="rows of visual tokens for the random model (default: 8)")
    options.add_argument(
        "--cols", type=int, default=9, help="columns of visual tokens for the random model (default: 9)"
    )
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    if args.model in ("bundled", "both"):
        rows.append({"model": "tte-flash"} | compare(*bundled(), rounds=args.rounds))
    if args.model in ("random", "both"):
        named = {"model": "random, 12 layers, 896 wide"}
        rows.append(named | compare(*random_one(args.rows, args.cols), rounds=args.rounds))
    emit({"command": "python benchmarks/attribution.py", "goal_ratio": 10, "models": rows}, args.json)


def bundled() -> tuple[Any, Encoded]:
    """The bundled checkpoint and one of its examples."""
    from workbench.assets import examples
    from workbench.models.checkpoint import load_checkpoint
    from workbench.samples import make_sample

    folder = Path(__file__).resolve().parents[1] / "assets" / "checkpoints" / "tte-flash"
    model, example = load_checkpoint(folder, device="cpu"), examples()[1]
    return model, model.prepare(make_sample([example.image], example.query))


def random_one(rows: int, cols: int) -> tuple[Any, Encoded]:
    """The random model and a random image of so many visual tokens."""
    model = random_embedder(MEDIUM)
    for parameter in model._backbone.model.parameters():
        parameter.requires_grad_(False)
    image = picture(cols * 28, rows * 28)
    return model, model.prepare(Sample(id="random", text="What is at the centre?", images=(image,)))


def compare(model: Any, encoded: Encoded, *, rounds: int) -> dict[str, Any]:
    """Both ways on one sample."""
    [trace] = model.trace([encoded])
    targets = resolve(parse_target("think"), model, trace, None, None)
    tokens, pixels = (model.objective(encoded, targets, level=level) for level in ("tokens", "pixels"))
    steps, doubled = fewest_steps(pixels, STEPS), fewest_steps(pixels, DOUBLED)
    alone = [model.objective(encoded, [target], level="pixels") for target in targets]
    begun = time.perf_counter()
    gaps = [plain(objective, n) for objective, n in zip(alone, steps, strict=True)]
    oracle_seconds = time.perf_counter() - begun
    taken = [sum(n for n in DOUBLED if n <= last) for last in doubled]
    plain_seconds = oracle_seconds / sum(steps) * sum(taken)
    found: dict[str, Attribution] = {}
    ours = {name: remember(found, name, objective) for name, objective in (("tokens", tokens), ("pixels", pixels))}
    seconds = interleaved({"tokens": ours["tokens"]}, rounds=rounds) | interleaved(
        {"pixels": ours["pixels"]}, rounds=1, warm_up=0
    )
    return {
        "visual_tokens": len(tokens.columns),
        "targets": len(targets),
        "plain_seconds": plain_seconds,
        "oracle_seconds": oracle_seconds,
        "ours_seconds": seconds["tokens"],
        "plain_over_ours": plain_seconds / seconds["tokens"],
        "oracle_over_ours": oracle_seconds / seconds["tokens"],
        "ours_through_pixels_seconds": seconds["pixels"],
        "plain_steps": taken,
        "oracle_steps": steps,
        "oracle_largest_gap": max(gaps),
        "ours_largest_gap": max_gap(found["tokens"]),
        "ours_steps": found["tokens"].remarks[0],
        "ours_through_pixels_largest_gap": max_gap(found["pixels"]),
        "ours_through_pixels_steps": found["pixels"].remarks[0],
    }


def remember(found: dict[str, Attribution], name: str, objective: Objective) -> Callable[[], None]:
    """A task that attributes and keeps what it found."""
    method = IntegratedGradients(level=objective.level, baseline="blur", tolerance=CONVERGED)

    def task() -> None:
        found[name] = method.attribute(objective)

    return task


def max_gap(found: Attribution) -> float:
    """The largest completeness gap of any target."""
    assert found.gap is not None
    return float(found.gap.max())


def plain(objective: Objective, n_steps: int) -> float:
    """One target's map by Captum; returns its completeness gap."""
    own, base = objective.features[None], objective.baseline("blur")[None]
    found = Captum(objective).attribute(
        own.clone().requires_grad_(),
        baselines=base,
        target=0,
        n_steps=n_steps,
        internal_batch_size=max(1, UNITS_AT_ONCE // own.shape[1]),
    )
    values = objective(torch.cat([own, base])).double().numpy()
    return float(completeness_gap(found.detach().double().sum().numpy().reshape(1), values[0], values[1])[0])


def fewest_steps(objective: Objective, tried: Sequence[int]) -> list[int]:
    """For each target the first of `tried` that converges, or the last. Slopes by differences: forward only."""
    own, base = objective.features, objective.baseline("blur")
    values = objective(torch.stack([own, base])).double().numpy()
    steps = np.full(len(objective.targets), tried[-1])
    open_ = np.ones(len(steps), dtype=bool)
    for n in tried:
        shares, weights = gauss(n)
        ends = [
            torch.cat([objective((base + (share + side * _NUDGE) * (own - base))[None]) for share in shares])
            for side in (1, -1)
        ]
        slopes = (ends[0] - ends[1]).double().numpy() / (2 * _NUDGE)
        done = completeness_gap(weights @ slopes, values[0], values[1]) <= CONVERGED
        steps[open_ & done] = n
        open_ &= ~done
        if not open_.any():
            break
    return steps.tolist()


if __name__ == "__main__":
    main()
