"""The record of an audit: figures, each with its interval, and the verdict that a fixed rule makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from workbench.comparison import Estimate, Source
from workbench.store import to_json
from workbench.types import Provenance

SCHEMA = "thinkscope.audit"
VERSION = 1

Kind = Literal[
    "used",
    "decorative",
    "one_token",
    "task_dependent",
    "image_blind",
    "collapsed",
    "decoder_guesses",
    "partly",
    "inconclusive",
]
Strength = Literal["strong", "moderate", "weak"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the rule of `workbench.auditing.verdict` says."""

    kind: Kind
    sentence: str
    strength: Strength
    """How far the deciding figures, with their intervals, lie from the thresholds."""
    evidence: tuple[str, ...]
    """Plain sentences with the figures that decided, first of all."""
    also: tuple[Kind, ...] = ()
    """Further kinds whose condition holds too, but which stand behind in the rule's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditFigures:
    """What one edit does to the samples, on average."""

    name: str
    kind: str
    thought: int | None
    """From 1; None where it is of all thoughts, or of none by itself."""
    layer: int | None
    about: str
    measures: Mapping[str, Estimate]
    """By name; `MEASURES` says what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFigures:
    """The effect on the samples of one task. Shares lost are as in `Audit.shares`."""

    task: str
    n: int
    hit_at_1: Estimate
    shares: Mapping[str, Estimate]
    curve: tuple[Estimate, ...]
    """Hit@1 with the first 0 ... K thoughts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An adaptive budget: think on until the next thought hardly moves the embedding."""

    tolerance: float
    """Hit@1 that it may lose on the rows on which its threshold is chosen; none of them is measured."""
    thresholds: tuple[float, ...]
    """Cosine of one truncated embedding with the next from which on it stops; two where each half is chosen on the other."""
    hit_at_1: Estimate
    hit_change: Estimate
    """Paired, against all thoughts."""
    thoughts: Estimate
    """Thoughts that it takes of the K."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPoint:
    """Hit@1 of the adaptive budget at one threshold: a point of its curve against thoughts taken."""

    quantile: float
    """The threshold: this quantile of the cosines on the rows that thresholds are chosen on; at 1 it never stops."""
    hit_at_1: Estimate
    thoughts: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many thoughts are needed."""

    hit_at_1: tuple[Estimate, ...]
    """With the first 0 ... K thoughts."""
    enough: int | None
    """The fewest thoughts whose Hit@1 is, with its paired interval, within 0.01 below that of all; None: not even K - 1."""
    fitted_on: str
    """Split on which the policies' thresholds are chosen; empty: on one half of the audited samples, measured on the other,
    both ways."""
    n_fitted: int
    """Ranked rows of it."""
    policies: tuple[Policy, ...]
    points: tuple[PolicyPoint, ...]
    """From the lowest threshold to the highest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How thoughts lie, after each layer."""

    layer: int
    """From 1."""
    spread: Estimate | None
    """Variance over samples as a share of the mean squared length: 0 where all samples think the same."""
    cosine_samples: Estimate | None
    """Cosine of two samples' thoughts at the same position; None of fewer than two samples."""
    cosine_positions: Estimate | None
    """Cosine of two thoughts of the same sample; None where K is 1."""
    effective_rank: Estimate
    """Of the centred thoughts (`stats.effective_rank`), mean over positions; at most the width, and the samples less one. The
    interval is by linearisation, and blind to the growth with the samples."""
    by_query: Estimate | None
    """Share of the variance that text of the query, image, position, and query and image together explain; they sum to 1.
    None where no two samples could be crossed."""
    by_image: Estimate | None
    by_position: Estimate | None
    by_both: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTested:
    """What the issue of an audit asks but this one could not answer."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """The checkpoint."""

    name: str
    title: str
    n_think: int
    n_layers: int
    contexts: tuple[str, ...]
    tells: str
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Everything that one audit found."""

    verdict: Verdict
    checkpoint: Audited
    source: Source
    seed: int
    measures: Mapping[str, Estimate]
    """Figures that are of no single edit, by name; `MEASURES` says what they are."""
    shares: Mapping[str, Estimate]
    """By edit of all thoughts: share of the Hit@1 above chance that is lost."""
    edits: tuple[EditFigures, ...]
    tasks: tuple[TaskFigures, ...]
    budget: Budget | None
    geometry: tuple[Geometry, ...]
    not_tested: tuple[NotTested, ...]
    notes: tuple[str, ...]
    command: str
    """Makes it again."""
    seconds: float
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Those of the verdict rule."""
    is_whole: bool = field(default=True, compare=False)
    """Whether no file was missing that may be there another time; not written into the JSON."""

    def edit(self, name: str) -> EditFigures | None:
        """The figures of an edit; None where it was not made."""
        return next((one for one in self.edits if one.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """The audit as JSON values; figures are `{value, low, high, n}`."""
        held = to_json(self)
        verdict = held.pop("verdict")
        evidence = {"strength": verdict["strength"], "sentences": verdict["evidence"], "shares_lost": held["shares"]}
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "verdict": verdict,
            "evidence": evidence,
            "about": dict(about_measures(self.checkpoint.tells)),
            **held,
        }


MEASURES: Mapping[str, str] = {
    "hit_at_1": "Share of the samples whose right candidate ranks first.",
    "hit_change": "Change of Hit@1 by the edit, paired; below 0 is worse.",
    "ndcg_change": "Change of nDCG@10 by the edit, paired; below 0 is worse.",
    "rank": "Mean rank of the right candidate, 1 is the best.",
    "rank_change": "Change of that rank by the edit, paired; above 0 is worse.",
    "rank_moved": "Share of the samples whose right candidate changes its rank.",
    "margin_change": "Change of the right candidate's cosine less that of the best wrong one.",
    "embedding_change": "1 - cosine of the embedding with the unedited one. Never read it without the ranks.",
    "log_probability_change": "Change of the mean log-probability (nats per token) of the sample's own decoded thought.",
    "toward": "Cosine with the embedding of the sample that the thoughts come from, less that before the edit.",
    "follows": "Share of the samples whose decoder finds the other sample's text likelier per token than the own.",
    "text_kept": "Share of the samples that write the own decoded thought under the edit too, word for word.",
    "words_changed": "Share of the words that differ between the own decoded thought and the one written under the edit.",
    "fluency": "Mean log-probability (nats per token) of the text written under the edit, in the decoder's own eyes.",
    "ndcg_at_10": "nDCG@10, unedited: 1 / log2(1 + rank) of the right candidate, 0 beyond rank 10.",
    "chance_hit_at_1": "Hit@1 of a random order of the candidates.",
    "own_log_probability": "Mean log-probability (nats per token) of the own decoded thought: what the fluency of others is set against.",
    "thought_dependence": "Log-probability (nats per token) of the own text under the own thoughts, less that under another sample's.",
    "image_dependence": "The same, less that under the thoughts of the same query about another image.",
    "text_specificity": "Log-probability (nats per token) of the own text, less that of another sample's text, under the own thoughts.",
    "bm25_query": "Share of the samples whose right text BM25 ranks first when it is given the query.",
    "bm25_thought": "The same, given the decoded thought.",
    "bm25_both": "The same, given both.",
    "bm25_gain": "Hit@1 of BM25 with query and thought less that with the query alone, paired.",
    "text_query": "Share of the samples whose right text the model itself ranks first when it is given the query's text without image.",
    "text_thought": "The same, given the decoded thought as text without image.",
    "text_gain": "Hit@1 of the model given the thought as text less that given the query's text, paired.",
    "round_trip_hit_at_1": "Hit@1 when the decoded text stands behind the query's words and no thought is seen: reasoning as words "
    "in the place of latents. The model was not trained to take it so.",
    "round_trip_agrees": "Share of the samples whose first candidate is then the one that it was with the thoughts.",
    "round_trip_change": "Its Hit@1 less that with the thoughts, paired.",
    "round_trip_gain": "Its Hit@1 less that with all thoughts hidden and no text, paired: what the words bring.",
    "round_trip_other_agrees": "Control: share of the samples whose first candidate stays with another sample's text instead.",
    "round_trip_other_change": "Control: Hit@1 with another sample's text less that with the thoughts, paired.",
}
TELLS_TARGET = (
    "The decoded text of this checkpoint is the words of the target that it looks for, and no reasoning. Whoever searches with "
    "this text searches with the model's answer, so high figures of BM25, of the text alone and of the round trip say that the target "
    "was told right, and nothing about a reasoning."
)
"""The note on a checkpoint whose text tells the target."""
_OF_THE_TARGET: Mapping[str, str] = {
    "bm25_thought": "The same, given the words that the model tells of the target: high where they are told right, which is no sign "
    "of a reasoning.",
    "bm25_both": "The same, given query and told words.",
    "bm25_gain": "Hit@1 of BM25 with query and told words less that with the query alone, paired.",
    "text_thought": "The same, given the words that the model tells of the target, without image.",
    "text_gain": "Hit@1 of the model given the told words less that given the query's text, paired.",
    "round_trip_hit_at_1": "Hit@1 when the words that the model tells of the target stand behind the query's words and no thought is "
    "seen: its answer as words in the place of latents. The model was not trained to take it so.",
}


def about_measures(tells: str) -> Mapping[str, str]:
    """What the measures are, for a checkpoint whose decoded thoughts tell its reasoning, or the target."""
    return {**MEASURES, **_OF_THE_TARGET} if tells == "target" else MEASURES
