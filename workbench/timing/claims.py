"""What is claimed of thinking in latents, held against what one run timed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbench.timing.embedding import RECORDED, EmbedTimes, Timing, quartiles, ratios

THINK = 8
"""The number of think tokens that is claimed to cost next to nothing."""
FREE = 0.05
"""What "next to nothing" is held to be: further time, as a share of that of no-think."""
LENGTH = 400
TIMES = 60
"""So many times as long as thinking does explicit CoT take, as LaME's abstract says (arXiv 2606.13061). LENGTH is ours: of what
texts, batches and devices it speaks is not known here."""
BUSY = 0.8
"""A batch keeps a device busy where time grows with its size, by at least this share of what the size grows by."""
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
        judged += [_still_faster(times, batch) for batch in batches]
    return judged


def plain(value: float) -> str:
    """Three digits, without an exponent; a tiny one in ten-thousandths."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if 0 < abs(value) < 0.001 else f"{value:.3g}"


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
    latent, written = times.of("tte-flash", batch), times.of("explicit-cot", batch)
    none = times.find(recipe="no-think", batch=batch)
    if none is None or len(latent) < 2 or len(written) < 2:
        return Verdict(claim=FLAT, batch=batch, met=None, figure="it takes two numbers of think tokens and two lengths")
    over = ratios(latent[-1], none)
    costs, wrote = token_costs(latent), statistics.median(token_costs(written))
    thought, (low, high) = statistics.median(costs), quartiles(costs)
    if low <= 0 <= high:
        more, times_as_much = f"takes none that shows ({plain(low)} to {plain(high)} ms per batch)", ""
    else:
        more = f"takes {plain(thought)} ms per batch"
        times_as_much = f", {plain(wrote / thought)} times as much" if thought > 0 else ""
    bare = " (its pass not recorded)" if times.of(RECORDED, batch) else ""
    return Verdict(
        claim=FLAT,
        batch=batch,
        met=statistics.median(over) - 1 <= FREE and wrote > max(thought, 0),
        figure=(
            f"K = {latent[-1].think} takes {_longer(over)} longer; a further think token {more}, a further written one"
            f"{bare} {plain(wrote)} ms{times_as_much}"
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
    found = f"{plain(statistics.median(over))} ({plain(low)} to {plain(high)}) times"
    if times.kind != "cuda":
        return Verdict(claim=claim, batch=batch, met=None, figure=f"no GPU ran; here {found}")
    return Verdict(claim=claim, batch=batch, met=statistics.median(over) >= TIMES, figure=found)


def _still_faster(times: EmbedTimes, batch: int) -> Verdict:
    """Where the pass that thinks waits for its host, which the recorded one does not, the ratio is too low to refuse by."""
    found = _faster(times, batch, recipe=RECORDED, claim=STILL_FASTER)
    if found.met is False and not _busy(times, batch):
        waits = "the pass that thinks is not recorded and waits for its host, so this is too low"
        return replace(found, met=None, figure=f"{found.figure}; {waits}")
    return found


def _busy(times: EmbedTimes, batch: int) -> bool:
    """Whether time grows with the size between this batch and another, so that neither waits for the host."""
    spent = {t.batch: t.median for t in times.timings if (t.recipe, t.think) == ("tte-flash", THINK)}
    return any(
        (spent[large] / spent[small]) >= BUSY * large / small
        for other in spent
        if other != batch
        for small, large in [sorted((other, batch))]
    )


def _longer(over: Sequence[float]) -> str:
    low, high = quartiles(over)
    middle = statistics.median(over)
    return f"{(middle - 1) * 100:.3g} ({(low - 1) * 100:.3g} to {(high - 1) * 100:.3g}) %"
