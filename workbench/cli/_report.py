"""An inspection as text for the terminal."""

import math
import shutil

from workbench.cli._screen import has_colour, paint, plain, table
from workbench.inspection import Inspection, readings_of
from workbench.render.text import panel_text
from workbench.render.values import number
from workbench.telling import about_text, name_of_text, way_of_thinking
from workbench.types import ProbeResult
from workbench.views import Overlay, Words
from workbench.words import tell_token

_TITLE = "1"
_LINE = 90
_SHOWN_WORDS = 3


def report(inspection: Inspection, *, top: int = 5) -> str:
    """Everything worth a line, in the order of reading: thought, candidates, think tokens, maps, doubts."""
    parts = [
        f"{paint(plain(inspection.card.title), _TITLE)}: {way_of_thinking(inspection.info)}, "
        f"{inspection.seconds['total']:.2f} s",
        _thought(inspection),
        _ranking(inspection, top),
        _think_tokens(inspection),
        *_maps(inspection),
        _doubts(inspection),
    ]
    return "\n\n".join(part for part in parts if part)


def _thought(inspection: Inspection) -> str:
    thought, result = inspection.thought, inspection.results.get("decode")
    if thought is None:
        return "This checkpoint writes no thoughts."
    title = paint(name_of_text(inspection.info).capitalize(), _TITLE)
    about = about_text(inspection.info, thought.context)
    if not thought.tokens:
        return f"{title}\n(empty: the model ended the text at once)\n{about}"
    mean = math.exp(sum(thought.log_probabilities) / len(thought.log_probabilities))
    ended = "ended by the model" if thought.finish == "end" else "cut at the length limit"
    facts = f"confidence {number(mean)} (geometric mean over tokens), {ended}, context {thought.context}"
    body = plain(thought.text)
    if result is not None:
        body = panel_text(Words(measure="word_probability"), result, colour=has_colour(), width=_width())
        least = min(result.measure("word_probability").values)
        facts = f"least sure word {number(least)}, {facts}"
    return f"{title}\n{body}\n{about}\n{facts}"


def _ranking(inspection: Inspection, top: int) -> str:
    if not inspection.ranking:
        return ""
    rows = []
    for ranked in inspection.ranking[:top]:
        image = f"[{ranked.candidate.image.name}] " if ranked.candidate.image else ""
        rows.append((str(ranked.rank), f"{ranked.score:.3f}", _cut(plain(image + ranked.candidate.text))))
    title = paint(f"Nearest of {len(inspection.ranking)} candidates", _TITLE)
    return f"{title}\n{table(rows, head=('rank', 'cosine', 'candidate'))}"


def _think_tokens(inspection: Inspection) -> str:
    lens, attention = inspection.results.get("lens"), inspection.results.get("attention")
    if lens is None:
        return ""
    on_image = _image_shares(attention) if attention is not None else []
    rows = []
    for reading in readings_of(lens):
        likely = zip(reading.words[:_SHOWN_WORDS], reading.probabilities, strict=False)
        words = ", ".join(f"{plain(tell_token(word))} {number(p)}" for word, p in likely)
        share = f"{on_image[reading.think - 1]:.2f}" if on_image else "-"
        rows.append((str(reading.think), words, f"{reading.entropy:.2f}", share))
    head = ("think", "reads as (logit lens, last layer)", "entropy, nats", "attention on image")
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
    for index, image in enumerate(inspection.sample.images):
        panel = Overlay(measure=f"attention_image_{index}", image=index, each="row")
        title = paint(f"Attention on {plain(image.name)}", _TITLE)
        found.append(f"{title}\n{panel_text(panel, attention, colour=has_colour(), width=_width())}")
    return found


def _doubts(inspection: Inspection) -> str:
    lines = [plain(note) for note in inspection.notes]
    for name, result in inspection.results.items():
        lines += [f"{name}: {check.name}: {plain(check.about)}" for check in result.checks if not check.passed]
    lines += [f"{name} was skipped: {plain(reason)}" for name, reason in inspection.skipped.items()]
    if inspection.card.knows:
        lines.append(f"The checkpoint knows: {plain(inspection.card.knows)}")
    return "\n".join([paint("Mind", _TITLE), *(f"- {line}" for line in lines)]) if lines else ""


def _width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"
