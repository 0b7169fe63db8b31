"""An inspection as text for the terminal."""

import math
import shutil
import sys
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from workbench.cli._screen import paint, plain, table
from workbench.inspection import Inspection, readings_of
from workbench.types import DecodedThought, ProbeResult

_UNSURE, _DOUBTFUL = 0.9, 0.5
_MAP_ROWS, _MAP_COLS = 10, 16
_SHADES, _ASCII_SHADES = " ░▒▓█", " .:*#"
_TITLE = "1"


def report(inspection: Inspection, *, top: int = 5) -> str:
    """Everything worth a line, in the order of reading: thought, candidates, think tokens, maps, doubts."""
    parts = [
        f"{paint(plain(inspection.card.title), _TITLE)}  {inspection.info.n_think} think tokens, "
        f"{inspection.seconds['total']:.2f} s",
        _thought(inspection.thought, inspection.results.get("decode")),
        _ranking(inspection, top),
        _think_tokens(inspection),
        *_maps(inspection),
        _doubts(inspection),
    ]
    return "\n\n".join(part for part in parts if part)


def _thought(thought: DecodedThought | None, result: ProbeResult | None) -> str:
    if thought is None:
        return "This checkpoint writes no thoughts."
    if not thought.tokens:
        return f"{paint('Decoded thought', _TITLE)}\n(empty: the model ended the text at once)"
    words = _words(thought, result)
    mean = math.exp(sum(thought.log_probabilities) / len(thought.log_probabilities))
    worst, least = min(words, key=lambda word: word[1])
    ended = "ended by the model" if thought.finish == "end" else "cut at the length limit"
    body = " ".join(paint(plain(word), _shade(confidence)) for word, confidence in words)
    return (
        f"{paint('Decoded thought', _TITLE)} ({thought.context})\n{body}\n"
        f"confidence {mean:.2f} (mean over tokens), least sure of '{plain(worst)}' ({least:.2f}), {ended}"
    )


def _words(thought: DecodedThought, result: ProbeResult | None) -> list[tuple[str, float]]:
    if result is not None:
        measure = result.measure("word_probability")
        return [(str(word), float(p)) for word, p in zip(measure.coords["word"], measure.values, strict=True)]
    return [(token, math.exp(log)) for token, log in zip(thought.tokens, thought.log_probabilities, strict=True)]


def _shade(confidence: float) -> str:
    if confidence >= _UNSURE:
        return "0"
    return "33" if confidence >= _DOUBTFUL else "31;4"


def _ranking(inspection: Inspection, top: int) -> str:
    if not inspection.ranking:
        return ""
    rows = []
    for ranked in inspection.ranking[:top]:
        image = f"[{ranked.candidate.image.name}] " if ranked.candidate.image else ""
        rows.append((str(ranked.rank), f"{ranked.score:.3f}", _cut(plain(image + ranked.candidate.text), 90)))
    title = paint(f"Nearest of {len(inspection.ranking)} candidates", _TITLE)
    return f"{title}\n{table(rows, head=('rank', 'cosine', 'candidate'))}"


def _think_tokens(inspection: Inspection) -> str:
    lens, attention = inspection.results.get("lens"), inspection.results.get("attention")
    if lens is None:
        return ""
    on_image = _image_shares(attention) if attention is not None else []
    rows = []
    for reading in readings_of(lens):
        words = ", ".join(
            f"{plain(word).strip() or repr(word)} {p:.2f}"
            for word, p in zip(reading.words[:3], reading.probabilities[:3], strict=True)
        )
        share = f"{on_image[reading.think - 1]:.2f}" if on_image else "-"
        rows.append((str(reading.think), words, f"{reading.entropy:.2f}", share))
    head = ("think", "reads as (logit lens, last layer)", "entropy/nats", "on image")
    return f"{paint('Think tokens', _TITLE)}\n{table(rows, head=head)}"


def _image_shares(attention: ProbeResult) -> list[float]:
    """Share of each row's attention on all images together; empty for a sample without image."""
    share = attention.measure("share")
    parts = [i for i, part in enumerate(share.coords["part"]) if str(part).startswith("image ")]
    return share.values[:, parts].sum(axis=1).tolist() if parts else []


def _maps(inspection: Inspection) -> list[str]:
    attention = inspection.results.get("attention")
    if attention is None:
        return []
    found = []
    for number, image in enumerate(inspection.sample.images):
        measure = attention.measure(f"attention_image_{number}")
        maps = measure.values.mean(axis=1) if "frame" in measure.dims else measure.values
        title = paint(f"Attention on {plain(image.name)}", _TITLE)
        rows, cols = maps.shape[1:]
        found.append(
            f"{title} ({rows} × {cols} patches, one scale for all, darkest {maps.max():.3f})\n"
            + _side_by_side(maps, [str(row) for row in measure.coords["row"]])
        )
    return found


def _side_by_side(maps: Float[np.ndarray, "row rows cols"], names: Sequence[str]) -> str:
    shades = _SHADES if "utf" in (sys.stdout.encoding or "").lower() else _ASCII_SHADES
    small = np.stack([_shrink(one) for one in maps])
    most = float(small.max()) or 1.0
    levels = np.minimum((small / most * len(shades)).astype(int), len(shades) - 1)
    width = max(2 * small.shape[2], max(map(len, names)))
    at_once = max(1, shutil.get_terminal_size((100, 24)).columns // (width + 3))
    blocks = []
    for start in range(0, len(names), at_once):
        some = range(start, min(start + at_once, len(names)))
        lines = ["   ".join(names[i].ljust(width) for i in some)]
        for row in range(small.shape[1]):
            drawn = ("".join(shades[level] * 2 for level in levels[i, row]) for i in some)
            lines.append("   ".join(line.ljust(width) for line in drawn))
        blocks.append("\n".join(line.rstrip() for line in lines))
    return "\n\n".join(blocks)


def _shrink(one: Float[np.ndarray, "rows cols"]) -> Float[np.ndarray, "few_rows few_cols"]:
    """Mean over blocks, so that a large grid fits; a small one stays as it is."""
    for axis, most in ((0, _MAP_ROWS), (1, _MAP_COLS)):
        size = one.shape[axis]
        if size > most:
            edges = np.linspace(0, size, most + 1).astype(int)
            sums = np.add.reduceat(one, edges[:-1], axis=axis)
            counts = np.diff(edges)
            one = sums / (counts[:, None] if axis == 0 else counts)
    return one.astype(np.float32)


def _doubts(inspection: Inspection) -> str:
    lines = [plain(note) for note in inspection.notes]
    for name, result in inspection.results.items():
        lines += [f"{name}: {check.name}: {plain(check.about)}" for check in result.checks if not check.passed]
    lines += [f"{name} was skipped: {plain(reason)}" for name, reason in inspection.skipped.items()]
    if inspection.card.knows:
        lines.append(f"The checkpoint knows: {plain(inspection.card.knows)}")
    return "\n".join([paint("Mind", _TITLE), *(f"- {line}" for line in lines)]) if lines else ""


def _cut(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
