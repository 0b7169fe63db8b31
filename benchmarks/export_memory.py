"""Peak memory of an export by the number of its samples: it must not grow with them. Each size runs in a process of its own.

python benchmarks/export_memory.py --json --sizes 1000 20000
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _measure import emit, parser, run_alone


def main() -> None:
    """Measure and print."""
    options = parser("Peak memory of an export by the number of its samples.")
    options.add_argument("--checkpoint", default="tte-flash")
    options.add_argument("--sizes", type=int, nargs="+", default=[1_000, 20_000])
    options.add_argument("--max-tokens", type=int, default=256)
    args = options.parse_args()
    found = {}
    for size in args.sizes:
        words = [args.checkpoint, str(size), str(args.max_tokens), str(args.threads)]
        ran = run_alone("export_memory", "export", words, threads=args.threads)
        one = {"peak_mib": round(ran.peak_mib, 1)} | json.loads(ran.printed)
        found |= {f"{name} at {size}": value for name, value in one.items()}
    emit(found, args.json)


def export(words: Sequence[str]) -> None:
    """Export samples of Shapes in this process (checkpoint, how many, longest thought, threads); print rows and seconds."""
    from workbench.export.engines.single import SingleEngine
    from workbench.export.planning import make_plan
    from workbench.export.run import run_export

    checkpoint, (n, max_tokens, threads) = words[0], map(int, words[1:])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "thoughts.jsonl"
        plan = make_plan("shapes", checkpoint, out, n=n, device="cpu", max_tokens=max_tokens, threads=threads)
        begun = time.monotonic()
        summary = run_export(plan, SingleEngine(), out)
        seconds = time.monotonic() - begun
        size = out.stat().st_size
    told = {"rows": summary.rows, "seconds": round(seconds, 1), "mib_written": size / 2**20}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
