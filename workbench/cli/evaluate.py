"""`thinkscope evaluate`: how good a checkpoint is on data it has not seen."""

import argparse
from pathlib import Path
from typing import Any

from workbench.cli._arguments import UsageError
from workbench.cli._options import add_checkpoint, add_device, check_out_folder
from workbench.cli._screen import show_progress, table, write, write_json
from workbench.errors import BadInput


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a checkpoint's thoughts and embeddings",
        description="Decode thoughts and rank documents on unseen samples; print shares with 95% bootstrap intervals.",
        epilog=(
            "examples:\n  thinkscope evaluate tte-flash --data shapes --split test --n 1000 --json\n"
            "  thinkscope evaluate runs/tte-flash/checkpoint --card"
        ),
    )
    add_checkpoint(parser)
    parser.add_argument(
        "--data",
        default="shapes",
        metavar="NAME",
        help="data with known truth: shapes, or shapes:SEED (default: shapes)",
    )
    parser.add_argument("--split", help="test, validation or compositional (default: test)")
    parser.add_argument("--n", type=int, default=1000, help="number of samples (default: 1000)")
    add_device(parser)
    parser.add_argument(
        "--card",
        action="store_true",
        help="measure test and compositional, and write evaluation.json and README.md into the checkpoint's folder",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print the shares."""
    seed = _seed(args.data)
    from workbench.assets import resolve_checkpoint

    path = resolve_checkpoint(args.checkpoint)
    from workbench.evaluation.card import check_card_place, evaluation_json, join_splits, write_card
    from workbench.evaluation.shapes import evaluate_shapes
    from workbench.models.checkpoint import load_checkpoint

    def progress(done: int, total: int) -> None:
        show_progress(done / total, f"{done} of {total} samples")

    if args.card:
        if args.split is not None:
            raise UsageError(
                "--card measures the splits test and compositional, so --split has nothing to act on; leave it out."
            )
        check_card_place(path)
        check_out_folder(path, asked="the folder of the card")
    model = load_checkpoint(path, device=args.device, dtype=args.dtype)
    evaluations: dict[str, dict[str, Any]] = {}
    for split in ("test", "compositional") if args.card else (args.split or "test",):
        found = evaluate_shapes(model, split=split, n=args.n, seed=seed, progress=progress)
        command = f"thinkscope evaluate {_name(path)} --data {args.data} --split {split} --n {args.n}"
        evaluations[split] = evaluation_json(found, model.info, data=args.data, command=command)
    # First what came out: writing can still fail.
    if args.json:
        write_json(join_splits(evaluations) if args.card else evaluations[args.split or "test"])
    else:
        for split, held in evaluations.items():
            _show(split, held)
    if args.card:
        write_card(path, evaluations)
        if not args.json:
            write(f"\n{path / 'README.md'}")
    return 0


def _show(split: str, held: dict[str, Any]) -> None:
    from workbench.evaluation.card import SHARES
    from workbench.evaluation.shapes import BY_TASK

    named = {name: held[name] for name in SHARES if name in held} | held["further"]
    write(table(_rows(named), head=(f"{split}: measure", "value", "95% interval", "n")))
    for name in BY_TASK:
        tasks = {task: found[name] for task, found in held["by_task"].items() if name in found}
        if tasks:
            write("\n" + table(_rows(tasks), head=(f"{name} by task", "value", "95% interval", "n")))
    swapped = (
        f"; swapped thoughts are right by chance in {held['chance_thought_exact']:.4f} of samples"
        if "chance_thought_exact" in held
        else ""
    )
    write(f"\nHit@1 is against {held['n_candidates']} candidates{swapped}.")
    for reason in dict.fromkeys(held.get("undefined", {}).values()):
        names = [name for name, why in held["undefined"].items() if why == reason]
        write(f"Not defined: {', '.join(names)}. {reason}")


def _rows(named: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(name, f"{i['value']:.4f}", f"{i['low']:.4f} to {i['high']:.4f}", str(i["n"])) for name, i in named.items()]


def _name(path: Path) -> str:
    """What others would call the checkpoint: a bundled name, or the folder's own name without this machine's path."""
    from workbench.assets import bundled_checkpoints

    found = next((name for name, folder in bundled_checkpoints().items() if folder.resolve() == path.resolve()), None)
    return found or path.resolve().name


def _seed(data: str) -> int:
    name, _, seed = data.partition(":")
    if name != "shapes" or (seed and not seed.isdecimal()):
        raise BadInput(f"'{data[:200]}' cannot be evaluated on: the truth is known for shapes, or shapes:SEED.")
    return int(seed or 7)
