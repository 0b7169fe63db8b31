"""Peak memory of an export by the number of its samples: it must not grow with them. Each size runs in a process of its own.

    python benchmarks/export_memory.py --json --sizes 1000 20000
    python benchmarks/export_memory.py --json --sizes 1024 8192 --distinct 1024

The peak is that of the largest batch, and among more samples there are larger ones: texts that are longer, images that meet.
With `--distinct` samples are these first ones again and again under other ids, so that nothing grows but their number.
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
    options.add_argument("--distinct", type=int, default=0, help="samples that are repeated (default: all differ)")
    args = options.parse_args()
    found = {}
    for size in args.sizes:
        words = [args.checkpoint, str(size), str(args.max_tokens), str(args.threads), str(args.distinct)]
        ran = run_alone("export_memory", "export", words, threads=args.threads)
        one = {"peak_mib": round(ran.peak_mib, 1)} | json.loads(ran.printed)
        found |= {f"{name} at {size}": value for name, value in one.items()}
    emit(found, args.json)


def export(words: Sequence[str]) -> None:
    """Export samples of Shapes in this process; print rows and seconds.

    The words: checkpoint, how many, longest thought, threads, and how many differ (0: all).
    """
    from workbench.export.engines.single import SingleEngine
    from workbench.export.planning import make_plan
    from workbench.export.run import run_export

    checkpoint, (n, max_tokens, threads, distinct) = words[0], map(int, words[1:])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "thoughts.jsonl"
        data = str(repeat(Path(folder) / "data", distinct, n)) if distinct else "shapes"
        plan = make_plan(data, checkpoint, out, n=n, device="cpu", max_tokens=max_tokens, threads=threads)
        begun = time.monotonic()
        summary = run_export(plan, SingleEngine(), out)
        seconds = time.monotonic() - begun
        size = out.stat().st_size
    told = {"rows": summary.rows, "seconds": round(seconds, 1), "mib_written": size / 2**20}
    sys.stdout.write(json.dumps(told))


def repeat(folder: Path, distinct: int, n: int) -> Path:
    """Write samples of Shapes, the first of them again and again under other ids."""
    from workbench.data.shapes import ShapesConfig, write_shapes

    path = write_shapes(folder, ShapesConfig(), "test", distinct)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as lines:
        for number in range(n):
            row = rows[number % distinct]
            lines.write(json.dumps({**row, "id": f"{row['id']}-{number // distinct}"}) + "\n")
    return path


if __name__ == "__main__":
    main()
