"""`python docs/maps.py`: score every attribution method on a bundled checkpoint and write docs/maps.md.

Takes the same settings as `thinkscope benchmark-maps` and says which they were; the numbers stand only there.
"""

import argparse
import sys
from pathlib import Path

from workbench.assets import resolve_checkpoint
from workbench.evaluation.known_maps import known_samples
from workbench.evaluation.scoreboard import choose_methods, score_maps
from workbench.models.checkpoint import load_checkpoint
from workbench.render.board import board_markdown
from workbench.store import write_text_atomic

PAGE = Path(__file__).resolve().parent / "maps.md"
INTRODUCTION = """# Which map to believe

Every attribution method of Thinkscope, scored where it is known which pixels decide the answer. What each method does, and
when it misleads: `thinkscope list probes`. Measured on the bundled checkpoint `{checkpoint}` by

```
thinkscope benchmark-maps {checkpoint} --data shapes --split {split} --n {n}
```

"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Score every attribution method and write docs/maps.md.")
    parser.add_argument("checkpoint", nargs="?", default="tte-flash")
    parser.add_argument("--split", default="test")
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--device")
    args = parser.parse_args()
    model = load_checkpoint(resolve_checkpoint(args.checkpoint), device=args.device)

    def progress(share: float, doing: str) -> None:
        sys.stderr.write(f"\r{share:4.0%}  {doing}   ")

    known = known_samples(model, split=args.split, n=args.n, seed=7)
    data = f"Shapes, split {args.split}"
    board = score_maps(model, choose_methods(None), known=known, n=args.n, data=data, progress=progress)
    head = INTRODUCTION.format(checkpoint=args.checkpoint, split=args.split, n=args.n)
    write_text_atomic(PAGE, head + board_markdown(board))
    print(f"\nwrote {PAGE}")


if __name__ == "__main__":
    main()
