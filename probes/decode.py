"""The thought as text, how sure the model is of each word, and how much the text depends on this very thought."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, final

import numpy as np

from workbench.embedder import DecodesThoughts
from workbench.probe import Control, ModelProbe, Subject, register_probe
from workbench.types import Check, Context, DecodedThought, Measure, ProbeResult, TextScore, Trace
from workbench.views import Note, Panel, Table, Words
from workbench.words import join_pieces

_AGREEMENT = 0.05
"""Nats per token by which writing and re-reading the same text may differ: bfloat16 kernels differ by less."""

_EVIDENCE = float(np.log(20))
"""Nats: by this much a text must be less probable under a typical other thought. Asked whether the text came from the one
thought or the other, with nothing else to go by, one would then be 95% sure."""

_READINGS = {
    "image_dependence": "How much each word depends on this thought",
    "given_word_log_probability": "Your text: log-probability of each word",
    "given_image_dependence": "Your text: how much each word depends on this thought",
}


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Decode(ModelProbe):
    """Write the thought as text with the decoder that was trained with it, and test the text against swapped thoughts.

    Units are nats (natural log) and probabilities. Source: think-then-embed models train their think tokens so that their
    own generation head reconstructs the reasoning (TTE-Flash, arXiv 2605.16638). Of others the text is something else:
    LaME's small decoder tells the words of the target, and explicit reasoning is what was written before the embedding.

    It misleads in two ways. A fluent text may be a guess from the prompt or from habit: read `image_dependence`, which is
    near 0 for words that another sample's thought predicts as well. And a text that the thought determines is not yet a
    reason that the embedding used: only an intervention on the thoughts can say so. A probability says how sure the
    decoder is of its words, not how right they are.

    The control `swapped thought` asks whether the text would have come out without this thought. Being above 0 is not
    enough: the greedy text was chosen for its probability under its own thought, so chance alone puts it above. The text
    must be at least 20 times less probable (ln 20 = 3 nats) under the median of the other thoughts, and the difference
    must be more than rounding: 0.05 nats for each of its tokens. The median, so that one other sample that happens to
    show the same, or one of which nothing is probable, does not decide. With a single other thought it is that one alone.
    """

    name = "decode"
    title = "Decoded thought"
    version = 2
    reference = "TTE-Flash, arXiv 2605.16638; swapped thoughts as control: Thinkscope"
    needs = (DecodesThoughts,)

    context: Annotated[
        Literal["model", "latents_only", "query_and_latents"],
        Control(
            help="What the decoder sees: the thoughts alone, or the query too; 'model' is what it was trained for."
        ),
    ] = "model"
    max_tokens: Annotated[int, Control(help="Where the text is cut at the latest, in tokens.", low=1, high=1024)] = 96
    samples: Annotated[
        int, Control(help="1 writes the likeliest text; more also draw that many texts at random.", low=1, high=16)
    ] = 1
    temperature: Annotated[
        float, Control(help="How adventurous the random texts are; 1 is the model's own spread.", low=0.05, high=5.0)
    ] = 0.8
    seed: Annotated[int, Control(help="Start of the random draws; the same seed draws the same texts.", low=0)] = 0

    score_text: Annotated[
        str,
        Control(help="A text of yours: how probable it is under this thought and under others; empty asks nothing."),
    ] = ""

    def measure(self, subject: Subject, model: DecodesThoughts) -> ProbeResult:
        context: Context | None = None if self.context == "model" else self.context
        [thought] = model.decode([subject.trace], context=context, max_tokens=self.max_tokens)
        measures, checks = _text(thought, self.max_tokens)
        if self.samples > 1:
            measures += self._drawn(subject.trace, model, context)
        if thought.tokens:
            [own] = model.score([subject.trace], [thought.text], context=context)
            more, tests = _dependence("", thought.text, own, subject, model, context)
            measures, checks = measures + more, checks + tests + _agreement(thought, own)
        if self.score_text.strip():  # its own spaces are kept: they are part of its tokens
            [own] = model.score([subject.trace], [self.score_text], context=context)
            more, tests = _dependence("given_", self.score_text, own, subject, model, context)
            measures, checks = [*measures, *_given(own), *more], checks + tests
        return ProbeResult(
            probe=self.name,
            version=self.version,
            sample_id=subject.trace.sample.id,
            parameters=asdict(self),
            measures=tuple(measures),
            checks=tuple(checks),
            provenance=subject.trace.provenance,
        )

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        names = {measure.name for measure in result.measures}
        panels: list[Panel] = []
        if result.measure("word_probability").values.size:
            panels.append(Words(measure="word_probability", title="The text, coloured by confidence"))
        else:
            panels.append(Note(text="The model ended the thought at once: there is no text.", kind="warning"))
        panels += [
            Note(text=f"{check.name}: {check.about}", kind="warning") for check in result.checks if not check.passed
        ]
        for name, title in _READINGS.items():
            if name in names:
                panels.append(Words(measure=name, title=title))
        if "sample_text" in names:
            panels.append(Table(measures=("sample_text", "sample_log_probability"), title="Texts drawn at random"))
        panels.append(Table(measures=("log_probability", "probability"), title="Token by token"))
        return tuple(panels)

    def _drawn(self, trace: Trace, model: DecodesThoughts, context: Context | None) -> list[Measure]:
        drawn = model.decode(
            [trace] * self.samples,
            context=context,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            seed=self.seed,
        )
        texts = np.array([thought.text for thought in drawn], dtype=np.str_)
        totals = np.array([sum(thought.log_probabilities) for thought in drawn], dtype=np.float32)
        about = "log-probability of each drawn text at temperature 1; longer texts are less probable"
        return [
            _along("sample", "sample_text", texts, "text"),
            _along("sample", "sample_log_probability", totals, "nats", about=about),
        ]


def _text(thought: DecodedThought, limit: int) -> tuple[list[Measure], list[Check]]:
    logs = np.array(thought.log_probabilities, dtype=np.float32)
    words = join_pieces(thought.tokens)
    word_logs = np.array([logs[indices].sum() for _, indices in words], dtype=np.float32)
    labels, ended = [word for word, _ in words], thought.finish == "end"
    about = "the model ended the text itself" if ended else f"the text was cut at {limit} tokens; raise max_tokens"
    sums = "sum over the word's pieces, each given all before it"
    sure = "how sure the decoder is of its word, which is not how right it is"
    measures = [
        _along("", "text", np.array(thought.text, dtype=np.str_), "text"),
        _along("", "finish", np.array(thought.finish, dtype=np.str_), "end or length"),
        _along("", "context", np.array(thought.context, dtype=np.str_), "decoder context"),
        _along("token", "token_id", np.array(thought.token_ids, dtype=np.int64), "vocabulary entry", thought.tokens),
        _along("token", "log_probability", logs, "nats", thought.tokens, about="each piece given all before it"),
        _along("token", "probability", np.exp(logs), "probability", thought.tokens),
        _along("word", "word_log_probability", word_logs, "nats", labels, about=sums),
        _along("word", "word_probability", np.exp(word_logs), "probability", labels, about=sure),
    ]
    return measures, [Check(name="finished", value=float(ended), tolerance=1.0, passed=ended, about=about)]


def _given(own: TextScore) -> list[Measure]:
    words = join_pieces(own.tokens[:-1])
    logs = np.array([_logs(own)[indices].sum() for _, indices in words], dtype=np.float32)
    total, about = np.array(own.total, dtype=np.float32), "of your text with its end; longer texts are less probable"
    return [
        _along("word", "given_word_log_probability", logs, "nats", [word for word, _ in words]),
        _along("", "given_log_probability", total, "nats", about=about),
    ]


def _dependence(
    prefix: str, text: str, own: TextScore, subject: Subject, model: DecodesThoughts, context: Context | None
) -> tuple[list[Measure], list[Check]]:
    """Compare a text's own score with those under the thoughts of others; the end token is left out of both."""
    if not (others := subject.others):
        about = "no other sample was given, so whether the text depends on this thought was not tested"
        name = "swapped thought, given text" if prefix else "swapped thought"
        return [], [Check(name=name, value=0.0, tolerance=None, passed=False, about=about)]
    n = len(others)
    swapped = model.score([subject.trace] * n, [text] * n, context=context, thoughts_from=others)
    differences = _logs(own) - np.array([_logs(score) for score in swapped])
    words, mean = join_pieces(own.tokens[:-1]), differences.mean(axis=0)
    by_word = np.array([mean[indices].sum() for _, indices in words], dtype=np.float32)
    total = by_word.sum()
    signed: dict[str, Any] = {"signed": True, "better": "higher"}
    meaning = (
        "log-probability under its own thought less the mean under others; near 0: a guess from the words before it"
    )
    sums = "sum over all words; near 0: the text does not come from this thought"
    measures = [
        _along("word", f"{prefix}image_dependence", by_word, "nats", [w for w, _ in words], about=meaning, **signed),
        _along("", f"total_{prefix}image_dependence", np.asarray(total), "nats", about=sums, **signed),
    ]
    return measures, [_swapped(prefix, differences)]


def _swapped(prefix: str, differences: np.ndarray) -> Check:
    """Whether the text depends on its thought, from the differences (others tokens) to each other thought."""
    by_other = differences.sum(axis=1)
    typical, threshold = float(np.median(by_other)), max(_EVIDENCE, _AGREEMENT * differences.shape[1])
    passed = typical > threshold
    about = (
        f"under the median of {len(by_other)} other thoughts the text is {typical:.1f} nats less probable "
        f"({by_other.min():.1f} to {by_other.max():.1f}); "
        + ("it comes from this thought" if passed else f"not above {threshold:.1f} it may be a guess from the prompt")
    )
    name = "swapped thought, given text" if prefix else "swapped thought"
    return Check(name=name, value=typical, tolerance=threshold, passed=passed, about=about)


def _agreement(thought: DecodedThought, own: TextScore) -> list[Check]:
    if own.tokens[:-1] != thought.tokens:
        return []  # the tokenizer cuts the text otherwise than the model wrote it, so the two cannot be compared
    gap = float(np.mean(np.abs(_logs(own) - np.array(thought.log_probabilities))))
    about = "mean gap in nats per token between writing the text and reading it again"
    name, passed = "score agrees with decoding", gap <= _AGREEMENT
    return [Check(name=name, value=gap, tolerance=_AGREEMENT, passed=passed, about=about)]


def _logs(score: TextScore) -> np.ndarray:
    return np.array(score.log_probabilities[:-1])


def _along(
    dim: str, name: str, values: np.ndarray, units: str, labels: Sequence[str] | None = None, **facts: Any
) -> Measure:
    coords = {} if labels is None else {dim: tuple(labels)}
    return Measure(name=name, values=values, dims=(dim,) if dim else (), units=units, coords=coords, **facts)
