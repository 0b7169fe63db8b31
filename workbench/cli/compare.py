"""`thinkscope compare`: checkpoints beside each other on one data set."""

import argparse
from typing import Any

from workbench.cli._arguments import UsageError, build_method
from workbench.cli._options import REPORTS, add_data, add_device, add_report, check_out, write_out
from workbench.cli._screen import plain, show_progress, table, write, write_json
from workbench.errors import Cancelled, WorkbenchError

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
    """Compare, say what came out, and write the report."""
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
    # First what came out: attributing and writing can still fail.
    if args.json:
        write_json(comparison_json(compared.comparison))
    else:
        _show(compared.comparison)
    failure = None if method is None else _attribute(args, compared, method, setup)
    if args.out is not None:
        notes = _write(args, compared, method, failure)
        if not args.json:
            write("\n" + "\n".join([*(f"- {plain(note)}" for note in notes), str(args.out)]))
    if failure is not None:
        raise failure
    return 0


def _check(args: argparse.Namespace) -> None:
    check_out(args.out, REPORTS)
    if len(args.checkpoints) < 2:
        raise UsageError("A comparison is of two checkpoints or more; name another one.")
    if args.out is None or args.out.suffix == ".json":
        for option, does in (("method", "makes maps for"), ("sample", "opens")):
            if getattr(args, option) is not None:
                raise UsageError(f"--{option} {does} the HTML report; name one with --out report.html.")


def _attribute(args: argparse.Namespace, compared: Any, method: Any, setup: Any) -> WorkbenchError | None:
    """Make the maps; returns why not all could be made. The report, which took longer to make, is written all the same."""
    from workbench.comparing.attributing import attribute_samples
    from workbench.comparing.report import shown_samples

    try:
        for pair, samples in zip(compared.comparison.pairs, shown_samples(compared, first=args.sample), strict=True):
            sides = (pair.reference, pair.other)
            attribute_samples(compared, samples, method, setup, sides=sides, tell=show_progress)
    except Cancelled:
        raise
    except WorkbenchError as error:
        return error
    return None


def _write(args: argparse.Namespace, compared: Any, method: Any, failure: WorkbenchError | None) -> list[str]:
    """Write the report; returns what is to be said of it."""
    import json

    from workbench.comparing.document import comparison_json

    if args.out.suffix == ".json":
        text = json.dumps(comparison_json(compared.comparison), ensure_ascii=False, allow_nan=False)
        write_out(args.out, text + "\n")
        return []
    from workbench.comparing.report import comparison_html, unread_notes

    notes = () if failure is None else (f"Attribution ended early: {failure}",)
    write_out(args.out, comparison_html(compared, first=args.sample, method=method, notes=notes))
    return unread_notes(compared.comparison, args.sample)


def _show(comparison: Any) -> None:
    source = comparison.source
    write(f"{plain(source.title)} ({source.split}): {source.n:,} samples, {source.n_candidates:,} candidates")
    names = [plain(side.name) for side in comparison.sides]
    if comparison.metrics:
        rows = [(one.name, *map(_estimate, one.values), _numbers(one.values)) for one in comparison.metrics]
        write("\n" + table(rows, head=("quality", *names, "samples")))
    for pair in comparison.pairs:
        write(f"\n{names[pair.other]} against {names[pair.reference]}")
        for part in (
            _differences(pair),
            _groups(comparison, pair),
            _likeness(pair),
            _depths(pair),
            _single(pair),
            _agreements(pair),
            _looks(pair),
            _matches(pair),
            _moved(comparison, pair),
        ):
            if part:
                write("\n" + part)
        if pair.refused:
            write("\nNot compared\n" + _refused(pair.refused))
    if comparison.refused:
        write(f"\nNot compared with {names[0]}\n" + _refused(comparison.refused))
    if comparison.notes:
        write("\n" + "\n".join(f"- {plain(note)}" for note in comparison.notes))


def _refused(refused: Any) -> str:
    return "\n".join(f"- {plain(one.what)}: {plain(one.why)}" for one in refused)


def _estimate(found: Any) -> str:
    return "-" if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _numbers(values: Any) -> str:
    """Of how many samples the values of a row are: once where that is the same for all, else one after the other."""
    told = ["-" if one is None else f"{one.n:,}" for one in values]
    known = {one for one in told if one != "-"}
    return known.pop() if len(known) == 1 else " / ".join(told)


def _differences(pair: Any) -> str:
    rows = [
        (one.metric, _estimate(one.change), str(one.change.n), str(one.higher), str(one.lower))
        for one in pair.differences
    ]
    head = ("difference", "95% interval, paired", "samples", "higher at", "lower at")
    return table(rows, head=head) if rows else ""


def _groups(comparison: Any, pair: Any) -> str:
    """One metric group by group, the first that both have; the report has all of them."""
    metric = next((one.metric for one in pair.differences), None)
    rows = [
        (plain(group.name), _estimate(one.change), str(one.change.n), str(one.higher), str(one.lower))
        for group in pair.groups
        for one in group.differences
        if one.metric == metric
    ]
    head = (f"{plain(comparison.grouped_by)}: {metric}", "difference", "samples", "higher at", "lower at")
    return table(rows, head=head) if rows else ""


_ALIKE = ("neighbours kept", "by chance", "p", "debiased CKA", "p", "Procrustes residual", "by chance")


def _alike(one: Any) -> tuple[str, ...]:
    figures = (one.overlap.value, one.overlap_chance, one.overlap_p, one.cka, one.cka_p, one.residual)
    return (*(f"{figure:z.3f}" for figure in figures), f"{one.residual_chance:.3f}")


def _likeness(pair: Any) -> str:
    rows = [(_what(one), *_alike(one)) for one in pair.likeness]
    return table(rows, head=(f"likeness over {pair.likeness[0].n:,} samples", *_ALIKE)) if rows else ""


def _depths(pair: Any) -> str:
    """Thoughts averaged at every depth; the last layer alone would say the same again."""
    rows = [(_layers(one), *_alike(one)) for one in pair.by_depth if one.of == "thoughts"]
    return table(rows, head=("thoughts, averaged", *_ALIKE)) if len(rows) > 1 else ""


def _single(pair: Any) -> str:
    """Matched think tokens at every depth, a row for each layer: from the least of them to the most."""
    found: dict[str, list[Any]] = {}
    for one in pair.by_depth:
        if one.of == "thought":
            found.setdefault(_layers(one), []).append(one)
    rows = [
        (
            layers,
            _from_to([one.overlap.value for one in single]),
            f"{max(one.overlap_p for one in single):.3f}",
            _from_to([one.cka for one in single]),
            f"{max(one.cka_p for one in single):.3f}",
            _from_to([one.residual for one in single]),
            _from_to([one.residual_chance for one in single]),
        )
        for layers, single in found.items()
    ]
    head = ("each thought, least to most", "neighbours kept", "largest p", "debiased CKA", "largest p")
    return table(rows, head=(*head, "Procrustes residual", "by chance")) if len(rows) > 1 else ""


def _layers(one: Any) -> str:
    a, b = one.layer
    return f"layer {a}" if a == b else f"layer {a} and {b}"


def _from_to(values: list[float]) -> str:
    return f"{min(values):z.3f} to {max(values):z.3f}"


def _what(one: Any) -> str:
    if one.of == "thought":
        return f"thought {one.think[0]} and {one.think[1]}, last layer"
    return "thoughts, averaged, last layer" if one.of == "thoughts" else "embeddings"


def _agreements(pair: Any) -> str:
    rows = [(one.name, _estimate(one.value)) for one in pair.agreements]
    return table(rows, head=(f"rankings of {pair.agreements[0].value.n:,} samples", "95% interval")) if rows else ""


def _looks(pair: Any) -> str:
    """Chance and p are of the samples whose image is cut like another one, perhaps not of all; then their agreement is told."""
    part = any(0 < one.chance_n < one.n for one in pair.looks)
    rows = [
        (
            "embedding" if not one.think else f"thought {one.think[0]} and {one.think[1]}",
            _estimate(one.agreement),
            str(one.n),
            *((_known(one.chance_agreement), str(one.chance_n)) if part else ()),
            _known(one.chance),
            _known(one.p),
        )
        for one in pair.looks
    ]
    of = ("where chance is known", "samples") if part else ()
    head = ("attention on the same patches", "rank correlation", "samples", *of, "by chance", "p")
    return table(rows, head=head) if rows else ""


def _known(value: float | None) -> str:
    return "-" if value is None else f"{value:z.3f}"


def _matches(pair: Any) -> str:
    if pair.matched != "likeness":
        return ""
    told = ", ".join(f"{one.reference or 'none'} with {one.other or 'none'}" for one in pair.matches)
    return (
        f"Think tokens were matched by the overlap of their neighbours (Hungarian method): {told}. Their chance and p are those of "
        "a best match."
    )


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
