"""Seconds and peak memory of `thinkscope audit` at some numbers of samples, each from nothing, in a process of its own.

Memory should not grow with the samples. The last one is also made again from what was kept: figures and verdict alone.

    python benchmarks/audit.py --n 100 500 --json
"""

import tempfile
from pathlib import Path

import torch
from _measure import emit, parser, run_command


def main() -> None:
    """Measure and print."""
    options = parser("Audit a checkpoint on Shapes.")
    options.add_argument("--checkpoint", default="tte-flash", help="bundled name or folder (default: tte-flash)")
    options.add_argument("--n", type=int, nargs="+", default=[100, 500], help="numbers of samples (default: 100 500)")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    found, again = [], {}
    for n in args.n:
        with tempfile.TemporaryDirectory() as kept:
            found.append({"samples": n, **run(args.checkpoint, n, Path(kept), args.threads)})
            again = run(args.checkpoint, n, Path(kept), args.threads)
    command = f"python benchmarks/audit.py --checkpoint {args.checkpoint} --n {' '.join(map(str, args.n))}"
    emit({"command": command, "audits": found, "again": again}, args.json)


def run(checkpoint: str, n: int, kept: Path, threads: int) -> dict[str, float]:
    """Seconds and peak of one audit, the start of Python included."""
    asked = ["audit", checkpoint, "--data", "shapes", "--n", str(n), "--keep", str(kept), "--json"]
    ran = run_command(asked, threads=threads)
    return {"seconds": ran.seconds, "peak_mib": ran.peak_mib}


if __name__ == "__main__":
    main()
