"""`thinkscope benchmark-maps`: which attribution method to believe, measured where the truth is known."""

import argparse
from pathlib import Path
from typing import Any

from workbench.cli._options import add_checkpoint, add_device, write_out
from workbench.cli._screen import show_progress, table, write, write_json
from workbench.errors import BadInput

_MOST = 100_000


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "benchmark-maps",
        help="rank the attribution methods where the truth is known",
        description=(
            "Make maps with every attribution method for words, embedding and think tokens of unseen scenes, and compare "
            "them with the pixels that decide these targets; print scores with 95% bootstrap intervals."
        ),
        epilog=(
            "examples:\n  thinkscope benchmark-maps tte-flash --data shapes --split test --n 500 --json\n"
            "  thinkscope benchmark-maps tte-flash --n 50 --methods saliency,integrated_gradients --html board.html"
        ),
    )
    add_checkpoint(parser)
    parser.add_argument(
        "--data",
        default="shapes",
        metavar="NAME",
        help="data with known truth: shapes, shapes:SEED, or planted:FOLDER to plant evidence in a folder's images "
        "(default: shapes)",
    )
    parser.add_argument("--split", default="test", help="test, validation, compositional or train (default: test)")
    parser.add_argument("--n", type=int, default=500, help="number of samples (default: 500)")
    parser.add_argument(
        "--methods", metavar="A,B", help="methods to rank, with commas between them (default: all; see list probes)"
    )
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the table into one HTML file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Score the methods, and print or write the board."""
    kind, source = _data(args.data)
    if not 1 <= args.n <= _MOST:
        raise BadInput(f"--n is {args.n}, but must lie between 1 and {_MOST:,}.")
    if args.html is not None and not args.html.parent.is_dir():
        raise BadInput(f"There is no folder '{args.html.parent}' to write '{args.html.name}' into; make it first.")
    from workbench.assets import resolve_checkpoint

    path = resolve_checkpoint(args.checkpoint)
    from workbench.data.shapes import SPLITS
    from workbench.errors import UnknownName
    from workbench.evaluation.known_maps import known_samples
    from workbench.evaluation.planted_evidence import planted_samples
    from workbench.evaluation.scoreboard import choose_methods, score_maps

    if kind == "shapes" and args.split not in SPLITS:
        raise UnknownName("split", args.split, SPLITS)
    chosen = choose_methods(None if args.methods is None else _names(args.methods))
    from workbench.models.checkpoint import load_checkpoint
    from workbench.render.board import HEAD, board_cells, board_html, board_json, reading, statement

    model = load_checkpoint(path, device=args.device, dtype=args.dtype)
    if kind == "shapes":
        known = known_samples(model, split=args.split, n=args.n, seed=int(source or 7))
        data = f"{args.data}, split {args.split}"
    else:
        known, data = planted_samples(model, Path(source), n=args.n), args.data
    board = score_maps(model, chosen, known=known, n=args.n, data=data, progress=show_progress)
    if args.json:
        write_json(board_json(board))
    else:
        write(table(board_cells(board), head=HEAD))
        write(f"\n{statement(board)}\n\n{reading(board)}")
        for remark in board.remarks:
            write(remark)
    if args.html is not None:
        write_out(args.html, board_html(board))
        if not args.json:
            write(f"\n{args.html}")
    return 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _data(data: str) -> tuple[str, str]:
    kind, _, source = data.partition(":")
    if kind == "planted" and source:
        return kind, source
    if kind != "shapes" or (source and not source.isdecimal()):
        raise BadInput(
            f"Maps cannot be compared with '{data[:200]}': the truth is known for shapes, shapes:SEED and planted:FOLDER."
        )
    return kind, source
