"""What is claimed of thinking in latents, held against what one run timed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.timing.embedding import RECORDED, EmbedTimes, Timing, quartiles, ratios

THINK = 8
"""The number of think tokens that is claimed to cost next to nothing."""
FREE = 0.05
"""What "next to nothing" is held to be: further time, as a share of that of no-think."""
LENGTH = 400
TIMES = 60
"""So many times as long as thinking does a text of LENGTH tokens take on a GPU, as the papers say."""
CHEAP = f"K = {THINK} takes at most {FREE:.0%} longer than no-think"
FLAT = f"time is flat in K (at most {FREE:.0%} over no-think at the largest K), and grows with every written token"
FASTER = f"on a GPU {LENGTH} written tokens take {TIMES} times as long as K = {THINK}"

STILL_FASTER = f"{FASTER}, also where each token's pass is recorded as a CUDA graph"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One claim at one batch size."""

    claim: str
    batch: int
    met: bool | None
    """None: this run cannot tell."""
    figure: str
    """What it was judged by, or why it was not, in words."""


def judge(times: EmbedTimes) -> list[Verdict]:
    """Every claim at every batch size of the run, claim by claim."""
    batches = list(dict.fromkeys(timing.batch for timing in times.timings))
    judged = [found(times, batch) for found in (_cheap, _flat, _faster) for batch in batches]
    if any(timing.recipe == RECORDED for timing in times.timings):
        judged += [_faster(times, batch, recipe=RECORDED, claim=STILL_FASTER) for batch in batches]
    return judged


def token_costs(timings: Sequence[Timing]) -> list[float]:
    """Milliseconds of a batch for each further token, thought or written, by least squares, turn by turn."""
    xs = [float(timing.think or timing.written) for timing in timings]
    turns = min(len(timing.seconds) for timing in timings)
    return [
        statistics.linear_regression(xs, [timing.seconds[turn] * 1e3 for timing in timings]).slope
        for turn in range(turns)
    ]


def _cheap(times: EmbedTimes, batch: int) -> Verdict:
    none, some = times.find(recipe="no-think", batch=batch), times.find(recipe="tte-flash", batch=batch, think=THINK)
    if none is None or some is None:
        return Verdict(claim=CHEAP, batch=batch, met=None, figure=f"K = {THINK} was not timed")
    over = ratios(some, none)
    met = statistics.median(over) - 1 <= FREE
    return Verdict(claim=CHEAP, batch=batch, met=met, figure=f"{_longer(over)} longer")


def _flat(times: EmbedTimes, batch: int) -> Verdict:
    of = [timing for timing in times.timings if timing.batch == batch]
    latent = sorted((t for t in of if t.recipe == "tte-flash"), key=lambda t: t.think)
    written = [t for t in of if t.recipe == "explicit-cot"]
    none = times.find(recipe="no-think", batch=batch)
    if none is None or len(latent) < 2 or len(written) < 2:
        return Verdict(claim=FLAT, batch=batch, met=None, figure="it takes two numbers of think tokens and two lengths")
    over = ratios(latent[-1], none)
    thought, wrote = (statistics.median(token_costs(timings)) for timings in (latent, written))
    times_as_much = f", {wrote / thought:.3g} times as much" if thought > 0 else ""
    return Verdict(
        claim=FLAT,
        batch=batch,
        met=statistics.median(over) - 1 <= FREE and wrote > max(thought, 0),
        figure=(
            f"K = {latent[-1].think} takes {_longer(over)} longer; a further think token takes {thought:.3g} ms per batch, a "
            f"further written one {wrote:.3g}{times_as_much}"
        ),
    )


def _faster(times: EmbedTimes, batch: int, *, recipe: str = "explicit-cot", claim: str = FASTER) -> Verdict:
    wrote = times.find(recipe=recipe, batch=batch, written=LENGTH)
    thought = times.find(recipe="tte-flash", batch=batch, think=THINK)
    if wrote is None or thought is None:
        return Verdict(
            claim=claim, batch=batch, met=None, figure=f"{LENGTH} written tokens and K = {THINK} were not both timed"
        )
    over = ratios(wrote, thought)
    low, high = quartiles(over)
    found = f"{statistics.median(over):.3g} ({low:.3g} to {high:.3g}) times"
    if times.kind != "cuda":
        return Verdict(claim=claim, batch=batch, met=None, figure=f"no GPU ran; here {found}")
    return Verdict(claim=claim, batch=batch, met=statistics.median(over) >= TIMES, figure=found)


def _longer(over: Sequence[float]) -> str:
    low, high = quartiles(over)
    middle = statistics.median(over)
    return f"{(middle - 1) * 100:.3g} ({(low - 1) * 100:.3g} to {(high - 1) * 100:.3g}) %"
