"""`thinkscope app`: the web app on this machine."""

import argparse
import sys
from pathlib import Path
from typing import Any

from workbench.cli._options import add_device
from workbench.cli._screen import write
from workbench.errors import BadInput


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "app",
        help="start the web app",
        description="Serve the pages to this machine's browser, until Ctrl-C.",
        epilog="examples:\n  thinkscope app\n  thinkscope app --port 7861 --checkpoint runs/tte-flash/checkpoint",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: 7860)")
    parser.add_argument(
        "--checkpoint", action="append", default=[], metavar="PATH", help="offer this folder too; may be repeated"
    )
    parser.add_argument(
        "--data", action="append", default=[], metavar="DATASET", help="offer this data set too; may be repeated"
    )
    add_device(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if not 1 <= args.port <= 65535:
        raise BadInput(f"The port is {args.port}, but must lie between 1 and 65535.")
    if args.host not in ("127.0.0.1", "localhost", "::1"):
        sys.stderr.write(
            f"thinkscope: listening on {args.host} lets everyone who reaches this machine use the app; it has no login.\n"
        )
    write(f"Thinkscope starts on http://{args.host}:{args.port} (stop with Ctrl-C)")
    sys.stdout.flush()

    from workbench.runner import Session
    from workbench.ui.app import serve

    session = Session(device=args.device, dtype=args.dtype)
    try:
        folders = [Path(path) for path in args.checkpoint]
        serve(folders, data=args.data, session=session, host=args.host, port=args.port)
    except OSError as error:
        raise BadInput(
            f"The app cannot listen on {args.host}:{args.port}, which is taken or not allowed; name another port with --port."
        ) from error
    return 0
