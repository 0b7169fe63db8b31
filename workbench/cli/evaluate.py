"""`thinkscope evaluate`: how good a checkpoint is on data it has not seen."""

import argparse
from dataclasses import fields
from typing import Any

from workbench.cli._screen import show_progress, table, write, write_json
from workbench.errors import BadInput


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a checkpoint's thoughts and embeddings",
        description="Decode thoughts and rank documents on unseen samples; print shares with 95% bootstrap intervals.",
        epilog="example:\n  thinkscope evaluate tte-flash --data shapes --split test --n 1000 --json",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="bundled name or folder")
    parser.add_argument(
        "--data",
        default="shapes",
        metavar="NAME",
        help="data with known truth: shapes, or shapes:SEED (default: shapes)",
    )
    parser.add_argument("--split", default="test", help="test, validation or compositional (default: test)")
    parser.add_argument("--n", type=int, default=1000, help="number of samples (default: 1000)")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: cuda where there is one)")
    parser.add_argument("--dtype", metavar="NAME", help="float32, bfloat16 or float16 (default: by device)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print the shares."""
    seed = _seed(args.data)
    from workbench.assets import resolve_checkpoint

    path = resolve_checkpoint(args.checkpoint)
    from workbench.evaluation.shapes import evaluate_shapes
    from workbench.models.checkpoint import load_checkpoint

    def progress(done: int, total: int) -> None:
        show_progress(done / total, f"{done} of {total} samples")

    model = load_checkpoint(path, device=args.device, dtype=args.dtype)
    found = evaluate_shapes(model, split=args.split, n=args.n, seed=seed, progress=progress)
    intervals = {name: _plain(interval) for name, interval in found.metrics.items()}
    if args.json:
        rest = {
            item.name: getattr(found, item.name) for item in fields(found) if item.name not in ("metrics", "by_task")
        }
        by_task = {task: {name: _plain(i) for name, i in rows.items()} for task, rows in found.by_task.items()}
        write_json({**intervals, **rest, "by_task": by_task, "checkpoint": model.info.name, "data": args.data})
        return 0
    rows = [
        (name, f"{i['value']:.4f}", f"{i['low']:.4f} to {i['high']:.4f}", str(i["n"])) for name, i in intervals.items()
    ]
    write(table(rows, head=("measure", "value", "95% interval", "n")))
    write(
        f"\nHit@1 is against {found.n_candidates} candidates; swapped thoughts list the right objects by chance "
        f"in {found.chance_thought_exact:.4f} of samples."
    )
    return 0


def _seed(data: str) -> int:
    name, _, seed = data.partition(":")
    if name != "shapes" or (seed and not seed.isdecimal()):
        raise BadInput(f"'{data[:200]}' cannot be evaluated on: the truth is known for shapes, or shapes:SEED.")
    return int(seed or 7)


def _plain(interval: Any) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}
