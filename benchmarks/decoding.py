"""Decoding 64 thoughts in one batch against one by one, on the bundled checkpoint and its own test samples.

python benchmarks/decoding.py --json
"""

import torch
from _measure import emit, interleaved, parser

from workbench.assets import resolve_checkpoint
from workbench.data.readers.shapes import to_pair
from workbench.data.shapes import ShapesConfig, make_sample
from workbench.embedder import DecodesThoughts
from workbench.models.checkpoint import load_checkpoint


def main() -> None:
    """Measure and print."""
    options = parser("Batched decoding against one by one.")
    options.add_argument("--checkpoint", default="tte-flash")
    options.add_argument("--n", type=int, default=64)
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    model = load_checkpoint(resolve_checkpoint(args.checkpoint), device="cpu")
    assert isinstance(model, DecodesThoughts)
    samples = [to_pair(make_sample(ShapesConfig(), "test", index)).query for index in range(args.n)]
    traces = model.trace([model.prepare(sample) for sample in samples])
    together = [thought.text for thought in model.decode(traces, max_tokens=128)]
    alone = [model.decode([trace], max_tokens=128)[0].text for trace in traces]
    seconds = interleaved(
        {
            "together": lambda: model.decode(traces, max_tokens=128),
            "one_by_one": lambda: [model.decode([trace], max_tokens=128) for trace in traces],
        },
        rounds=args.rounds,
    )
    emit(
        {
            "command": "python benchmarks/decoding.py",
            "thoughts": args.n,
            "same_text": together == alone,
            "together_seconds": seconds["together"],
            "one_by_one_over_together": seconds["one_by_one"] / seconds["together"],
        },
        args.json,
    )


if __name__ == "__main__":
    main()
