"""`thinkscope audit`: do the think tokens do anything?"""

import argparse
from pathlib import Path
from typing import Any

from workbench.cli._options import REPORTS, add_checkpoint, add_data, add_device, add_report, check_out, write_out
from workbench.cli._screen import plain, show_progress, table, write, write_json

_DEFAULT_N = 500
_EPILOG = """examples:
  thinkscope audit tte-flash --data shapes --n 500 --out report.html
  thinkscope audit runs/mine/checkpoint --data photos/ --split validation --out report.json
  thinkscope audit tte-flash-early --data shapes --n 200 --json

The thoughts of every query are edited in about a hundred ways, and the candidates ranked anew each time. What was done is
kept (--keep), so that a run that was stopped goes on. docs/audit.md says what is measured and when it misleads.
"""
_SHOWN = (
    "hide.all",
    "zero.all",
    "mean.all",
    "noise.all",
    "dummy.all",
    "swap-random.all",
    "swap-nearest.all",
    "swap-image.all",
    "shuffle.all",
    "reorder.all",
    "first-repeated.all",
    "format-only.all",
    "block.think-image",
    "block.think-think",
    "block.embed-image",
    "block.embed-query",
    "control.all",
)


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "audit",
        help="test whether the think tokens do anything",
        description="Audit the think tokens of a checkpoint: edit them, and see what happens to rankings and texts.",
        epilog=_EPILOG,
    )
    add_checkpoint(parser)
    add_data(parser)
    parser.add_argument(
        "--n", type=int, default=_DEFAULT_N, metavar="N", help=f"samples, bad rows included (default: {_DEFAULT_N})"
    )
    parser.add_argument(
        "--fit-split",
        default="validation",
        metavar="SPLIT",
        help="part of the data on which the adaptive budget's threshold is chosen (default: validation)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of partners, noise and intervals (default: 0)")
    add_report(parser)
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit, say what came out, and write the report."""
    check_out(args.out, REPORTS)
    from workbench.auditing.making import ask, make_audit
    from workbench.comparing.kept import Kept
    from workbench.comparing.making import Setup

    wanted = ask(args.checkpoint, args.data, split=args.split, n=args.n, seed=args.seed, fit_split=args.fit_split)
    audit = make_audit(wanted, Setup(kept=Kept(args.keep), device=args.device, dtype=args.dtype), tell=show_progress)
    if args.json:
        write_json(audit.to_json())
    else:
        _show(audit)
    if args.out is not None:
        _write(args.out, audit)
        if not args.json:
            write(f"\n{args.out}")
    return 0


def _write(out: Path, audit: Any) -> None:
    import json

    if out.suffix == ".json":
        text = json.dumps(audit.to_json(), ensure_ascii=False, allow_nan=False)
        write_out(out, text + "\n")
        return
    from workbench.render.audit_html import audit_html

    write_out(out, audit_html(audit))


def _show(audit: Any) -> None:
    source, verdict = audit.source, audit.verdict
    write(f"{plain(source.title)} ({source.split}): {source.n:,} samples, {source.n_candidates:,} candidates")
    write(f"\n{plain(verdict.sentence)}\n(verdict: {verdict.kind}; evidence: {verdict.strength})")
    for sentence in verdict.evidence:
        write(f"- {plain(sentence)}")
    rows = [_row(audit, name) for name in _SHOWN if audit.edit(name) is not None]
    head = ("edit of the thoughts", "Hit@1", "change", "rank, change", "1 - cosine", "log-probability, change")
    if rows:
        write("\n" + table(rows, head=head))
    if audit.tasks:
        rows = [(one.task, str(one.n), _figure(one.hit_at_1), _figure(_share(one))) for one in audit.tasks]
        write("\n" + table(rows, head=("task", "samples", "Hit@1", "share lost with another sample's thoughts")))
    if audit.budget is not None and audit.budget.hit_at_1:
        rows = [(str(k), _figure(one)) for k, one in enumerate(audit.budget.hit_at_1)]
        write("\n" + table(rows, head=("thoughts seen", "Hit@1")))
    if audit.not_tested:
        write("\nNot tested\n" + "\n".join(f"- {plain(one.what)}: {plain(one.why)}" for one in audit.not_tested))
    if audit.notes:
        write("\n" + "\n".join(f"- {plain(note)}" for note in audit.notes))
    write(f"\n{plain(audit.command)}")


def _row(audit: Any, name: str) -> tuple[str, ...]:
    measures = audit.edit(name).measures
    names = ("hit_at_1", "hit_change", "rank_change", "embedding_change", "log_probability_change")
    return (name, *(_figure(measures.get(one)) for one in names))


def _share(task: Any) -> Any:
    return task.shares.get("swap-random.all")


def _figure(found: Any) -> str:
    return "-" if found is None else f"{found.value:z.3f} ({found.low:z.3f} to {found.high:z.3f})"
