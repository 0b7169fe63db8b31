"""`thinkscope inspect` on a random 2B-shaped Qwen2-VL in bf16: seconds per stage and peak memory on the CPU.

The checkpoint is what `thinkscope train tte-flash --backbone Qwen/Qwen2-VL-2B-Instruct` would write, with random weights
and a small tokenizer padded to the real vocabulary size. It is made once under --folder (4.4 GB).

    python benchmarks/large.py --folder /tmp/large --json
"""

import json
from pathlib import Path

import torch
from _measure import emit, parser, run_command
from _models import WORDS, picture, write_random
from transformers import Qwen2VLForConditionalGeneration

from workbench.models.creation import give_layout, small_backbone, small_tokenizer
from workbench.models.layout import tte_flash
from workbench.timing.backbones import TWO_B, VOCABULARY


def main() -> None:
    """Measure and print."""
    options = parser("Inspect with a 2B-shaped checkpoint.")
    options.add_argument("--folder", type=Path, default=Path("runs/large"))
    options.add_argument("--side", type=int, default=448, help="side of the square test image, pixels (default: 448)")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    checkpoint = args.folder / "tte-flash-2b-random"
    if not (checkpoint / "thinkscope.json").is_file():
        make(checkpoint)
    image = args.folder / "image.png"
    data = picture(args.side, args.side).data
    assert data is not None
    image.write_bytes(data)
    command = [str(image), "What is in this picture?", "--checkpoint", str(checkpoint), "--dtype", "bfloat16", "--json"]
    ran = run_command(["inspect", *command], threads=args.threads)
    told = json.loads(ran.printed)
    emit(
        {
            "command": "python benchmarks/large.py",
            "parameters": sum(p.numel() for p in _shape().parameters()),
            "whole_seconds": ran.seconds,
            "peak_gib": ran.peak_mib / 1024,
            "stages": told.get("seconds"),
            "decoded_tokens": len(told["thought"]["tokens"]),
        },
        args.json,
    )


def _shape() -> torch.nn.Module:
    with torch.device("meta"):
        return small_backbone(TWO_B, small_tokenizer(WORDS), vocabulary=VOCABULARY)[0]


def make(checkpoint: Path) -> None:
    """Write the random checkpoint; weights are made in bf16 so that 2B parameters fit."""
    torch.set_default_dtype(torch.bfloat16)
    try:
        model, processor = small_backbone(TWO_B, small_tokenizer(WORDS), vocabulary=VOCABULARY)
    finally:
        torch.set_default_dtype(torch.float32)
    assert isinstance(model, Qwen2VLForConditionalGeneration)
    write_random(checkpoint, give_layout(model, processor, tte_flash(8)), dtype=torch.bfloat16)


if __name__ == "__main__":
    main()
