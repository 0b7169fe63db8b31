"""What thinking costs: one backbone, one run, every recipe on the same prepared queries.

Timed from prepared inputs to embeddings, the vision tower included; reading images and cutting them into patches, which is the
same for all, is not. Ways take turns within a round, so that whatever slows the machine down slows all of them, and ratios are
taken within rounds. The written baseline is batched, keeps keys and values in columns that are never copied, reads no
probabilities that nobody asked for, and feeds its embed token to the same cache; it writes exactly as many tokens as it is told.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from workbench.errors import BadInput, OutOfMemory
from workbench.models.backbone import Backbone
from workbench.models.layout import Layout, explicit_cot, lame, no_think, tte_flash
from workbench.models.one_pass import OnePassEmbedder
from workbench.models.spelling_out import write_and_embed
from workbench.timing.backbones import Size, facts, make_random, queries, with_layout
from workbench.timing.machine import processor_name
from workbench.timing.recorded import RecordedWriter

Progress = Callable[[float, str], None]
"""Takes the share that is done, and what is being done."""
RECORDED = "explicit-cot (CUDA graph)"
"""The written baseline with each token's pass recorded, where a GPU is."""
LATENT_TURNS = 4
"""Passes without writing are timed this many times in each round where they are quick: small differences are asked of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One way to embed one batch."""

    recipe: str
    batch: int
    think: int
    """Think tokens, K."""
    written: int
    """Tokens of reasoning that each query writes."""
    seconds: tuple[float, ...]
    """Of the whole batch, one for each turn."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The middle half of the turns lies between these, seconds."""
        return quartiles(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedTimes:
    """All timings of one run."""

    size: Size
    parameters: int
    positions: int
    """Of a query without think and embed tokens, its visual tokens included."""
    visual: int
    """Visual tokens among them."""
    kind: str
    """Of device, as torch names it: cpu, cuda ..."""
    device: str
    """Its model, as it names itself."""
    dtype: str
    threads: int
    torch: str
    rounds: int
    timings: tuple[Timing, ...]
    left_out: tuple[int, ...] = ()
    """Batch sizes for which memory ran out."""

    def find(self, *, recipe: str, batch: int, think: int = 0, written: int = 0) -> Timing | None:
        """The timing of one way, None where it was not asked for."""
        wanted = (recipe, batch, think, written)
        return next((t for t in self.timings if (t.recipe, t.batch, t.think, t.written) == wanted), None)

    def of(self, recipe: str, batch: int) -> list[Timing]:
        """The timings of a recipe at one batch size, by tokens thought or written."""
        found = [timing for timing in self.timings if (timing.recipe, timing.batch) == (recipe, batch)]
        return sorted(found, key=lambda timing: (timing.think, timing.written))


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """First and third quartile; of a single value itself."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def ratios(one: Timing, other: Timing) -> tuple[float, ...]:
    """How many times as long `one` took as `other`, turn by turn; where turns differ in number, over the other's median."""
    if len(one.seconds) == len(other.seconds):
        return tuple(a / b for a, b in zip(one.seconds, other.seconds, strict=True))
    return tuple(a / other.median for a in one.seconds)


def time_embedding(
    *,
    size: Size,
    batches: Sequence[int],
    lengths: Sequence[int],
    thinks: Sequence[int],
    rounds: int,
    latent_turns: int = LATENT_TURNS,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress,
) -> EmbedTimes:
    """Time no-think, tte-flash and lame for each K, and explicit-cot for each length, at each batch size.

    On a GPU explicit-cot is timed once more with its passes recorded (`timing/recorded.py`).
    `latent_turns`: how often passes without writing are timed in a round. Raises BadInput for numbers out of range and for a
    model that does not fit, OutOfMemory when memory runs out at every batch size; where it does at some, they are `left_out`.
    """
    _check_ranges(batches, lengths, thinks, rounds)
    progress(0.0, "making the model")
    backbone = make_random(size, most_think=max(thinks, default=1), device=device, dtype=dtype)
    known = {name: with_layout(backbone, layout) for name, layout in _layouts(thinks).items()}
    prefixes = [backbone.processor.encode(sample) for sample in queries(size, max(batches))]
    timings: list[Timing] = []
    left_out: list[int] = []
    for number, batch in enumerate(batches):
        told = partial(_part, progress, number, len(batches), f"batch {batch}")
        try:
            # In a function of its own: recorded passes hold memory, which the next batch may need.
            found = _time_batch(known, prefixes[:batch], size, lengths, rounds, latent_turns, device, told)
        except (torch.OutOfMemoryError, MemoryError) as error:
            if number + 1 == len(batches) and not timings:
                raise OutOfMemory(
                    f"Memory ran out at a batch of {batch}; take smaller ones (--batches), or fewer written tokens."
                ) from error
            left_out.append(batch)
            found = {}
        timings += [
            Timing(recipe=recipe, batch=batch, think=think, written=written, seconds=tuple(seconds))
            for (recipe, think, written), seconds in found.items()
        ]
    progress(1.0, "")
    first = prefixes[0]
    return EmbedTimes(
        size=size,
        parameters=sum(weights.numel() for weights in backbone.model.parameters()),
        positions=len(first.ids),
        visual=int((first.ids == backbone.ids.image).sum()),
        kind=device.type,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        dtype=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        rounds=rounds,
        timings=tuple(timings),
        left_out=tuple(left_out),
    )


Key = tuple[str, int, int]
"""Recipe, think tokens, written tokens."""


def _layouts(thinks: Sequence[int]) -> dict[Key, Layout]:
    found: dict[Key, Layout] = {("no-think", 0, 0): no_think()}
    for think in sorted(set(thinks) - {0}):
        found["tte-flash", think, 0] = tte_flash(think)
        found["lame", think, 0] = lame(think)
    found["explicit-cot", 0, 0] = explicit_cot()
    return found


def _ways(
    known: dict[Key, Backbone], prefixes: Sequence[Any], samples: Sequence[Any], lengths: Sequence[int]
) -> dict[Key, Callable[[], object]]:
    ways: dict[Key, Callable[[], object]] = {}
    for key, backbone in known.items():
        if key[0] == "explicit-cot":
            continue
        embedder = OnePassEmbedder(backbone, facts(backbone, key[0]))
        batch = [embedder.prepare(sample) for sample in samples]
        ways[key] = partial(embedder.embed, batch)
    writer = known["explicit-cot", 0, 0]
    for length in sorted(set(lengths)):
        ways["explicit-cot", 0, length] = partial(
            write_and_embed, writer, prefixes, max_tokens=length, min_tokens=length, scored=False
        )
        if writer.device.type == "cuda":
            ways[RECORDED, 0, length] = RecordedWriter(writer, prefixes, tokens=length)
    return ways


def _check_ranges(batches: Sequence[int], lengths: Sequence[int], thinks: Sequence[int], rounds: int) -> None:
    for name, values, low, high in (
        ("batch size", batches, 1, 1024),
        ("length of written reasoning", lengths, 1, 4096),
        ("number of think tokens", thinks, 0, 1024),
        ("number of rounds", (rounds,), 1, 1000),
    ):
        wrong = [value for value in values if not low <= value <= high]
        if wrong:
            raise BadInput(f"The {name} is {wrong[0]}, but must lie between {low} and {high:,}.")


def _time_batch(
    known: dict[Key, Backbone],
    prefixes: Sequence[Any],
    size: Size,
    lengths: Sequence[int],
    rounds: int,
    turns: int,
    device: torch.device,
    progress: Progress,
) -> dict[Key, list[float]]:
    ways = _ways(known, prefixes, queries(size, len(prefixes)), lengths)
    return _in_turns(ways, rounds, turns, device, progress)


def _in_turns(
    ways: dict[Key, Callable[[], object]], rounds: int, turns: int, device: torch.device, progress: Progress
) -> dict[Key, list[float]]:
    """Seconds of each way, turn by turn, after one turn that does not count."""
    quick = [key for key in ways if not key[2]]
    order = [*quick, *(key for key in ways if key[2])]
    for number, key in enumerate(order):
        progress(number / len(order) / (rounds + 1), "warming up")
        _seconds(ways[key], device)
    found: dict[Key, list[float]] = {key: [] for key in ways}
    for turn in range(rounds):
        progress((turn + 1) / (rounds + 1), f"round {turn + 1} of {rounds}")
        for again in range(turns):
            # Each starts at another place, so that none is always the one behind the slowest.
            begin = (turn * turns + again) % len(quick)
            for key in (*quick[begin:], *quick[:begin]):
                found[key].append(_seconds(ways[key], device))
        for key in order[len(quick) :]:
            found[key].append(_seconds(ways[key], device))
    return found


def _seconds(way: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun = time.perf_counter()
    way()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def _part(progress: Progress, number: int, of: int, name: str, done: float, message: str) -> None:
    progress((number + done) / of, f"{name}: {message}")
