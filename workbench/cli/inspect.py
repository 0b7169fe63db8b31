"""`thinkscope inspect`: what a model thought about an image and a query."""

import argparse
from pathlib import Path
from typing import Any

from workbench.cli._arguments import build_probes, split_inputs
from workbench.cli._options import add_checkpoint_option, add_device, write_out
from workbench.cli._screen import show_progress, write, write_json
from workbench.errors import BadInput

_EPILOG = """examples:
  thinkscope inspect photo.png "what is at the top left?"
  thinkscope inspect a.png b.png "which has more circles?" --candidates answers.txt
  thinkscope inspect photo.png "where is the star?" --html report.html --attention.layer 3

The last input is the query, all before it are images; a query alone needs no image, and '' asks nothing of an image.
Each field of a probe is a flag --PROBE.FIELD VALUE; 'thinkscope list probes' names them all.
"""


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "inspect",
        help="read the thought that a model has about an image and a query",
        description="Read the think tokens back as text, and show what each reads as and looks at.",
        epilog=_EPILOG,
        usage="thinkscope inspect [IMAGE ...] QUERY [options]",
    )
    parser.add_argument("inputs", nargs="+", metavar="[IMAGE ...] QUERY", help="image files, then the query")
    add_checkpoint_option(parser)
    parser.add_argument(
        "--candidates", type=Path, metavar="FILE", help="documents to rank: .txt (one a line) or .jsonl"
    )
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many candidates to show (default: 5)")
    add_device(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print everything as JSON")
    output.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained report")
    parser.set_defaults(run=run, probe_flags=[])


def run(args: argparse.Namespace) -> int:
    """Inspect one sample and show it."""
    images, query = split_inputs(args.inputs)
    # Before torch is imported: a mistyped path or field should not take seconds to be told.
    from workbench.assets import resolve_checkpoint
    from workbench.samples import make_sample, read_candidates

    sample = make_sample(images, query)
    candidates = read_candidates(args.candidates) if args.candidates else ()
    resolve_checkpoint(args.checkpoint)
    probes = build_probes(args.probe_flags)

    from workbench.runner import Session

    found = Session(device=args.device, dtype=args.dtype).inspect(
        sample, checkpoint=args.checkpoint, probes=probes, candidates=candidates, progress=show_progress
    )
    for flag, _ in args.probe_flags:
        if reason := found.skipped.get(flag.split(".")[0]):
            # Who sets a probe's parameter wants that probe; elsewhere a skipped one is only told.
            raise BadInput(f"--{flag}: {reason}")
    if args.json:
        from workbench.export.documents import inspection_json

        write_json(inspection_json(found))
    elif args.html:
        from workbench.export.documents import inspection_html

        write_out(args.html, inspection_html(found))
        write(f"{args.html}")
    else:
        from workbench.cli._report import report

        write(report(found, top=args.top))
    return 0
