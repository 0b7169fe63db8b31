"""Peak memory of `thinkscope compare` between two random 2B-shaped Qwen2-VL in bf16, beside one of them and a tiny one.

Each model is let go before the next one is loaded, so both peaks should be those of one model. The second checkpoint is
the first one under another title (its files are links), which is other content but needs no further disk.

    python benchmarks/compare.py --folder /tmp/large --json
"""

import json
import time
from pathlib import Path

import torch
from _measure import emit, parser, run_command
from _models import picture
from large import make

from workbench.assets import resolve_checkpoint


def main() -> None:
    """Measure and print."""
    options = parser("Compare two 2B-shaped checkpoints.")
    options.add_argument("--folder", type=Path, default=Path("runs/large"))
    options.add_argument("--side", type=int, default=448, help="side of the square test images, pixels (default: 448)")
    options.add_argument("--n", type=int, default=4, help="samples (default: 4)")
    options.add_argument("--checkpoint", type=Path, help="measure this one instead of a random 2B-shaped one")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    first = args.checkpoint or args.folder / "tte-flash-2b-random"
    if not (first / "thinkscope.json").is_file():
        make(first)
    second = args.folder / f"{first.name}-again"
    retitle(first, second)
    data = write_rows(args.folder, args.n, args.side)
    emit(
        {
            "command": "python benchmarks/compare.py",
            "samples": args.n,
            "two_large": run(args, data, first, second),
            "one_large": run(args, data, first, resolve_checkpoint("tte-flash-early")),
        },
        args.json,
    )


def retitle(first: Path, second: Path) -> None:
    """A checkpoint of the same weights under another title."""
    second.mkdir(parents=True, exist_ok=True)
    for file in first.iterdir():
        link = second / file.name
        link.unlink(missing_ok=True)
        if file.name != "thinkscope.json":
            link.symlink_to(file.resolve())
    about = json.loads((first / "thinkscope.json").read_text(encoding="utf-8"))
    (second / "thinkscope.json").write_text(json.dumps(about | {"title": "again"}), encoding="utf-8")


def write_rows(folder: Path, n: int, side: int) -> Path:
    """Rows with a picture of that side; each names its right document."""
    rows = []
    for number in range(n):
        data = picture(side, side).data
        assert data is not None
        (folder / f"{number}.png").write_bytes(data)
        rows.append(
            {"query": f"What is picture {number}?", "images": [f"{number}.png"], "target": {"text": f"{number}"}}
        )
    path = folder / "compare.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def run(args: object, data: Path, *checkpoints: Path) -> dict[str, float]:
    """Seconds and peak of one comparison, with nothing kept from before."""
    folder, threads, n = (getattr(args, name) for name in ("folder", "threads", "n"))
    kept = folder / f"kept-{time.time_ns()}"
    asked = [*map(str, checkpoints), "--data", str(data), "--n", str(n), "--keep", str(kept), "--dtype", "bfloat16"]
    ran = run_command(["compare", *asked, "--json"], threads=threads)
    return {"seconds": ran.seconds, "peak_gib": ran.peak_mib / 1024}


if __name__ == "__main__":
    main()
