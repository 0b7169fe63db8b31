"""How long embedding takes, as table, JSON and one SVG: milliseconds of a query against what it thinks or writes."""

import html
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from workbench.render.svg import PALETTE
from workbench.timing.claims import THINK, judge, plain, token_costs
from workbench.timing.embedding import RECORDED, EmbedTimes, quartiles, ratios

HEAD = (
    "batch",
    "recipe",
    "think tokens",
    "written tokens",
    "ms per batch",
    "middle half",
    "samples/s",
    "times no-think",
)
_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 14, 44


def speed_cells(times: EmbedTimes) -> list[tuple[str, ...]]:
    """One row for each timing."""
    rows = []
    for timing in times.timings:
        low, high = timing.quartiles
        base = times.find(recipe="no-think", batch=timing.batch)
        over = "" if base is None else f"{statistics.median(ratios(timing, base)):.3f}"
        rows.append(
            (
                str(timing.batch),
                timing.recipe,
                str(timing.think),
                str(timing.written),
                _ms(timing.median),
                f"{_ms(low)} to {_ms(high)}",
                f"{timing.batch / timing.median:.4g}",
                over,
            )
        )
    return rows


def speed_json(times: EmbedTimes) -> dict[str, Any]:
    """Everything that was timed, and what is asked of it."""
    return {
        "size": times.size,
        "parameters": times.parameters,
        "query": {"positions": times.positions, "visual_tokens": times.visual},
        "machine": {
            "kind": times.kind,
            "device": times.device,
            "dtype": times.dtype,
            "threads": times.threads,
            "torch": times.torch,
        },
        "rounds": times.rounds,
        "timings": [
            {
                "recipe": timing.recipe,
                "batch": timing.batch,
                "think_tokens": timing.think,
                "written_tokens": timing.written,
                "milliseconds": timing.median * 1e3,
                "milliseconds_quartiles": [value * 1e3 for value in timing.quartiles],
                "samples_per_second": timing.batch / timing.median,
                "turns": len(timing.seconds),
            }
            for timing in times.timings
        ],
        "left_out": list(times.left_out),
        "claims": [claim for batch in _batches(times) for claim in _claims(times, batch)],
        "verdicts": [asdict(verdict) for verdict in judge(times)],
    }


def speed_sentences(times: EmbedTimes) -> list[str]:
    """What the figures say, batch by batch, and how each claim fares."""
    said = []
    for batch in _batches(times):
        for claim in _claims(times, batch):
            low, high = claim["quartiles"]
            value = f"{plain(claim['value'])} ({plain(low)} to {plain(high)})"
            said.append(f"Batch {batch}: {claim['claim']}: {value} {claim['units']}.".replace(" .", "."))
    lost = [f"Batch {batch}: not timed, for memory ran out." for batch in times.left_out]
    return [*said, *lost, *_verdicts(times)]


def _verdicts(times: EmbedTimes) -> list[str]:
    """One sentence for each claim, over all batch sizes."""
    words = {True: "met", False: "not met", None: "not measured"}
    found: dict[str, list[str]] = {}
    for verdict in judge(times):
        said = f"{words[verdict.met]} at batch {verdict.batch} ({verdict.figure})"
        found.setdefault(verdict.claim, []).append(said)
    return [f"Claim: {claim}: {'; '.join(said)}." for claim, said in found.items()]


def _claims(times: EmbedTimes, batch: int) -> list[dict[str, Any]]:
    none = times.find(recipe="no-think", batch=batch)
    claims: list[dict[str, Any]] = []

    def add(claim: str, values: Sequence[float], units: str) -> None:
        low, high = quartiles(values)
        claims.append(
            {
                "batch": batch,
                "claim": claim,
                "value": statistics.median(values),
                "quartiles": [low, high],
                "units": units,
            }
        )

    latent = times.of("tte-flash", batch)
    written, recorded = times.of("explicit-cot", batch), times.of(RECORDED, batch)
    chosen = next((timing for timing in latent if timing.think == THINK), latent[0] if latent else None)
    if chosen and none:
        over = [ratio - 1 for ratio in ratios(chosen, none)]
        add(f"further time of tte-flash over no-think at K = {chosen.think}", [value * 100 for value in over], "%")
    if chosen:
        for timing in (*written, *recorded):
            claim = f"{timing.recipe} at {timing.written} written tokens over tte-flash at K = {chosen.think}"
            add(claim, ratios(timing, chosen), "times")
    if len(latent) > 1:
        add("a further think token", token_costs(latent), "ms per batch")
    if len(written) > 1:
        add("a further written token", token_costs(written), "ms per batch")
    if len(recorded) > 1:
        add("a further written token, its pass recorded", token_costs(recorded), "ms per batch")
    return claims


def speed_svg(times: EmbedTimes, batch: int) -> str:
    """Milliseconds of a batch over tokens thought or written, both axes logarithmic, as a file of its own."""
    latent = times.of("tte-flash", batch)
    written, recorded = times.of("explicit-cot", batch), times.of(RECORDED, batch)
    base = times.find(recipe="no-think", batch=batch)
    shown = [t for t in (*latent, *written, *recorded, base) if t is not None]
    low = math.floor(math.log10(min(t.quartiles[0] for t in shown) * 1e3))
    high = max(low + 1, math.ceil(math.log10(max(t.quartiles[1] for t in shown) * 1e3)))
    most = max((t.think or t.written for t in shown), default=1) or 1
    octaves = max(1, math.ceil(math.log2(most)))

    def x(tokens: int) -> float:
        return _LEFT + math.log2(max(tokens, 1)) / octaves * (_WIDTH - _LEFT - _RIGHT)

    def y(seconds: float) -> float:
        return _TOP + (high - math.log10(seconds * 1e3)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_frame(low, high, octaves)]
    for number, (name, found, tokens) in enumerate(
        (
            ("tte-flash, by think tokens", latent, [t.think for t in latent]),
            ("explicit-cot, by written tokens", written, [t.written for t in written]),
            (f"{RECORDED}, by written tokens", recorded, [t.written for t in recorded]),
        )
    ):
        if not found:
            continue
        places = [(x(n), y(t.median), y(t.quartiles[0]), y(t.quartiles[1])) for n, t in zip(tokens, found, strict=True)]
        parts.append(_line(places, PALETTE[number]))
        parts.append(_label(name, PALETTE[number], number))
    if base is not None:
        level = y(base.median)
        parts.append(
            f'<path d="M{_LEFT} {level:.1f}H{_WIDTH - _RIGHT}" stroke="{PALETTE[6]}" stroke-width="2" stroke-dasharray="5 4"/>'
        )
        parts.append(_label("no-think", PALETTE[6], 3 if recorded else 2))
    title = f"milliseconds to embed a batch of {batch}, {times.size} size, {times.device}, {times.dtype}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{html.escape(title)}" font-family="system-ui,sans-serif" font-size="11" fill="#6b7280">'
        f"{''.join(parts)}</svg>\n"
    )


def _frame(low: int, high: int, octaves: int) -> str:
    rows = []
    for power in range(low, high + 1):
        level = _TOP + (high - power) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
        rows.append(f'<path d="M{_LEFT} {level:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity="0.2"/>')
        rows.append(f'<text x="{_LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for octave in range(octaves + 1):
        place = _LEFT + octave / octaves * (_WIDTH - _LEFT - _RIGHT)
        rows.append(f'<text x="{place:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{2**octave}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    rows.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">tokens thought or written</text>')
    upright = (_TOP + _HEIGHT - _BOTTOM) / 2
    rows.append(f'<text transform="translate(14 {upright:.0f}) rotate(-90)" text-anchor="middle">ms per batch</text>')
    return "".join(rows)


def _line(places: Sequence[tuple[float, float, float, float]], colour: str) -> str:
    path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py, _, _ in places)
    marks = "".join(
        f'<path d="M{px:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/><circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>'
        for px, py, low, high in places
    )
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{marks}'


def _label(name: str, colour: str, row: int) -> str:
    level = _TOP + 10 + 16 * row
    return (
        f'<path d="M{_LEFT + 10} {level - 4}h18" stroke="{colour}" stroke-width="3"/>'
        f'<text x="{_LEFT + 34}" y="{level}">{html.escape(name)}</text>'
    )


def _batches(times: EmbedTimes) -> list[int]:
    return list(dict.fromkeys(timing.batch for timing in times.timings))


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f}" if seconds >= 1 else f"{seconds * 1e3:.4g}"


def statement(times: EmbedTimes) -> str:
    """What was timed on what, in one sentence."""
    return (
        f"Size {times.size}: {times.parameters / 1e6:,.1f} million parameters, {times.dtype} on {times.device}, "
        f"{_counted(times.threads, 'thread')}, torch {times.torch}, {_counted(times.rounds, 'round')}; queries of {times.positions} positions, {times.visual} of them "
        "visual tokens."
    )


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def speed_block(times: EmbedTimes, command: str) -> str:
    """What stands between the marks of the page."""
    rows = (HEAD, tuple("---" for _ in HEAD), *speed_cells(times))
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return "\n\n".join(
        (f"`{command}`. {statement(times)}", "\n".join(f"- {said}" for said in speed_sentences(times)), table)
    )
