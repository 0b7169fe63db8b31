"""Seconds and peak memory of `thinkscope audit` at some numbers of samples, each from nothing, in a process of its own.

Memory should not grow with the samples. The last one is also made again from what was kept: figures and verdict alone.

    python benchmarks/audit.py --n 100 500 --json
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from _measure import emit, parser

_CODE = (
    "import sys\n"
    "from _measure import peak_mib\n"
    "from workbench.cli import main\n"
    "code = main(sys.argv[1:])\n"
    "sys.stderr.write(str(peak_mib()))\n"
    "sys.exit(code)\n"
)


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
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _CODE, *asked],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return {"seconds": time.perf_counter() - begun, "peak_mib": float(done.stderr.strip().splitlines()[-1])}


if __name__ == "__main__":
    main()
