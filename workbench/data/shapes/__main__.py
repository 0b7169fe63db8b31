"""`python -m workbench.data.shapes --out DIR --n N`: write a Shapes data set."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from workbench.data.shapes.config import ShapesConfig
from workbench.data.shapes.dataset import write_shapes
from workbench.data.shapes.world import SPLITS
from workbench.errors import WorkbenchError


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a data set as the command line asks; exit status 0, or 2 with a message for bad input."""
    parser = argparse.ArgumentParser(prog="python -m workbench.data.shapes", description="Write a Shapes data set.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to; made if missing")
    parser.add_argument("--n", type=int, required=True, help="number of samples")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--masks", action="store_true", help="also write the objects' masks")
    options = parser.parse_args(arguments)
    try:
        config = ShapesConfig(seed=options.seed)
        path = write_shapes(options.out, config, options.split, options.n, masks=options.masks)
    except WorkbenchError as error:
        parser.error(str(error))
    sys.stdout.write(f"wrote {options.n} samples to {path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
