"""`thinkscope bench-embed`: what thinking costs, in latent tokens and in words."""

import argparse
from pathlib import Path
from typing import Any

from workbench.cli._options import add_device
from workbench.cli._screen import show_progress, table, write, write_json
from workbench.errors import BadInput

_EPILOG = """examples:
  thinkscope bench-embed --json
  thinkscope bench-embed --batches 1,16 --written 32,128,400 --think 0,8,64 --rounds 5
  thinkscope bench-embed --size 2b --device cuda --dtype bfloat16 --svg speed.svg

The weights are random, so nothing is downloaded, and a text is as long as it is told to be. Every recipe runs on the same
backbone and the same queries (one image and a question), in turns; on a GPU written reasoning also with each token's pass
recorded as a CUDA graph. docs/bench-embed.md says what is timed.
"""


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "bench-embed",
        help="time embedding with latent, written and no reasoning",
        description=(
            "Time how long each recipe takes to embed a batch of queries on one random backbone: no-think, tte-flash and lame "
            "at several numbers of think tokens, explicit-cot at several lengths of written reasoning."
        ),
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--size",
        choices=("bundled", "2b"),
        default="bundled",
        help="that of the bundled checkpoints, or of Qwen2-VL-2B",
    )
    parser.add_argument("--batches", metavar="N,N", help="batch sizes (default: 1,16; of 2b on a CPU: 1)")
    parser.add_argument(
        "--written",
        metavar="N,N",
        help="tokens of written reasoning (default: 32,64,128,256,400,512; of 2b on a CPU: 32,64)",
    )
    parser.add_argument(
        "--think", metavar="K,K", help="think tokens (default: 0,1,2,4,8,16,32,64; of 2b on a CPU: 0,8,64)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        metavar="N",
        help="timed rounds; passes without writing are timed four times in each, of 2b on a CPU once (default: 5)",
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of torch on the CPU (default: its own choice)"
    )
    add_device(parser, further="; of 2b bfloat16")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="write a plot, of the largest batch size")
    parser.add_argument(
        "--page",
        metavar="FILE",
        type=Path,
        help="fill the block of this size, and of this kind of device, on a Markdown page",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Time, and print or write what was found."""
    if args.svg is not None and not args.svg.parent.is_dir():
        raise BadInput(f"There is no folder '{args.svg.parent}' to write '{args.svg.name}' into; make it first.")
    if args.threads is not None and not 1 <= args.threads <= 1024:
        raise BadInput(f"--threads is {args.threads}, but must lie between 1 and 1,024.")
    asked = {name: _numbers(name, getattr(args, name)) for name in ("batches", "written", "think")}
    import torch

    from workbench.models.checkpoint import choose_device
    from workbench.render.marked import fill, read_page
    from workbench.render.speed import HEAD, speed_block, speed_cells, speed_json, speed_sentences, speed_svg, statement
    from workbench.store import write_text_atomic
    from workbench.timing.embedding import LATENT_TURNS, time_embedding

    large = args.size == "2b"
    device, dtype = choose_device(args.device, args.dtype or ("bfloat16" if large else None))
    block = block_name(args.size, device.type)
    page = None if args.page is None else read_page(args.page, block)
    slow = large and device.type == "cpu"
    before = torch.get_num_threads()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    try:
        times = time_embedding(
            size=args.size,
            batches=asked["batches"] or ((1,) if slow else (1, 16)),
            lengths=asked["written"] or ((32, 64) if slow else (32, 64, 128, 256, 400, 512)),
            thinks=asked["think"] or ((0, 8, 64) if slow else (0, 1, 2, 4, 8, 16, 32, 64)),
            rounds=args.rounds,
            latent_turns=1 if slow else LATENT_TURNS,
            device=device,
            dtype=dtype,
            progress=show_progress,
        )
    finally:
        torch.set_num_threads(before)
    if args.svg is not None:
        write_text_atomic(args.svg, speed_svg(times, max(timing.batch for timing in times.timings)))
    if args.page is not None and page is not None:
        write_text_atomic(args.page, fill(page, block, speed_block(times, _again(args, times, device))))
    if args.json:
        write_json(speed_json(times))
        return 0
    write(f"{statement(times)}\n")
    write(table(speed_cells(times), head=HEAD))
    write("\n" + "\n".join(speed_sentences(times)))
    if args.svg is not None:
        write(f"\n{args.svg}")
    return 0


def block_name(size: str, kind: str) -> str:
    """The block of a page that holds figures of a size on a kind of device: one kind never overwrites the other's."""
    return f"bench-embed {size}" if kind == "cpu" else f"bench-embed {size} {kind}"


def _again(args: argparse.Namespace, times: Any, device: Any) -> str:
    """The command that times the same, what it left to the machine spelt out."""
    lists = {
        "batches": {timing.batch for timing in times.timings},
        "written": {timing.written for timing in times.timings} - {0},
        "think": {timing.think for timing in times.timings},
    }
    asked = " ".join(f"--{name} {','.join(map(str, sorted(values)))}" for name, values in lists.items())
    machine = f"--threads {times.threads} --device {device} --dtype {times.dtype}"
    return f"thinkscope bench-embed --size {args.size} {asked} --rounds {args.rounds} {machine}"


def _numbers(name: str, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and len(part) < 8 for part in parts):
        raise BadInput(
            f"--{name} is '{text[:80]}', but must be whole numbers with commas between them, for example 1,16."
        )
    return tuple(dict.fromkeys(int(part) for part in parts))
