"""`thinkscope attribute`: which patches of the image made a word, a think token or the embedding."""

import argparse
from pathlib import Path
from typing import Any

from workbench.cli._arguments import build_checks, build_method, split_inputs
from workbench.cli._options import add_checkpoint_option, add_device, write_out
from workbench.cli._screen import show_progress, write, write_json

_EPILOG = """targets (numbers count from 1):
  words                    every word of the decoded thought (the default)
  word:3                   the log-probability of word 3; word:3/blue against 'blue' in its place
  think, think:3           the state of every think token, or of one, along the word that it reads as
  think:3:effect           what think token 3 adds to the embedding's score
  embedding                the embedding's cosine to the best candidate, less the mean of the others
  embedding:margin         less the best of the others; embedding:cosine:NAME, the cosine to one candidate alone

examples:
  thinkscope attribute photo.png "what is at the top left?" --target word:3
  thinkscope attribute photo.png "what is it?" --target embedding --candidates answers.txt --html map.html
  thinkscope attribute photo.png "what is it?" --method integrated_gradients --set steps=64 --png map.png

The last input is the query, all before it are images. 'thinkscope list probes' names the methods and their parameters.
"""


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "attribute",
        help="find the patches that made a word, a think token or the embedding",
        description="Say which patches of the image made a number of the model, and how far to trust the map.",
        epilog=_EPILOG,
        usage="thinkscope attribute IMAGE [IMAGE ...] QUERY [options]",
    )
    parser.add_argument("inputs", nargs="+", metavar="IMAGE [IMAGE ...] QUERY", help="image files, then the query")
    parser.add_argument("--target", default="words", metavar="TARGET", help="what to explain (default: words)")
    parser.add_argument("--method", metavar="NAME", help="attribution method (default: the best of the scoreboard)")
    parser.add_argument("--level", metavar="tokens|pixels", help="attribute to visual tokens (fast), or to pixels")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a parameter of the method; may be given several times",
    )
    parser.add_argument(
        "--check",
        dest="checks",
        action="append",
        default=[],
        metavar="NAME|all",
        help="put the map to a test (faithfulness, stability ...); may be given several times",
    )
    parser.add_argument(
        "--candidates", type=Path, metavar="FILE", help="documents that the embedding compares with: .txt or .jsonl"
    )
    add_checkpoint_option(parser)
    add_device(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print everything as JSON")
    output.add_argument("--png", type=Path, metavar="FILE", help="write the maps over the image, a row for each target")
    output.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained report")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Attribute one sample and show it."""
    images, query = split_inputs(args.inputs)
    # Before torch is imported: a mistyped path or field should not take seconds to be told.
    from workbench.assets import resolve_checkpoint
    from workbench.attribution import DEFAULT_METHOD
    from workbench.samples import make_sample, read_candidates
    from workbench.targets import parse_target

    sample = make_sample(images, query)
    candidates = read_candidates(args.candidates) if args.candidates else ()
    resolve_checkpoint(args.checkpoint)
    parse_target(args.target)
    method = build_method(args.method or DEFAULT_METHOD, args.settings, args.level)
    checks = build_checks(args.checks)

    from workbench.runner import Session

    found = Session(device=args.device, dtype=args.dtype).attribute(
        sample,
        args.target,
        method,
        checkpoint=args.checkpoint,
        candidates=candidates,
        checks=checks,
        progress=show_progress,
    )
    show_progress(1.0, "Done")
    _show(args, found)
    return 0


def _show(args: argparse.Namespace, found: Any) -> None:
    from workbench.export.documents import explanation_html, explanation_json, explanation_png

    if args.json:
        write_json(explanation_json(found))
    elif args.png:
        write_out(args.png, explanation_png(found))
        write(f"{args.png}")
    elif args.html:
        write_out(args.html, explanation_html(found))
        write(f"{args.html}")
    else:
        from workbench.cli._explained import report

        write(report(found))
