"""`thinkscope planted`: make checkpoints of which the truth is known, and see whether the audit finds it."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workbench.cli._options import check_out_folder
from workbench.cli._screen import table, write, write_json

_WRONG = 1
_EPILOG = """examples:
  thinkscope planted --seeds 3 --out runs/planted
  thinkscope planted --kinds used decorative --seeds 1 --json

Training is part of it: about a minute and a half for each checkpoint on one core, its audit included, after three minutes
for the vision tower that all share.
With --out everything is kept, and a run that was stopped goes on. Exit code 1: some verdict is wrong.
"""


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "planted",
        help="test the audit on checkpoints of which the truth is known",
        description="Train checkpoints whose thoughts are certainly used, certainly ignored and so on, audit each of them "
        "without a hint, and compare the verdicts with the truth.",
        epilog=_EPILOG,
    )
    parser.add_argument("--kinds", nargs="+", default=[], metavar="KIND", help="which kinds (default: all seven)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="checkpoints of each kind (default: 3)")
    parser.add_argument("--n", type=int, metavar="N", help="samples that are audited (default: 200)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep everything here, or go on with what is here")
    parser.add_argument("--json", action="store_true", help="print the cases as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make, audit, and say how many verdicts are right."""
    from dataclasses import replace

    from workbench.errors import BadInput
    from workbench.planting.cases import Scale, judge_plants, summary
    from workbench.planting.judging import ask_audit
    from workbench.planting.kinds import make_plants

    plants = make_plants(tuple(args.kinds), args.seeds)
    if args.out is not None:
        check_out_folder(args.out)
    scale = Scale() if args.n is None else replace(Scale(), n=args.n)
    if scale.n < 2:
        raise BadInput(f"--n is {scale.n}; an audit needs 2 samples or more.")
    with ExitStack() as stack:
        folder = args.out or Path(stack.enter_context(TemporaryDirectory(prefix="thinkscope-planted-")))
        cases = list(judge_plants(plants, folder, ask_audit, _report, scale))
    found = summary(cases)
    if args.json:
        write_json(found)
    else:
        _show(cases, found)
    return 0 if found["right"] == found["total"] else _WRONG


def _show(cases: Sequence[Any], found: Any) -> None:
    rows = [
        (
            f"{case.kind} {case.seed}",
            case.verdict,
            "right" if case.right else "WRONG",
            f"{case.hit_at_1:.3f} ({case.hit_at_1_low:.3f} to {case.hit_at_1_high:.3f})",
            f"{case.chance:.3f}",
            f"{case.seconds_training:.0f} + {case.seconds_judging:.0f}",
        )
        for case in cases
    ]
    head = ("planted, seed", "verdict", "", "Hit@1 (95% interval)", "by chance", "training + audit, s")
    write(table(rows, head=head))
    write(f"\n{found['right']} of {found['total']} verdicts are right.")


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
