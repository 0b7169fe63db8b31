"""`thinkscope export` against a plain loop that asks for one sample at a time, on the bundled checkpoint and its test data.

    python benchmarks/export.py --json

The plain loop reads a row, prepares it, passes it once through the model, and has transformers' own `generate` write the
text from the think tokens' cache. The export makes whole parts, files included, as its engines do: by one worker with one
thread, and by a worker on each core. Loop and export take turns on the same rows, part by part; medians over the turns.
Loading of models is in neither.
"""

import json
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from _measure import emit, parser
from transformers import DynamicCache

from workbench import store
from workbench.data.reader import find_reader
from workbench.data.records import Row
from workbench.data.sifting import make_pair, name_rows
from workbench.embedder import Keep
from workbench.export.engine import Outcome
from workbench.export.part import PartMaker
from workbench.export.place import part_name
from workbench.export.plan import Plan
from workbench.export.planning import make_plan
from workbench.models.checkpoint import load_checkpoint
from workbench.models.latent_embedder import LatentEmbedder


def main() -> None:
    """Measure and print."""
    options = parser("Batch export against a plain loop of one-sample `generate` calls.")
    options.add_argument("--checkpoint", default="tte-flash")
    options.add_argument("--data", default="shapes")
    options.add_argument("--n", type=int, default=2000, help="samples (default: 2000)")
    options.add_argument("--part-rows", type=int, default=250)
    options.add_argument("--batch", type=int, default=64)
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        numbers = {"part_rows": args.part_rows, "batch": args.batch}
        one, many = (
            make_plan(args.data, args.checkpoint, Path(folder) / name, n=args.n, device="cpu", **numbers)
            for name in ("one", "many")
        )
        emit({"command": "python benchmarks/export.py", **measure(one, many, args.threads)}, args.json)


def measure(one: Plan, many: Plan, workers: int) -> dict[str, Any]:
    """Loop, one worker, and all workers, in turns of as many parts as there are workers."""
    assert one.n is not None
    reader, source = find_reader(one.data)
    rows = list(islice(name_rows(reader.rows(source, split=one.split)), one.n))
    loop = PlainLoop(one)
    threads = loop.faster(rows[:16], workers)
    context = get_context("spawn")
    pools = [ProcessPoolExecutor(1, mp_context=context) for _ in range(workers)]
    for pool in pools:
        pool.submit(warm_up, store.dumps(many)).result()
    pools[0].submit(warm_up, store.dumps(one)).result()
    seconds: dict[str, list[float]] = {"plain": [], "one": [], "many": []}
    texts: list[str] = []
    outcomes: list[Outcome] = []
    parts = range(-(-len(rows) // one.part_rows))
    for first in parts[::workers]:
        turn = parts[first : first + workers]
        held = rows[first * one.part_rows : (first + len(turn)) * one.part_rows]
        begun = time.perf_counter()
        texts += loop.texts(held)
        seconds["plain"].append((time.perf_counter() - begun) / len(held))
        begun = time.perf_counter()
        alone = pools[0].submit(make, store.dumps(one), turn[0]).result()
        seconds["one"].append((time.perf_counter() - begun) / alone.rows)
        begun = time.perf_counter()
        together = [pool.submit(make, store.dumps(many), part) for pool, part in zip(pools, turn, strict=False)]
        found = [future.result() for future in together]
        seconds["many"].append((time.perf_counter() - begun) / sum(outcome.rows for outcome in found))
        outcomes += [alone, *found]
    for pool in pools:
        pool.shutdown()
    plain, single, all_ = (statistics.median(times) for times in seconds.values())
    written = [text for part in parts for text in read_texts(many, part)]
    return {
        "samples": len(rows),
        "plain_loop": {"threads": threads, "samples_per_second": 1 / plain, "milliseconds": 1e3 * plain},
        "one_worker": {
            "samples_per_second": 1 / single,
            "milliseconds": 1e3 * single,
            "over_plain_loop": plain / single,
        },
        "workers": {
            "workers": workers,
            "samples_per_second": 1 / all_,
            "milliseconds": 1e3 * all_,
            "over_plain_loop": plain / all_,
        },
        "same_text": sum(a == b for a, b in zip(texts, written, strict=True)),
        "failed": sum(outcome.failed for outcome in outcomes),
        "model_share": sum(o.model_seconds for o in outcomes) / sum(o.seconds for o in outcomes),
    }


class PlainLoop:
    """What one would write without an export: a sample, a pass, a text."""

    def __init__(self, plan: Plan) -> None:
        model = load_checkpoint(plan.checkpoint, device="cpu")
        assert isinstance(model, LatentEmbedder)
        self._model, self._longest = model, plan.max_tokens

    def faster(self, rows: list[Row], threads: int) -> int:
        """The number of threads, one or all, with which the loop is faster; it is then set."""
        taken: dict[int, float] = {}
        for number in (1, threads, 1, threads):
            torch.set_num_threads(number)
            begun = time.perf_counter()
            self.texts(rows)
            taken[number] = time.perf_counter() - begun
        best = min(taken, key=lambda number: taken[number])
        torch.set_num_threads(best)
        return best

    def texts(self, rows: list[Row]) -> list[str]:
        """One text after the other."""
        return [self._text(row) for row in rows]

    @torch.inference_mode()
    def _text(self, row: Row) -> str:
        model, backbone = self._model, self._model._backbone
        encoded = model.prepare(make_pair(row).query)
        [trace] = model.trace([encoded], Keep(latents=False, attention=False, edits=False))
        going_on = trace.continuation
        if model.info.contexts[0] == "latents_only":
            going_on = going_on.thoughts_only()
        held = DynamicCache()
        for layer, (keys, values) in enumerate(zip(going_on.keys, going_on.values, strict=True)):
            held.update(keys[None], values[None], layer)
        seen = going_on.n_query + going_on.n_think
        ids = torch.full((1, seen + 1), backbone.ids.pad)
        ids[0, -1] = backbone.ids.start
        positions = torch.arange(going_on.position - seen, going_on.position + 1)
        made = backbone.model.generate(
            input_ids=ids,
            past_key_values=held,
            position_ids=positions.expand(3, 1, -1),
            attention_mask=torch.ones_like(ids),
            max_new_tokens=self._longest,
            do_sample=False,
            eos_token_id=backbone.ids.end,
            pad_token_id=backbone.ids.pad,
        )
        new = [identity for identity in made[0, seen + 1 :].tolist() if identity != backbone.ids.end]
        return backbone.processor.tokenizer.decode(new, clean_up_tokenization_spaces=False)


@cache
def maker(plan: str) -> PartMaker:
    """In a worker: its maker of a plan's parts, which keeps the model."""
    return PartMaker(store.loads(Plan, plan))


def warm_up(plan: str) -> None:
    """In a worker: load the model and run it once."""
    made = maker(plan)
    rows, _ = made._rows.of(0)
    ready, _ = made._ready()
    ready.make(rows[:64], arrays_file="")


def make(plan: str, part: int) -> Outcome:
    """In a worker: make a part. Raises RuntimeError with the problem of one that was not made."""
    held = store.loads(Plan, plan)
    held.folder.mkdir(parents=True, exist_ok=True)
    outcome = maker(plan)(part)
    if outcome.problem:
        raise RuntimeError(outcome.problem)
    return outcome


def read_texts(plan: Plan, part: int) -> list[str]:
    """The thoughts of a part that was written."""
    lines = (plan.folder / f"{part_name(part)}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line)["thought"]["text"] for line in lines]


if __name__ == "__main__":
    main()
