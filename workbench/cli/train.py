"""`thinkscope train`: train a checkpoint with a recipe."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from workbench.cli._options import check_out_folder
from workbench.cli._screen import write, write_json

_EPILOG = """examples:
  thinkscope train tte-flash --config workbench/recipes/configs/demo.toml
  thinkscope train tte-flash --config my.toml --backbone Qwen/Qwen2-VL-2B-Instruct --data train.jsonl --set optimiser.steps=500
  torchrun --nproc-per-node 2 -m workbench.cli train tte-flash --config my.toml    (two processes, on GPUs or CPUs)

settings that are often changed, in the file or with --set (all of them, explained: workbench/recipes/config.py):
  optimiser.method=muon               Muon for the weight matrices of both towers, AdamW for the rest; adamw: for all
  optimiser.batch=16                  queries per step of each process; the documents of all processes are negatives
  optimiser.precision=bf16            compute in bfloat16; the weights stay in float32
  model.gradient_checkpointing=true   less memory for more time
  model.lora_rank=16                  adapters on the text stack instead of all weights
  model.contexts='["latents_only", "query_and_latents"]'
                                      what the written reasoning sees; several take turns
  model.extraction=two_pass           how think and embed tokens come from one backbone (tte-flash)
  model.dependency=stop_gradient      how their two tasks hang together in training (tte-flash)
"""


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "train",
        help="train a checkpoint with a recipe",
        description="Train with a recipe; a run that was stopped goes on with --resume.",
        epilog=_EPILOG,
    )
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe; 'thinkscope list recipes' names them")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings, TOML")
    parser.add_argument(
        "--backbone", metavar="PATH|ID", help="Qwen2-VL checkpoint to start from, instead of the setting"
    )
    parser.add_argument("--data", metavar="FILE", help="training rows, JSONL, instead of the setting")
    parser.add_argument("--out", metavar="DIR", help="folder of the run, instead of the setting")
    parser.add_argument("--resume", action="store_true", help="go on from the last saved step")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change one setting; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print the finished checkpoint as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, and print where the checkpoint is."""
    from workbench.recipes.config import read_config
    from workbench.recipes.recipe import RECIPES

    recipe = RECIPES.get(args.recipe)()
    short = {"model.backbone": args.backbone, "data.train": args.data, "output.folder": args.out}
    overrides = [f"{key}={json.dumps(value)}" for key, value in short.items() if value is not None]
    config = read_config(args.config, [*overrides, *args.set])
    check_out_folder(Path(config.output.folder), asked="output.folder" if args.out is None else "--out")
    path = recipe.train(config, resume=args.resume, report=_report)
    if args.json:
        write_json({"checkpoint": str(path)})
    else:
        write(f"{path}")
    return 0


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
