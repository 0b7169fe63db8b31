"""The thought as text, how sure the model is of each word, and how much the text depends on this very thought."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, final

import numpy as np

from workbench.embedder import DecodesThoughts
from workbench.probe import Control, ModelProbe, Subject, register_probe
from workbench.types import Check, Context, DecodedThought, Measure, ProbeResult, TextScore, Trace
from workbench.views import Note, Panel, Table, Words

_AGREEMENT = 0.05
"""Nats per token by which writing and re-reading the same text may differ: bfloat16 kernels differ by less."""


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Decode(ModelProbe):
    """Write the thought as text with the model's own generation head, and test the text against swapped thoughts.

    Units are nats (natural log) and probabilities. Source: think-then-embed models train their think tokens so that this
    very head reconstructs the reasoning (TTE-Flash, arXiv 2605.16638).

    It misleads in two ways. A fluent text may be a guess from the prompt or from habit: read `image_dependence`, which is
    near 0 for words that another sample's thought predicts as well. And a text that the thought determines is not yet a
    reason that the embedding used: only an intervention on the thoughts can say so. A probability says how sure the
    decoder is of its words, not how right they are.
    """

    name = "decode"
    title = "Decoded thought"
    version = 1
    reference = "TTE-Flash, arXiv 2605.16638; swapped thoughts as control: Thinkscope"
    needs = (DecodesThoughts,)

    context: Annotated[
        Literal["model", "latents_only", "query_and_latents"],
        Control(
            help="What the decoder may see: the thoughts alone, or the query too; 'model' is what it was trained for."
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

    def measure(self, subject: Subject, model: DecodesThoughts) -> ProbeResult:
        context: Context | None = None if self.context == "model" else self.context
        [thought] = model.decode([subject.trace], context=context, max_tokens=self.max_tokens)
        measures, checks = _text(thought, self.max_tokens)
        if self.samples > 1:
            measures += self._drawn(subject.trace, model, context)
        if thought.tokens:
            more, tests = _dependence(thought, subject, model, context)
            measures, checks = measures + more, checks + tests
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
        if not result.measure("word_probability").values.size:
            panels.append(Note(text="The model ended the thought at once: there is no text.", kind="warning"))
        else:
            panels.append(Words(measure="word_probability", title="Decoded thought, coloured by confidence"))
        panels += [
            Note(text=f"{check.name}: {check.about}", kind="warning") for check in result.checks if not check.passed
        ]
        if "image_dependence" in names:
            panels.append(Words(measure="image_dependence", title="How much each word depends on this thought"))
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


def join_pieces(pieces: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Join token pieces into words: a word begins where whitespace stands before it, and empty pieces join a neighbour.

    Returns each word with the indices of its pieces; together they hold every index once, in order. A script without
    spaces comes back as one long word.
    """
    words: list[tuple[str, list[int]]] = []
    open_word = False
    for index, piece in enumerate(pieces):
        begins = bool(piece.strip()) and (piece[0].isspace() or not open_word) and bool(words and words[-1][0].strip())
        if begins or not words:
            words.append((piece, [index]))
        else:
            words[-1] = (words[-1][0] + piece, [*words[-1][1], index])
        open_word = open_word if not piece else not piece[-1].isspace()
    return [(word.strip(), indices) for word, indices in words]


def _text(thought: DecodedThought, limit: int) -> tuple[list[Measure], list[Check]]:
    logs = np.array(thought.log_probabilities, dtype=np.float32)
    words = join_pieces(thought.tokens)
    word_logs = np.array([logs[indices].sum() for _, indices in words], dtype=np.float32)
    labels = tuple(word for word, _ in words)
    ended = thought.finish == "end"
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


def _dependence(
    thought: DecodedThought, subject: Subject, model: DecodesThoughts, context: Context | None
) -> tuple[list[Measure], list[Check]]:
    """Score the text under its own thought and under those of the others; the end token is left out of both."""
    if not subject.others:
        about = "no other sample was given, so whether the text depends on this thought was not tested"
        return [], [Check(name="swapped thought", value=0.0, tolerance=None, passed=False, about=about)]
    others, traces = subject.others, [subject.trace] * len(subject.others)
    [own] = model.score([subject.trace], [thought.text], context=context)
    swapped = model.score(traces, [thought.text] * len(others), context=context, thoughts_from=others)
    difference = _logs(own) - np.mean([_logs(score) for score in swapped], axis=0)
    words = join_pieces(own.tokens[:-1])
    by_word = np.array([difference[indices].sum() for _, indices in words], dtype=np.float32)
    total = float(by_word.sum())
    signed: dict[str, Any] = {"signed": True, "better": "higher"}
    meaning = (
        f"log-probability of the word under its own thought less its mean under {len(others)} other thoughts; near 0: a "
        "guess from the words before it"
    )
    labels = tuple(word for word, _ in words)
    sums = "sum over all words; near 0: the text does not come from this thought"
    measures = [
        _along("word", "image_dependence", by_word, "nats", labels, about=meaning, **signed),
        _along("", "total_image_dependence", np.array(total, dtype=np.float32), "nats", about=sums, **signed),
    ]
    about = (
        f"the text is {total:.2f} nats more probable under its own thought than under {len(others)} others; near or below 0 "
        "it is a guess from the prompt"
    )
    check = Check(name="swapped thought", value=total, tolerance=0.0, passed=total > 0, about=about)
    return measures, [check, *_agreement(thought, own)]


def _agreement(thought: DecodedThought, own: TextScore) -> list[Check]:
    if own.tokens[:-1] != thought.tokens:
        return []  # the tokenizer cuts the text otherwise than the model wrote it, so the two cannot be compared
    gap = float(np.mean(np.abs(_logs(own) - np.array(thought.log_probabilities))))
    about = "mean gap in nats per token between writing the text and reading it again"
    return [
        Check(name="score agrees with decoding", value=gap, tolerance=_AGREEMENT, passed=gap <= _AGREEMENT, about=about)
    ]


def _logs(score: TextScore) -> np.ndarray:
    return np.array(score.log_probabilities[:-1])


def _along(
    dim: str, name: str, values: np.ndarray, units: str, labels: Sequence[str] | None = None, **facts: Any
) -> Measure:
    coords = {} if labels is None else {dim: tuple(labels)}
    return Measure(name=name, values=values, dims=(dim,) if dim else (), units=units, coords=coords, **facts)
