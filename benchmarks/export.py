"""`thinkscope export` against a plain loop that asks for one sample at a time, on the bundled checkpoint and its test data.

    python benchmarks/export.py --threads 2 --json

The data are images and JSONL on the disk, as anyone's are: written first, by what `thinkscope shapes` calls. `--data shapes`
has loop and export draw them as they read, which takes a millisecond of each sample in both.

The plain loop is what one would write without Thinkscope's layers: the model as transformers loads it; a row is read,
prepared, passed once through vision tower and decoder, and transformers' own `generate` writes the text from the think
tokens' cache, with as many threads as are faster. The export makes whole parts, files included, as its engines do: by one
worker with one thread, and by a worker on each core, which in a turn makes two parts: with one, the sooner worker would
wait for the other half of the time that in an export it does not. Loop and export take turns on the same rows; medians over
the turns, which `spread` gives with the least and the most. Loading of models is in neither. `cpu_milliseconds` is
time on the processor, of all threads, for each sample: it counts where other work takes its turns on the same cores.
"""

import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from _measure import emit, parser
from transformers import DynamicCache, Qwen2VLForConditionalGeneration

from workbench import store
from workbench.data.reader import find_reader
from workbench.data.records import Row
from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.data.sifting import make_pair, name_rows
from workbench.export.engine import Outcome
from workbench.export.part import PartMaker
from workbench.export.place import part_name
from workbench.export.plan import Plan
from workbench.export.planning import make_plan
from workbench.export.surroundings import worker_settings
from workbench.models.checkpoint import load_checkpoint
from workbench.models.latent_embedder import LatentEmbedder
from workbench.models.sequence import pack


def main() -> None:
    """Measure and print."""
    options = parser("Batch export against a plain loop of one-sample `generate` calls.")
    options.add_argument("--checkpoint", default="tte-flash")
    options.add_argument("--data", help="data set (default: the test split of Shapes, written to disk before)")
    options.add_argument("--n", type=int, default=2000, help="samples (default: 2000)")
    options.add_argument("--part-rows", type=int, default=250)
    options.add_argument("--batch", type=int, default=256)
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        numbers = {"part_rows": args.part_rows, "batch": args.batch}
        data = args.data or write_shapes(Path(folder) / "data", ShapesConfig(), "test", args.n)
        one, many = (
            make_plan(str(data), args.checkpoint, Path(folder) / name, n=args.n, device="cpu", **numbers)
            for name in ("one", "many")
        )
        emit({"command": "python benchmarks/export.py", **measure(one, many, args.threads)}, args.json)


def measure(one: Plan, many: Plan, workers: int) -> dict[str, Any]:
    """Loop, one worker, and all workers, in turns of two parts for each worker."""
    assert one.n is not None
    reader, source = find_reader(one.data)
    rows = list(islice(name_rows(reader.rows(source, split=one.split)), one.n))
    loop = PlainLoop(one)
    threads = loop.faster(rows[:64], workers)
    context = get_context("spawn")
    pools = [ProcessPoolExecutor(1, mp_context=context) for _ in range(workers)]
    # As an engine starts its workers.
    os.environ.update(worker_settings(many))
    for pool in pools:
        pool.submit(warm_up, store.dumps(many)).result()
    pools[0].submit(warm_up, store.dumps(one)).result()
    turns = Turns()
    texts: list[str] = []
    outcomes: list[Outcome] = []
    parts = range(-(-len(rows) // one.part_rows))
    for first in parts[:: 2 * workers]:
        turn = parts[first : first + 2 * workers]
        held = rows[first * one.part_rows : (first + len(turn)) * one.part_rows]
        begun, used = time.perf_counter(), time.process_time()
        texts += loop.texts(held)
        turns.add("plain", len(held), time.perf_counter() - begun, time.process_time() - used)
        begun = time.perf_counter()
        alone, used = pools[0].submit(make, store.dumps(one), turn[0]).result()
        turns.add("one", alone.rows, time.perf_counter() - begun, used)
        begun = time.perf_counter()
        together = [pools[place % workers].submit(make, store.dumps(many), part) for place, part in enumerate(turn)]
        found = [future.result() for future in together]
        made = sum(outcome.rows for outcome, _ in found)
        turns.add("many", made, time.perf_counter() - begun, sum(used for _, used in found))
        outcomes += [alone, *(outcome for outcome, _ in found)]
    for pool in pools:
        pool.shutdown()
    written = [text for part in parts for text in read_texts(many, part)]
    return {
        "samples": len(rows),
        "plain_loop": {"threads": threads, **turns.told("plain")},
        "one_worker": {**turns.told("one"), **turns.over("one", "plain")},
        "workers": {"workers": workers, **turns.told("many"), **turns.over("many", "plain")},
        "same_text": sum(a == b for a, b in zip(texts, written, strict=True)),
        "failed": sum(outcome.failed for outcome in outcomes),
        "model_share": sum(o.model_seconds for o in outcomes) / sum(o.seconds for o in outcomes),
    }


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds for each sample, on the clock and on the processor, of every turn."""

    clock: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    processor: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, samples: int, seconds: float, used: float) -> None:
        """Note a turn of so many samples."""
        self.clock[name].append(seconds / samples)
        self.processor[name].append(used / samples)

    def told(self, name: str) -> dict[str, Any]:
        """Medians, and the range of the turns."""
        clock, used = statistics.median(self.clock[name]), statistics.median(self.processor[name])
        return {
            "samples_per_second": 1 / clock,
            "milliseconds": 1e3 * clock,
            "spread": [1e3 * min(self.clock[name]), 1e3 * max(self.clock[name])],
            "cpu_milliseconds": 1e3 * used,
        }

    def over(self, name: str, other: str) -> dict[str, float]:
        """How many times as fast `name` is as `other`."""
        return {
            "over_plain_loop": statistics.median(self.clock[other]) / statistics.median(self.clock[name]),
            "over_plain_loop_cpu": statistics.median(self.processor[other]) / statistics.median(self.processor[name]),
        }


class PlainLoop:
    """What one would write without an export: a sample, a pass, a text, all by transformers' own model."""

    def __init__(self, plan: Plan) -> None:
        model = load_checkpoint(plan.checkpoint, device="cpu", dtype="float32")
        assert isinstance(model, LatentEmbedder)
        assert model._backbone.layout.is_causal
        assert model.info.contexts[0] == "latents_only"
        loaded: Any = Qwen2VLForConditionalGeneration.from_pretrained(plan.checkpoint, local_files_only=True)
        self._model, self._backbone, self._longest = (
            model,
            replace(model._backbone, model=loaded.eval()),
            plan.max_tokens,
        )

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
        backbone, ids = self._backbone, self._backbone.ids
        encoded = self._model.prepare(make_pair(row).query)
        packed = pack([encoded.inputs["prefix"]], ids)
        everything, thoughts = DynamicCache(), DynamicCache()
        backbone.model.model.language_model(
            inputs_embeds=backbone.inputs(packed),
            position_ids=packed.positions,
            attention_mask={"full_attention": None},
            past_key_values=everything,
            use_cache=True,
        )
        for layer, held in enumerate(everything.layers):
            keys, values = (getattr(held, name)[:, :, packed.think] for name in ("keys", "values"))
            thoughts.update(keys, values, layer)
        n_think = thoughts.get_seq_length()
        given = torch.full((1, n_think + 1), ids.pad)
        given[0, -1] = ids.start
        first = int(packed.positions[0, 0, packed.embed.stop - 1]) + 1 - n_think
        made = backbone.model.generate(
            input_ids=given,
            past_key_values=thoughts,
            position_ids=torch.arange(first, first + n_think + 1).expand(3, 1, -1),
            attention_mask=torch.ones_like(given),
            max_new_tokens=self._longest,
            do_sample=False,
            eos_token_id=ids.end,
            pad_token_id=ids.pad,
        )
        new = [identity for identity in made[0, n_think + 1 :].tolist() if identity != ids.end]
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


def make(plan: str, part: int) -> tuple[Outcome, float]:
    """In a worker: make a part, and the seconds on the processor. Raises RuntimeError for one that was not made."""
    held = store.loads(Plan, plan)
    held.folder.mkdir(parents=True, exist_ok=True)
    used = time.process_time()
    outcome = maker(plan)(part)
    used = time.process_time() - used
    if outcome.problem:
        raise RuntimeError(outcome.problem)
    return outcome, used


def read_texts(plan: Plan, part: int) -> list[str]:
    """The thoughts of a part that was written."""
    lines = (plan.folder / f"{part_name(part)}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line)["thought"]["text"] for line in lines]


if __name__ == "__main__":
    main()
