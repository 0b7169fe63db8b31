"""From a command line to an exit code. It does not stand in `__init__`, where the command `list` hides the built-in."""

import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

from workbench import __version__
from workbench.cli._arguments import CommandParser, split_probe_flags
from workbench.errors import WorkbenchError

_INTERRUPTED = 130
_PIPE_CLOSED = 141
_REFUSED = 2

_EPILOG = """examples:
  thinkscope inspect photo.png "what is at the top left?"
  thinkscope app
  thinkscope list checkpoints
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or 2 after one sentence on stderr that says what to change."""
    # Before anything imports them: their progress bars and advice would stand in the middle of our output.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except WorkbenchError as error:
        sys.stderr.write(f"thinkscope: {error}\n")
        return _REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("\nthinkscope: stopped.\n")
        return _INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit, which would complain about the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    return code


def make_parser() -> CommandParser:
    """The parser with every command that is found."""
    parser = CommandParser(
        prog="thinkscope",
        description="Read, map and test the latent think tokens of reasoning multimodal embedders.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=CommandParser)
    package = importlib.import_module("workbench.cli")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{package.__name__}.{module.name}").register(commands)
    return parser


def _run(argv: list[str]) -> int:
    parser = make_parser()
    argv, probe_flags = split_probe_flags(argv)
    args, rest = parser.parse_known_args(argv)
    if args.version:
        sys.stdout.write(f"thinkscope {__version__}\n")
        return 0
    if args.command is None:
        parser.print_help()
        return _REFUSED
    if not hasattr(args, "probe_flags"):
        rest += [f"--{flag}" for flag, _ in probe_flags]
    elif probe_flags:
        args.probe_flags = probe_flags
    if hasattr(args, "inputs"):
        # argparse stops collecting at the first option between two inputs; what it left over are inputs too.
        args.inputs += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        parser.error(f"'{args.command}' does not know {' '.join(rest)}.")
    return args.run(args)
