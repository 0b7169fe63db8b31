"""What each checkpoint gets right, sample by sample: ranks of the right documents, and what its thoughts say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench.comparing.question import AskedRow, Question
from workbench.comparing.ranking import best_right
from workbench.comparing.reading import Reading, ReadRow
from workbench.comparing.spelling import Cuts, common_words, cuts_of, is_cut_alike
from workbench.comparison import Difference, Estimate, Metric, Writes
from workbench.data.reader import find_reader
from workbench.data.readers.shapes import sample_at
from workbench.data.shapes import score_thought
from workbench.data.shapes.language import caption
from workbench.mapping.gathering import is_right, tells_target
from workbench.stats import Interval, bootstrap_interval, paired_interval, rank_of

SEED = 0
UNKNOWN = 0
"""Rank of a target that is not known, or not ranked."""
LEAST_PAIRS = 2
"""Samples below which a difference has no spread."""
_RANKED = ("hit_at_1", "mrr")
_ABOUT = {
    "hit_at_1": "Share of the queries whose right document ranks first.",
    "mrr": "Mean of 1 / rank of the right document: 1 where all rank first.",
    "thought_exact": "Share of the thoughts that list every object with the right place, size, colour and shape, and none besides.",
    "answer_exact": "Share of the thoughts whose answer is the right one, word for word.",
    "target_exact": "Share of the thoughts that are the words of the right document, on Shapes letter for letter, elsewhere without "
    "regard to case and punctuation.",
    "token_log_probability": "Mean log-probability (nats) of the tokens of the decoded thought: how sure it is, not how right.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Of one checkpoint, with an entry for each row of the question."""

    cosines: Float[np.ndarray, "rows documents"]
    """NaN for rows and documents that it could not read."""
    ranks: Int[np.ndarray, " rows"]
    """1 is the best; 0 where there is none."""
    values: Mapping[str, Float[np.ndarray, " rows"]]
    """By metric; NaN where a sample has none."""
    undefined: Mapping[str, str]
    """Metrics of other checkpoints that this one has not, with the reason."""
    writes: Writes
    cuts: Cuts
    """How the words of its thoughts are cut into tokens."""

    def only(self, rows: Bool[np.ndarray, " rows"]) -> "Scores":
        """The same with values of these rows alone; a metric without any is left out."""
        kept = {name: np.where(rows, one, np.nan) for name, one in self.values.items()}
        return replace(self, values={name: one for name, one in kept.items() if np.isfinite(one).any()})


def writes(reading: Reading) -> Writes:
    """What the checkpoint's decoded thoughts are trained to say."""
    return reading.info.tells if any(row.thought is not None for row in reading.rows) else "nothing"


def score(question: Question, reading: Reading, name: str) -> Scores:
    """Rank every query's right document and read its thought against what the data know.

    Args:
        question: what was read.
        reading: by one checkpoint.
        name: what reasons call it.
    """
    cosines = reading.embeddings() @ reading.documents().T
    ranks = _ranks(cosines, [row.right for row in question.rows])
    known = ranks > UNKNOWN
    values: dict[str, np.ndarray] = {}
    undefined: dict[str, str] = {}
    if known.any():
        values["hit_at_1"] = np.where(known, ranks == 1, np.nan)
        values["mrr"] = np.where(known, 1 / np.maximum(ranks, 1), np.nan)
    said = _score_thoughts(question, reading, name, undefined)
    kept = {metric: one for metric, one in (values | said).items() if np.isfinite(one).any()}
    return Scores(
        cosines=cosines,
        ranks=ranks,
        values=kept,
        undefined=undefined,
        writes=writes(reading),
        cuts=cuts_of(row.thought for row in reading.rows if row.thought is not None),
    )


def tell_metrics(scores: Sequence[Scores]) -> tuple[Metric, ...]:
    """Every metric that some checkpoint has, with its value under each."""
    names = [name for name in _ABOUT if any(name in one.values for one in scores)]
    return tuple(
        Metric(name=name, about=_ABOUT[name], values=tuple(_mean(one.values.get(name)) for one in scores))
        for name in names
    )


def tell_differences(first: Scores, second: Scores, *, ranked: bool) -> tuple[Difference, ...]:
    """Paired differences of what both have, over the samples that have both; none of what `untold` gives a reason for."""
    found = []
    left = untold(first, second)
    for name in _shared(first, second):
        if name in left or (name in _RANKED and not ranked):
            continue
        both = _both(first, second, name)
        one, other = first.values[name][both], second.values[name][both]
        change = estimate(paired_interval(one, other, seed=SEED))
        higher, lower = int((other > one).sum()), int((other < one).sum())
        found.append(Difference(metric=name, change=change, higher=higher, lower=lower))
    return tuple(found)


def untold(first: Scores, second: Scores) -> dict[str, str]:
    """Metrics that both have but that must not be set against each other, with the reason."""
    found = {}
    for name in _shared(first, second):
        if (n := int(_both(first, second, name).sum())) < LEAST_PAIRS:
            told = "No sample has" if not n else "Only one sample has"
            found[name] = f"{told} it under both, and a difference is told over {LEAST_PAIRS} or more."
    if "token_log_probability" in _shared(first, second):
        if first.writes != second.writes:
            found["token_log_probability"] = (
                "One writes its reasoning and the other the words of the document to be found, so the tokens are of unlike texts."
            )
        elif not common_words(first.cuts, second.cuts):
            found["token_log_probability"] = (
                "They wrote no word in common, so nothing shows whether a token is the same piece of text under both."
            )
        elif not is_cut_alike(first.cuts, second.cuts):
            found["token_log_probability"] = (
                "They cut the words that both wrote into other tokens, so a token is not the same piece of text under both."
            )
    return found


def _shared(first: Scores, second: Scores) -> list[str]:
    return [name for name in _ABOUT if name in first.values and name in second.values]


def _both(first: Scores, second: Scores, name: str) -> Bool[np.ndarray, " rows"]:
    return np.isfinite(first.values[name]) & np.isfinite(second.values[name])


def estimate(interval: Interval) -> Estimate:
    """An interval as it stands in a record."""
    return Estimate(value=interval.value, low=interval.low, high=interval.high, n=interval.n)


def _ranks(cosines: Float[np.ndarray, "rows documents"], right: Sequence[Sequence[int]]) -> Int[np.ndarray, " rows"]:
    ranks = np.full(len(right), UNKNOWN, dtype=np.int64)
    # Right documents that it could embed, for queries that it could read.
    known = [[at for at in one if np.isfinite(cosines[row, at])] for row, one in enumerate(right)]
    asked = [row for row, one in enumerate(known) if one]
    if not asked:
        return ranks
    # A document without embedding is found by nobody; as NaN it would count against the right one.
    ranked = np.nan_to_num(cosines[asked], nan=-np.inf)
    for place, row in enumerate(asked):
        if len(known[row]) > 1:
            ranked[place] = best_right(ranked[place], known[row])
    ranks[asked] = rank_of(ranked, np.array([known[row][0] for row in asked]))
    return ranks


def _mean(values: Float[np.ndarray, " rows"] | None) -> Estimate | None:
    if values is None:
        return None
    return estimate(bootstrap_interval(values[np.isfinite(values)], seed=SEED))


def _score_thoughts(
    question: Question, reading: Reading, name: str, undefined: dict[str, str]
) -> dict[str, Float[np.ndarray, " rows"]]:
    reads = _reader_of(question)
    told = writes(reading)
    if told == "nothing":
        undefined |= dict.fromkeys((*reads, "token_log_probability"), f"'{name}' writes no text.")
        return {}
    if told == "target":
        why = f"'{name}' tells the words of its target, not a reasoning."
        undefined |= {metric: why for metric in reads if metric != "target_exact"}
    else:
        undefined["target_exact"] = f"'{name}' tells its reasoning, not the words of its target."
    found = {metric: np.full(len(question.rows), np.nan) for metric in (*reads, "token_log_probability")}
    for place, (row, read) in enumerate(zip(question.rows, reading.rows, strict=True)):
        if read.thought is None or row.pair is None:
            continue
        logs = read.thought.log_probabilities
        found["token_log_probability"][place] = np.mean(logs) if logs else np.nan
        for metric, right in reads.items():
            if metric not in undefined:
                found[metric][place] = right(row, read)
    return found


def _reader_of(question: Question) -> dict[str, Callable[[AskedRow, ReadRow], float]]:
    """How thoughts are read back, by metric: word by word where everything is known, by answer and target elsewhere."""
    reader, source = find_reader(question.data, split=question.split)
    if reader.name == "shapes":

        def exact(row: AskedRow, read: ReadRow) -> float:
            assert read.thought is not None
            return score_thought(read.thought.text, sample_at(source, question.split, row.number)).exact

        def answer(row: AskedRow, read: ReadRow) -> float:
            assert read.thought is not None
            return score_thought(read.thought.text, sample_at(source, question.split, row.number)).answer

        def target(row: AskedRow, read: ReadRow) -> float:
            assert read.thought is not None
            sample = sample_at(source, question.split, row.number)
            return read.thought.text.strip() == (sample.target_text or caption(sample.scene.items))

        return {"thought_exact": exact, "answer_exact": answer, "target_exact": target}
    return {"answer_exact": _answers, "target_exact": _tells_target}


def _answers(row: AskedRow, read: ReadRow) -> float:
    assert row.pair is not None
    assert read.thought is not None
    return is_right(read.thought.text, row.pair.answer) if row.pair.answer else float("nan")


def _tells_target(row: AskedRow, read: ReadRow) -> float:
    assert row.pair is not None
    assert read.thought is not None
    target = row.pair.target
    found = None if target is None else tells_target(read.thought.text, target.text)
    return float("nan") if found is None else found
