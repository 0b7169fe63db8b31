"""`thinkscope compare`: checkpoints beside each other on one data set."""

import argparse
from typing import Any

from workbench.cli._arguments import UsageError, build_method
from workbench.cli._options import REPORTS, add_data, add_device, add_report, check_out
from workbench.cli._screen import plain, show_progress, table, write, write_json

_LISTED = 5
_EPILOG = """examples:
  thinkscope compare tte-flash tte-flash-early --data shapes --n 100 --out report.html
  thinkscope compare tte-flash runs/mine/checkpoint --data photos/ --out report.json
  thinkscope compare tte-flash no-think lame --data shapes --n 200 --json
  thinkscope compare tte-flash lame --data shapes --out report.html --method integrated_gradients

The first checkpoint is the reference, each other one is compared with it. One model is in memory at a time; what it read
is kept (--keep), so that a run that was stopped goes on, and further checkpoints cost their own time alone.
"""


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "compare",
        help="set checkpoints beside each other on one data set",
        description="Compare checkpoints: quality, rankings, thoughts, and how alike their spaces are.",
        epilog=_EPILOG,
    )
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="bundled names or folders, two or more")
    add_data(parser)
    parser.add_argument("--n", type=int, metavar="N", help="samples, bad rows included (default: 200)")
    parser.add_argument("--sample", metavar="ID", help="sample that the report opens with (default: the first)")
    parser.add_argument(
        "--by",
        metavar="COLUMN",
        help="tell quality for each value of this column too (default: task, where there is one)",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="attribute what the HTML report shows in full with this method too, for example integrated_gradients",
    )
    add_report(parser)
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare, write the report, and say what came out."""
    _check(args)
    from workbench.comparing.document import comparison_json
    from workbench.comparing.kept import Kept
    from workbench.comparing.making import Setup, choose, make_comparison
    from workbench.comparing.question import pose

    method = None if args.method is None else build_method(args.method, [], None)
    chosen = choose(args.checkpoints)
    question = pose(args.data, split=args.split, n=args.n)
    if args.sample is not None and args.sample not in {row.id for row in question.rows}:
        raise UsageError(
            f"--sample is '{args.sample[:100]}', which is none of the {len(question.rows):,} samples that are read."
        )
    setup = Setup(kept=Kept(args.keep), device=args.device, dtype=args.dtype)
    compared = make_comparison(chosen, question, setup, by=args.by, tell=show_progress)
    if method is not None:
        _attribute(args, compared, method, setup)
    if args.out is not None:
        _write(args, compared, method)
    if args.json:
        write_json(comparison_json(compared.comparison))
    else:
        _show(compared.comparison)
        if args.out is not None:
            write(f"\n{args.out}")
    return 0


def _check(args: argparse.Namespace) -> None:
    check_out(args.out, REPORTS)
    if len(args.checkpoints) < 2:
        raise UsageError("A comparison is of two checkpoints or more; name another one.")
    if args.method is not None and (args.out is None or args.out.suffix == ".json"):
        raise UsageError("--method makes maps for the HTML report; name one with --out report.html.")


def _attribute(args: argparse.Namespace, compared: Any, method: Any, setup: Any) -> None:
    from workbench.comparing.attributing import attribute_samples
    from workbench.comparing.report import shown_samples

    for pair, samples in zip(compared.comparison.pairs, shown_samples(compared, first=args.sample), strict=True):
        sides = (pair.reference, pair.other)
        attribute_samples(compared, samples, method, setup, sides=sides, tell=show_progress)


def _write(args: argparse.Namespace, compared: Any, method: Any) -> None:
    import json

    from workbench.comparing.document import comparison_json
    from workbench.store import write_text_atomic

    if args.out.suffix == ".json":
        text = json.dumps(comparison_json(compared.comparison), ensure_ascii=False, allow_nan=False)
        write_text_atomic(args.out, text + "\n")
        return
    from workbench.comparing.report import comparison_html

    write_text_atomic(args.out, comparison_html(compared, first=args.sample, method=method))


def _show(comparison: Any) -> None:
    source = comparison.source
    write(f"{plain(source.title)} ({source.split}): {source.n:,} samples, {source.n_candidates:,} candidates")
    names = [plain(side.name) for side in comparison.sides]
    if comparison.metrics:
        rows = [(one.name, *map(_estimate, one.values)) for one in comparison.metrics]
        write("\n" + table(rows, head=("quality", *names)))
    for pair in comparison.pairs:
        write(f"\n{names[pair.other]} against {names[pair.reference]}")
        for part in (
            _differences(pair),
            _groups(comparison, pair),
            _likeness(pair),
            _agreements(pair),
            _looks(pair),
            _matches(pair),
            _moved(comparison, pair),
        ):
            if part:
                write("\n" + part)
        if pair.refused:
            write("\nNot compared\n" + "\n".join(f"- {one.what}: {plain(one.why)}" for one in pair.refused))
    if comparison.notes:
        write("\n" + "\n".join(f"- {plain(note)}" for note in comparison.notes))


def _estimate(found: Any) -> str:
    return "-" if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _differences(pair: Any) -> str:
    rows = [(one.metric, _estimate(one.change), str(one.higher), str(one.lower)) for one in pair.differences]
    return table(rows, head=("difference", "95% interval, paired", "higher at", "lower at")) if rows else ""


def _groups(comparison: Any, pair: Any) -> str:
    """One metric group by group, the first that both have; the report has all of them."""
    metric = next((one.metric for one in pair.differences), None)
    rows = [
        (plain(group.name), str(group.n), _estimate(one.change), str(one.higher), str(one.lower))
        for group in pair.groups
        for one in group.differences
        if one.metric == metric
    ]
    head = (f"{plain(comparison.grouped_by)}: {metric}", "samples", "difference", "higher at", "lower at")
    return table(rows, head=head) if rows else ""


def _likeness(pair: Any) -> str:
    rows = [
        (
            _what(one),
            f"{one.overlap.value:.3f}",
            f"{one.overlap_chance:.3f}",
            f"{one.cka:.3f}",
            f"{one.cka_p:.3f}",
            f"{one.residual:.3f}",
            f"{one.residual_chance:.3f}",
        )
        for one in pair.likeness
    ]
    head = ("likeness of", "neighbours kept", "by chance", "debiased CKA", "p", "Procrustes residual", "by chance")
    return table(rows, head=head) if rows else ""


def _what(one: Any) -> str:
    if one.of == "thought":
        return f"thought {one.think[0]} and {one.think[1]}, last layer"
    return "thoughts, averaged, last layer" if one.of == "thoughts" else "embeddings"


def _agreements(pair: Any) -> str:
    rows = [(one.name, _estimate(one.value)) for one in pair.agreements]
    return table(rows, head=("rankings", "95% interval")) if rows else ""


def _looks(pair: Any) -> str:
    rows = [
        (
            "embedding" if not one.think else f"thought {one.think[0]} and {one.think[1]}",
            _estimate(one.agreement),
            "-" if one.chance is None else f"{one.chance:.3f}",
            "-" if one.p is None else f"{one.p:.3f}",
        )
        for one in pair.looks
    ]
    return table(rows, head=("attention on the same patches", "rank correlation", "by chance", "p")) if rows else ""


def _matches(pair: Any) -> str:
    if pair.matched != "likeness":
        return ""
    told = ", ".join(f"{one.reference or 'none'} with {one.other or 'none'}" for one in pair.matches)
    return f"Think tokens were matched by the overlap of their neighbours (Hungarian method): {told}."


def _moved(comparison: Any, pair: Any) -> str:
    """The samples whose rank changed most; where none is ranked, those whose thoughts did."""
    ranked = sorted((one for one in pair.changes if one.gained), key=lambda one: -abs(one.gained))[:_LISTED]
    if ranked:
        rows = [
            (plain(comparison.samples[one.sample].id), str(one.rank_reference), str(one.rank_other)) for one in ranked
        ]
        return table(rows, head=("rank changed most", "rank", "now"))
    said = sorted((one for one in pair.changes if one.words), key=lambda one: -one.words)[:_LISTED]
    rows = [(plain(comparison.samples[one.sample].id), f"{one.words:.2f}") for one in said]
    return table(rows, head=("thought changed most", "share of words")) if rows else ""
