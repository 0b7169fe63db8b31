"""What the page says in plain words: numbers, checks and cards put into sentences. Pure functions of results."""

import math

from workbench.assets import CheckpointCard
from workbench.inspection import Inspection
from workbench.probe import PROBES
from workbench.types import ProbeResult

_WORD_DEPENDS = 1.0
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_METRICS = {
    "thought_exact": "thoughts with every object, colour, shape and place right",
    "answer_exact": "right answer in the thought",
    "target_exact": "thoughts that tell the target word for word",
    "hit_at_1": "right candidate ranked first",
    "swapped_target_exact": "control: right targets when another sample's thought is put in (should be near chance)",
    "swapped_thought_exact": "control: right thoughts when another sample's thought is put in (should be near chance)",
}
_STAGES = {
    "load": "loading the checkpoint",
    "trace": "reading image and question",
    "controls": "reading control samples",
    "thought": "writing the thought",
    "decode": "testing the thought against others",
    "attention": "measuring attention",
    "lens": "reading the think tokens as words",
    "candidates": "ranking the candidates",
    "total": "in all",
}
_FAILED = {
    "maps against uniform": "The attention is spread almost evenly over the image, so the heatmaps say next to nothing.",
    "finished": "The text was cut off before its end; raise 'max tokens' under 'Settings of the measurements'.",
    "entropy against random latents": (
        "Read as words, the think tokens are no sharper than random noise: do not trust the words on their cards."
    ),
    "swapped thought": "",
}
"""Failed checks of the built-in probes in plain words; an empty text is said elsewhere on the page."""


def control(result: ProbeResult, *, writes_first: bool = False) -> dict[str, str] | None:
    """How much the text depends on this very sample: the swapped-thought control in one sentence, and how clear it is.

    With `writes_first` the text was written from image and question, so both are swapped.
    """
    found = {measure.name: measure for measure in result.measures}
    if "total_image_dependence" not in found:
        empty = "word_probability" in found and not found["word_probability"].values.size
        why = "there is no text to test" if empty else "there was no other sample to swap with"
        return {"level": "weak", "text": f"Control: not tested, because {why}."}
    total, words = float(found["total_image_dependence"].values), found["image_dependence"].values
    n_depend, n_words = int((words > _WORD_DEPENDS).sum()), len(words)
    own, others, it = "this image's thought", "the thoughts of other images", "it"
    if writes_first:
        own, others, it = "this image and question", "other images and questions", "them"
    if n_depend == n_words:
        depend = f"All of its words depend on {own}."
    else:
        depend = (
            f"{n_depend} of its {n_words} words {'depends' if n_depend == 1 else 'depend'} on {own}; "
            f"the others are about as likely without {it}."
        )
    if any(check.name == "swapped thought" and check.passed for check in result.checks):
        text = (
            f"Control: with {others} put in place of this one's, the same text becomes "
            f"{_times(total)} less likely. {depend} Depending on the image does not make it true."
        )
        return {"level": "clear", "text": text}
    if total > 0:
        text = f"Control: with {others} the same text is {_times(total)} less likely, which is not clear."
    else:
        text = f"Control: with {others} the same text is as likely or likelier."
    return {"level": "weak", "text": f"{text} Take it as a guess, not as something read from this image."}


def warnings(inspection: Inspection) -> list[str]:
    """Failed checks, probes that did not run and what was changed on the way, as sentences."""
    failed = [
        _FAILED.get(check.name, f"A check failed ({check.name}): {check.about}.")
        for result in inspection.results.values()
        for check in result.checks
        if not check.passed
    ]
    skipped = [f"Not measured ({stage_name(name)}): {reason}" for name, reason in inspection.skipped.items()]
    return [sentence for sentence in (*failed, *skipped, *inspection.notes) if sentence]


def unwritten(inspection: Inspection) -> str:
    """Why there is no text, where there is none."""
    info = inspection.info
    if info.contexts:
        return "No text was written; what is said above tells why."
    if info.n_think:
        return "This checkpoint has no generation head that reads its think tokens as text."
    return "This checkpoint does not think: it has no think tokens and writes nothing. What its embedding looks at is shown below."


def metric_rows(card: CheckpointCard) -> list[dict[str, str]]:
    """The card's measurements as texts, known ones in plain words and in a fixed order."""
    names = [name for name in _METRICS if name in card.metrics]
    names += [name for name in card.metrics if name not in _METRICS]
    return [
        {
            "name": _METRICS.get(name, name.replace("_", " ")),
            "value": f"{metric.value:.1%}",
            "interval": f"{metric.low:.1%} – {metric.high:.1%} of {metric.n:,}",
        }
        for name in names
        for metric in [card.metrics[name]]
    ]


def card_facts(inspection: Inspection) -> list[tuple[str, str]]:
    """Size and origin of the model that made a result."""
    info, made = inspection.info, inspection.trace.provenance
    return [
        ("model", f"{info.n_parameters / 1e6:,.1f} million parameters, {info.n_layers} layers of {info.n_heads} heads"),
        ("think tokens", f"{info.n_think}" if info.n_think else "none"),
        ("embedding", f"{info.dim} numbers"),
        ("family and format", f"{made.family}, {made.format}"),
        ("ran on", f"{made.device}, {made.dtype}"),
        ("weights (SHA-256)", made.weights_sha256[:16]),
    ]


def stage_name(name: str) -> str:
    """A stage of the run in plain words; a probe without such words by its title."""
    probe = PROBES.get(name).title if name in PROBES.names() else name
    return _STAGES.get(name, probe)


def _times(nats: float) -> str:
    """A factor e^nats in words."""
    tens = nats / math.log(10)
    if tens < 1:
        return f"{math.exp(nats):.1f} times"
    if tens < 6:
        return f"about {round(10**tens, -int(tens)):,.0f} times"
    return f"about 10{str(round(tens)).translate(_SUPERSCRIPT)} times"
