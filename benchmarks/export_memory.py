"""Peak memory of an export by the number of its samples: it must not grow with them. Each size runs in a process of its own.

python benchmarks/export_memory.py --json --sizes 1000 20000
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import emit, parser, peak_mib


def main() -> None:
    """Measure and print."""
    options = parser("Peak memory of an export by the number of its samples.")
    options.add_argument("--checkpoint", default="tte-flash")
    options.add_argument("--sizes", type=int, nargs="+", default=[1_000, 20_000])
    options.add_argument("--max-tokens", type=int, default=256)
    options.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.one is not None:
        sys.stdout.write(json.dumps(measure(args.checkpoint, args.one, args.max_tokens, args.threads)) + "\n")
        return
    found = {}
    for size in args.sizes:
        words = [sys.executable, __file__, "--one", str(size), "--checkpoint", args.checkpoint]
        words += ["--max-tokens", str(args.max_tokens), "--threads", str(args.threads)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found |= {f"{name} at {size}": value for name, value in json.loads(done.stdout).items()}
    emit(found, args.json)


def measure(checkpoint: str, n: int, max_tokens: int, threads: int) -> dict[str, float]:
    """Export n samples of Shapes in this process; peak resident memory in MiB, before and after, and seconds."""
    from workbench.export.engines.single import SingleEngine
    from workbench.export.planning import make_plan
    from workbench.export.run import run_export

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "thoughts.jsonl"
        plan = make_plan("shapes", checkpoint, out, n=n, device="cpu", max_tokens=max_tokens, threads=threads)
        begun = time.monotonic()
        summary = run_export(plan, SingleEngine(), out)
        seconds = time.monotonic() - begun
        size = out.stat().st_size
    peak = peak_mib()
    return {"peak_mib": round(peak, 1), "rows": summary.rows, "seconds": round(seconds, 1), "mib_written": size / 2**20}


if __name__ == "__main__":
    main()
