"""`thinkscope ablate`: the open questions of the TTE-Flash abstract, measured on Shapes with small models."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from workbench.cli._options import check_out_folder
from workbench.cli._screen import table, write, write_json
from workbench.errors import BadInput

_EPILOG = """examples:
  thinkscope ablate --out runs/ablation
  thinkscope ablate --out runs/ablation --seeds 0 --cells shared.joint.latents-only.k4,two-pass.joint.latents-only.k4
  thinkscope ablate --out runs/ablation --summary --page docs/ablation.md

Every run is a folder of its own below --out. What is finished is not trained again, what was stopped goes on, so the same
command may be given again at any time. docs/ablation.md says what is varied and what came out.
"""
_SEEDS = (0, 1, 2)
_COUNTS = {"steps": 1, "batch": 2, "rows": 8, "tower_steps": 1, "test": 2, "fewest": 1, "most": 1}


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "ablate",
        help="train small models that differ in how they think, and compare them",
        description=(
            "Train small models on Shapes that differ in one thing each (extraction times dependency, decoder context, number of "
            "think tokens), several seeds of each, and print mean and spread."
        ),
        epilog=_EPILOG,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of all runs")
    parser.add_argument("--seeds", metavar="N,N", help="seeds of every cell (default: 0,1,2)")
    parser.add_argument("--cells", metavar="NAME,NAME", help="cells to train (default: all)")
    parser.add_argument("--steps", type=int, metavar="N", help="training steps of a run")
    parser.add_argument("--batch", type=int, metavar="N", help="queries in a step")
    parser.add_argument("--rows", type=int, metavar="N", help="training rows")
    parser.add_argument("--tower-steps", type=int, metavar="N", help="steps of the vision warm-up that all runs share")
    parser.add_argument("--fewest", type=int, metavar="N", help="objects in a scene, at least")
    parser.add_argument("--most", type=int, metavar="N", help="objects in a scene, at most")
    parser.add_argument("--test", type=int, metavar="N", help="unseen samples that a run is evaluated on")
    parser.add_argument("--device", metavar="NAME", help="for evaluating: cpu, cuda ... (training takes what there is)")
    parser.add_argument("--summary", action="store_true", help="train nothing; tell what is finished")
    parser.add_argument("--page", type=Path, metavar="FILE", help="fill the marked block of a Markdown page")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train what is missing, and tell what was found."""
    given = {name: getattr(args, name) for name in _COUNTS if getattr(args, name) is not None}
    for name, least in _COUNTS.items():
        if name in given and not least <= given[name] <= 10_000_000:
            raise BadInput(f"--{name.replace('_', '-')} is {given[name]}, but must be {least} or more.")
    if args.summary and (
        ignored := [*given, *(name for name in ("seeds", "cells") if getattr(args, name) is not None)]
    ):
        raise BadInput(
            f"--summary trains nothing, so --{ignored[0].replace('_', '-')} has nothing to act on; leave it out."
        )
    seeds = _SEEDS if args.seeds is None else _seeds(args.seeds)
    from workbench.ablation.cells import all_cells, choose
    from workbench.ablation.running import Scale, read_results, run_cells
    from workbench.ablation.summary import comparisons, sentences, summary_json
    from workbench.render.ablation import BLOCK, HEAD, block, cells_text
    from workbench.render.marked import fill, read_page
    from workbench.store import write_text_atomic

    page = None if args.page is None else read_page(args.page, BLOCK)
    cells = choose(None if args.cells is None else [part.strip() for part in args.cells.split(",") if part.strip()])
    if not args.summary:
        check_out_folder(args.out)
        if {"fewest", "most"} & given.keys():
            # Numbers that no scene can have are refused before a folder is made.
            _ = Scale(**given).world
        begun = args.out / "scale.json"
        scale = read_results(args.out)[0] if begun.is_file() and not given else Scale(**given)
        run_cells(cells, seeds, scale, args.out, device=args.device, report=_report)
    scale, results = read_results(args.out)
    if args.page is not None and page is not None:
        write_text_atomic(args.page, fill(page, BLOCK, block(results, scale, _command(args.out, scale, results))))
    if args.json:
        made = comparisons(results)
        told = {"scale": _values(scale), "cells": summary_json(results, all_cells()), "shows": sentences(results)}
        write_json(told | {"comparisons": len(made), "by_luck": sum(made)})
        return 0
    write(table(cells_text(results, all_cells()), head=HEAD))
    write("\n" + "\n".join(sentences(results)))
    return 0


def _command(out: Path, scale: Any, results: Any) -> str:
    """What trains what is finished: the scale, seeds and cells of the folder where they are not the usual ones."""
    from workbench.ablation.cells import all_cells
    from workbench.ablation.running import Scale

    usual, mine = _values(Scale()), _values(scale)
    words = ["thinkscope", "ablate", "--out", str(out)]
    for name in _COUNTS:
        words += [f"--{name.replace('_', '-')}", str(mine[name])] if mine[name] != usual[name] else []
    seeds = sorted({result.seed for result in results})
    if tuple(seeds) != _SEEDS and seeds:
        words += ["--seeds", ",".join(map(str, seeds))]
    cells, done = [cell.name for cell in all_cells()], {result.cell for result in results}
    if done and set(cells) - done:
        words += ["--cells", ",".join(name for name in cells if name in done)]
    return shlex.join(words)


def _values(scale: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(scale)


def _seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and len(part) < 8 for part in parts):
        raise BadInput(
            f"--seeds is '{text[:80]}', but must be whole numbers with commas between them, for example 0,1,2."
        )
    return tuple(dict.fromkeys(int(part) for part in parts))


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
