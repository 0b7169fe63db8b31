"""`thinkscope shapes`: write a data set of the Shapes world."""

import argparse
from pathlib import Path
from typing import Any

from workbench.cli._options import writing
from workbench.cli._screen import write, write_json


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "shapes",
        help="write images and JSONL of the Shapes world",
        description="Write a split of the Shapes world as images and one JSONL file, the form that training reads.",
        epilog="example:\n  thinkscope shapes --out shapes-data --split test --n 200 --masks",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to; made when missing")
    parser.add_argument("--split", default="train", help="train, validation, test or compositional (default: train)")
    parser.add_argument("--n", type=int, default=1000, help="number of samples (default: 1000)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the world (default: 7)")
    parser.add_argument("--masks", action="store_true", help="also write the pixels of each object")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the split."""
    from workbench.data.shapes import SPLITS, ShapesConfig, write_shapes
    from workbench.errors import UnknownName

    if args.split not in SPLITS:
        raise UnknownName("split", args.split, SPLITS)
    with writing(args.out):
        path = write_shapes(args.out, ShapesConfig(seed=args.seed), args.split, args.n, masks=args.masks)
    if args.json:
        write_json({"path": str(path), "n": args.n, "split": args.split, "seed": args.seed})
    else:
        write(f"{args.n} samples in {path}")
    return 0
