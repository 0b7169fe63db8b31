"""`thinkscope export`: the decoded thoughts of a whole data set, into files."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli._options import add_checkpoint_option, add_device, add_split
from workbench.cli._screen import plain, write, write_json

if TYPE_CHECKING:
    # Only for annotations: --help must not wait for NumPy.
    from workbench.export.progress import Progress, Summary

_SOME_FAILED = 3
_INTERRUPTED = 130
_TOLD_PROBLEMS = 3
_LOG_SECONDS = 10
_HOW_TO_RESUME = "what was finished is kept, and the same command with --resume goes on from there."
_EPILOG = """examples:
  thinkscope export shapes --n 1000 --checkpoint tte-flash --out thoughts.jsonl
  thinkscope export photos/ --out thoughts.jsonl --parquet --with lens,embedding
  thinkscope export rows.parquet --out thoughts --resume
  thinkscope export rows.jsonl --out /shared/thoughts --shard 3/16    (on the fourth of sixteen machines)

exit codes: 0 all rows have their thought; 3 finished, but some rows failed, and their records say why (0 under torchrun,
which would take it for a crash); 2 it could not run, or not go on; 130 interrupted, and --resume goes on.
"""


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "export",
        help="decode the thoughts of a data set into JSON Lines",
        description="Decode the thoughts of a whole data set into JSON Lines, with a manifest that says what made them.",
        epilog=_EPILOG,
    )
    parser.add_argument("data", metavar="DATASET", help="path, or reader:source; 'thinkscope list readers' names them")
    add_split(parser)
    parser.add_argument("--n", type=int, metavar="N", help="number of rows, bad ones included (default: all)")
    add_checkpoint_option(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PATH",
        help="a .jsonl file, or a folder that gets parts and manifest",
    )
    parser.add_argument("--parquet", action="store_true", help="also write Parquet")
    parser.add_argument(
        "--with",
        dest="extras",
        default="",
        metavar="NAMES",
        help="further parts, with commas between: latents, embedding, attention, lens, knockout",
    )
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run stopped")
    parser.add_argument(
        "--shard", default="0/1", metavar="I/N", help="make every N-th part, from part I, counted from 0"
    )
    parser.add_argument(
        "--on-error", choices=("skip", "stop"), default="skip", help="what becomes of bad rows (default: skip)"
    )
    _add_how(parser)
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run)


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", metavar="NAME", help="who makes the parts: single, local, torchrun or ray")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that make parts (default: by machine)")
    parser.add_argument(
        "--context", help="what the decoder sees: latents_only or query_and_latents (default: by model)"
    )
    parser.add_argument("--max-tokens", type=int, default=256, metavar="N", help="longest thought (default: 256)")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="words told of each think token (default: 5)")
    parser.add_argument(
        "--batch",
        type=int,
        default=256,
        metavar="N",
        help="most samples in one batch; of long ones fewer (default: 256)",
    )
    parser.add_argument("--part-rows", type=int, default=256, metavar="N", help="rows of a part (default: 256)")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Export, and say what was written."""
    from workbench.data.sifting import Shard
    from workbench.export.engine import ENGINES, default_engine
    from workbench.export.planning import make_plan
    from workbench.export.run import run_export

    engine = ENGINES.get(args.engine or default_engine())(workers=args.workers)
    plan = make_plan(
        args.data,
        args.checkpoint,
        args.out,
        split=args.split,
        n=args.n,
        extras=[name for name in args.extras.split(",") if name],
        parquet=args.parquet,
        on_error=args.on_error,
        context=args.context,
        device=args.device,
        dtype=args.dtype,
        max_tokens=args.max_tokens,
        top=args.top,
        batch=args.batch,
        part_rows=args.part_rows,
    )
    with _stop_on_interrupt() as stopped, _own_output():
        try:
            summary = run_export(
                plan,
                engine,
                args.out,
                shard=Shard.parse(args.shard),
                resume=args.resume,
                progress=_Line(),
                cancelled=stopped.is_set,
                command=["thinkscope", *sys.argv[1:]],
            )
        except KeyboardInterrupt:
            sys.stderr.write(f"\nthinkscope: stopped; {_HOW_TO_RESUME}\n")
            return _INTERRUPTED
    _wipe()
    if args.json:
        write_json(asdict(summary) | {"out": str(summary.out), "manifest": str(summary.manifest)})
    else:
        write(_told(summary))
    for line in _doubts(summary):
        sys.stderr.write(f"thinkscope: {plain(line)}\n")
    if summary.status == "cancelled":
        return _INTERRUPTED
    # A launcher would take another code of one rank for a crash, and end the other ranks.
    return _SOME_FAILED if summary.failed and not engine.shared else 0


def _told(summary: "Summary") -> str:
    if summary.status != "complete":
        return f"{summary.rows:,} rows in complete parts so far, {summary.failed:,} of them failed"
    made = "it was complete before" if not summary.made else f"{summary.made / max(summary.seconds, 1e-9):.1f} rows/s"
    return f"{summary.rows:,} rows, {summary.failed:,} of them failed, in {plain(str(summary.out))} ({made})"


def _doubts(summary: "Summary") -> Iterator[str]:
    if summary.status == "cancelled":
        yield f"stopped; {_HOW_TO_RESUME}"
    if summary.status == "partial":
        yield "parts of other shards are missing; whichever run makes the last of them completes the output."
    if summary.status == "complete" and not summary.rows:
        yield "the data set has no rows."
    if summary.mixed > 1:
        yield (
            f"parts were made in {summary.mixed} ways (versions or kinds of device, see the manifest), so that equal "
            "inputs may differ in the last digits of their numbers."
        )
    if summary.failed:
        told = "; ".join(problem.reason.rstrip(".") for problem in summary.problems[:_TOLD_PROBLEMS])
        more = "; ..." if summary.failed > _TOLD_PROBLEMS else "."
        yield f"{summary.failed:,} rows have no thought, and their records say why: {told}{more}"


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one interrupts."""
    stopped = threading.Event()

    def stop(*_: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()
        sys.stderr.write("\nthinkscope: finishing the parts that are being made; Ctrl-C again drops them.\n")

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _own_output() -> Iterator[None]:
    """Keep standard output for the result: what engines and libraries print goes where errors go."""
    sys.stdout.flush()
    try:
        held = os.dup(1)
    except OSError:  # there is none
        yield
        return
    try:
        with redirect_stdout(sys.stderr):
            os.dup2(2, 1)
            yield
    finally:
        os.dup2(held, 1)
        os.close(held)


class _Line:
    """Progress on stderr: one line that changes where a person looks, else a line now and then for a log."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, progress: "Progress") -> None:
        person = sys.stderr.isatty()
        if not person and time.monotonic() - self._shown < _LOG_SECONDS:
            return
        self._shown = time.monotonic()
        rows = "of an unknown number" if progress.rows is None else f"of {progress.rows:,}"
        left = "time left unknown" if progress.left is None else f"{_clock(progress.left)} left"
        text = f"{progress.done:,} done, {progress.failed:,} failed {rows}; {progress.rate:.1f} rows/s, {left}"
        sys.stderr.write(f"\r\x1b[K{text}" if person else f"{text}\n")
        sys.stderr.flush()


def _wipe() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
