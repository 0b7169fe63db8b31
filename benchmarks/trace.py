"""What a trace with all its captures costs beside a bare embedding pass, and beside eager `output_attentions=True`.

12 layers, 896 wide, random weights, one image; sequence lengths are set by the image's size. The vision tower is small
here and runs in all three, so the ratios are those of the text stack with all captures.

    python benchmarks/trace.py --json
"""

import subprocess
import sys
from typing import Any

import torch
from _measure import emit, interleaved, parser, peak_mib
from _models import MEDIUM, picture, random_embedder

from workbench.models.capture import ATTENTION
from workbench.models.latent_embedder import LatentEmbedder
from workbench.models.sequence import pack
from workbench.types import Encoded, Sample

LENGTHS = {300: (16, 17), 1200: (34, 34), 3000: (54, 55)}


def main() -> None:
    """Measure and print."""
    options = parser("Cost of a trace.")
    options.add_argument("--peak", choices=("trace", "eager", "embed"), help="one pass at 3,000 tokens; print peak MiB")
    options.add_argument(
        "--lengths", type=int, nargs="+", choices=tuple(LENGTHS), default=list(LENGTHS), help="tokens (default: all)"
    )
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    model = random_embedder(MEDIUM)
    if args.peak:
        task = tasks(model, encode(model, 3000))[args.peak]
        task()
        sys.stdout.write(f"{peak_mib():.0f}\n")
        return
    rows = []
    for length in args.lengths:
        encoded = encode(model, length)
        all_tasks = tasks(model, encoded)
        # Two pairs: gigabytes that eager attention takes and gives back would slow down whatever allocates next.
        pairs = [
            interleaved({name: all_tasks[name] for name in ("embed", other)}, rounds=args.rounds)
            for other in ("trace", "eager")
        ]
        traced, eager = pairs
        rows.append(
            {
                "tokens": len(encoded.tokens.ids),
                "embed_seconds": traced["embed"],
                "trace_over_embed": traced["trace"] / traced["embed"],
                "eager_output_attentions_over_embed": eager["eager"] / eager["embed"],
            }
        )
    peaks = {name: peak_of(name) for name in ("embed", "trace", "eager")}
    emit({"command": "python benchmarks/trace.py", "lengths": rows, "peak_mib_at_3000_tokens": peaks}, args.json)


def encode(model: LatentEmbedder, length: int) -> Encoded:
    """A sample whose sequence is about `length` tokens."""
    cols, rows = LENGTHS[length]
    return model.prepare(Sample(id=str(length), text="What is at the centre?", images=(picture(cols * 28, rows * 28),)))


def tasks(model: LatentEmbedder, encoded: Encoded) -> dict[str, Any]:
    """The three passes over the same sample."""
    backbone = model._backbone
    packed = pack([encoded.inputs["prefix"]], backbone.ids)
    n = packed.ids.shape[1]

    def eager() -> None:
        backbone.model.set_attn_implementation({"text_config": "eager"})
        try:
            with torch.inference_mode():
                mask = torch.full((n, n), float("-inf")).triu(1)[None, None]
                out = backbone.model.model.language_model(
                    inputs_embeds=backbone.inputs(packed),
                    position_ids=packed.positions,
                    attention_mask={"full_attention": mask},
                    output_attentions=True,
                    output_hidden_states=True,
                )
                assert len(out.attentions) == model.info.n_layers
        finally:
            backbone.model.set_attn_implementation({"text_config": ATTENTION})

    return {"embed": lambda: model.embed([encoded]), "trace": lambda: model.trace([encoded]), "eager": eager}


def peak_of(name: str) -> float:
    """Peak memory of one pass in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--peak", name], capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
