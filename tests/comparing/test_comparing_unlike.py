"""What may not be set against each other is refused with its reason: unlike texts, other tokens, too few of anything."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from comparisons import QUERIES, WordModel, compare, write_data

from workbench.comparing.making import Compared
from workbench.comparing.opening import open_sample
from workbench.comparing.question import AskedRow, pose
from workbench.comparing.reading import ReadRow
from workbench.comparing.report import choose_samples, comparison_html
from workbench.comparing.scores import _tells_target
from workbench.comparing.spelling import common_words, cuts_of, is_cut_alike
from workbench.comparison import PairComparison
from workbench.data.records import Pair
from workbench.types import DecodedThought, Sample, Trace

SURE = "token_log_probability"


class TargetModel(WordModel):
    """Trained to tell the words of its target."""

    def __init__(self, name: str, **more: Any) -> None:
        super().__init__(name, **more)
        self.info = replace(self.info, tells="target")


class OtherNumbers(WordModel):
    """Its vocabulary holds the same pieces of text at other places."""

    def decode(self, traces: Sequence[Trace], **how: Any) -> list[DecodedThought]:
        return [
            replace(one, token_ids=tuple(number + 100 for number in one.token_ids))
            for one in super().decode(traces, **how)
        ]


class OtherPieces(WordModel):
    """Writes every word as two pieces."""

    def decode(self, traces: Sequence[Trace], **how: Any) -> list[DecodedThought]:
        return [
            replace(
                one,
                tokens=tuple(piece for token in one.tokens for piece in (token[:2], token[2:])),
                token_ids=tuple(100 + place for place in range(2 * len(one.tokens))),
                log_probabilities=tuple(log / 2 for log in one.log_probabilities for _ in range(2)),
            )
            for one in super().decode(traces, **how)
        ]


class OtherWords(WordModel):
    """Writes in capitals, so none of its words is another's."""

    def decode(self, traces: Sequence[Trace], **how: Any) -> list[DecodedThought]:
        return [
            replace(one, text=one.text.upper(), tokens=tuple(token.upper() for token in one.tokens))
            for one in super().decode(traces, **how)
        ]


def pair_of(compared: Compared) -> PairComparison:
    [pair] = compared.comparison.pairs
    return pair


def refused(pair: PairComparison) -> dict[str, str]:
    return {one.what: one.why for one in pair.refused}


def compared_metrics(pair: PairComparison) -> set[str]:
    return {one.metric for one in pair.differences}


def test_words_of_unlike_texts_are_not_compared(tmp_path: Path) -> None:
    compared = compare(tmp_path, WordModel("thinker"), TargetModel("teller", swaps={"red": "blue"}))
    pair = pair_of(compared)
    assert refused(pair)["decoded thoughts"].startswith(
        "'thinker' writes its reasoning and 'teller' writes the words of the document to be found"
    )
    assert {change.words for change in pair.changes} == {None}
    assert open_sample(compared, 0).diff == ()
    text = comparison_html(compared)
    assert "<h4>What they wrote</h4>" in text
    assert "<del>" not in text
    assert "<ins>" not in text
    assert "Thought changed" not in text
    assert "words changed" not in text
    assert "<b>Decoded thoughts word by word</b>: &#x27;thinker&#x27; writes" in text
    # Both texts stand there all the same, and each says what it is.
    assert 'thinker <small>writes its reasoning</small></p><p class="cp-text"> red square left</p>' in text
    assert 'teller <small>writes the words of the document to be found</small></p><p class="cp-text"> blue' in text
    # Samples are chosen by their ranks alone.
    assert choose_samples(pair) == [place for place, query in enumerate(QUERIES) if "red" in query]


def test_how_sure_a_token_is_of_unlike_texts_is_not_compared(tmp_path: Path) -> None:
    pair = pair_of(compare(tmp_path, WordModel("thinker"), TargetModel("teller")))
    assert "the tokens are of unlike texts" in refused(pair)[SURE]
    assert SURE not in compared_metrics(pair)
    assert {one.metric for one in pair.differences} >= {"hit_at_1", "mrr"}


def test_nor_is_it_of_other_tokens(tmp_path: Path) -> None:
    compared = compare(tmp_path, WordModel("one"), OtherPieces("other", swaps={"red": "blue"}))
    pair = pair_of(compared)
    assert refused(pair)[SURE].startswith("They cut the words that both wrote into other tokens, so")
    assert SURE not in compared_metrics(pair)
    # Each has its own value, and their words are compared.
    [metric] = [one for one in compared.comparison.metrics if one.name == SURE]
    assert None not in metric.values
    assert {change.words is None for change in pair.changes} == {False}


def test_nor_is_it_where_no_word_shows_how_texts_are_cut(tmp_path: Path) -> None:
    pair = pair_of(compare(tmp_path, WordModel("one"), OtherWords("other")))
    assert refused(pair)[SURE].startswith("They wrote no word in common, so")
    assert SURE not in compared_metrics(pair)


def test_it_is_compared_where_the_same_pieces_have_other_numbers(tmp_path: Path) -> None:
    pair = pair_of(compare(tmp_path, WordModel("one"), OtherNumbers("other", swaps={"red": "blue"})))
    assert SURE in compared_metrics(pair)
    assert SURE not in refused(pair)


def test_it_is_compared_where_texts_and_tokens_are_alike(tmp_path: Path) -> None:
    one, other = TargetModel("one"), TargetModel("other", swaps={"red": "blue"})
    pair = pair_of(compare(tmp_path, one, other))
    assert SURE in compared_metrics(pair)
    assert not {SURE, "decoded thoughts"} & refused(pair).keys()


def wrote(*pieces: str, ids: Sequence[int]) -> DecodedThought:
    return DecodedThought(
        text="".join(pieces),
        tokens=pieces,
        token_ids=tuple(ids),
        log_probabilities=(0.0,) * len(pieces),
        context="latents_only",
        finish="end",
    )


def test_words_are_cut_alike_by_the_tokens_that_they_are_made_of() -> None:
    one = cuts_of([wrote(" red", " cir", "cle", ids=(7, 1, 2)), wrote(" red", " star", ids=(7, 5))])
    assert one == {
        " red": frozenset({(" red",)}),
        " circle": frozenset({(" cir", "cle")}),
        " star": frozenset({(" star",)}),
    }
    assert common_words(one, cuts_of([wrote(" red", " green", ids=(7, 9))])) == {" red"}
    # Numbers are of each one's own vocabulary and say nothing.
    assert is_cut_alike(one, cuts_of([wrote(" red", " cir", "cle", ids=(1, 7, 5))]))
    # Strange words say nothing, only those that both wrote do.
    assert is_cut_alike(one, cuts_of([wrote(" red", " green", ids=(7, 9))]))
    # The same word of other pieces.
    assert not is_cut_alike(one, cuts_of([wrote(" red", " circle", ids=(7, 8))]))
    assert not is_cut_alike(one, cuts_of([wrote(" ", "red", ids=(3, 4))]))
    assert not is_cut_alike(one, cuts_of([wrote(" green", ids=(9,))]))
    assert not is_cut_alike(one, cuts_of([]))
    # A word that was spelled out once is made of the usual tokens at other times.
    assert is_cut_alike(one, cuts_of([wrote(" ", "red", ids=(3, 4)), wrote(" red", ids=(7,))]))


@pytest.mark.parametrize("known", [0, 1, 2])
def test_a_ranking_of_fewer_than_two_candidates_is_refused(tmp_path: Path, known: int) -> None:
    queries = ["red left of the right", "blue left of the right", "blue of the red"]
    question = pose(str(write_data(tmp_path / "data", queries)))
    documents = [one.text for one in question.documents]
    assert len(documents) == 3
    models = (WordModel(name, refuses=documents[known:]) for name in ("one", "other"))
    pair = pair_of(compare(tmp_path, *models, question=question))
    assert len(pair.changes) == 3
    if known == 2:
        assert "rankings" not in refused(pair)
        assert pair.agreements
        return
    assert refused(pair)["rankings"] == f"Both could embed {known} of 3 candidates, and a ranking is of 2 or more."
    assert pair.agreements == ()
    assert not compared_metrics(pair) & {"hit_at_1", "mrr"}


def test_a_metric_of_one_sample_has_no_difference(tmp_path: Path) -> None:
    path = write_data(tmp_path / "data")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows[1:]:
        del row["answer"]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    pair = pair_of(compare(tmp_path, WordModel("one"), WordModel("other"), question=pose(str(path))))
    assert "answer_exact" not in compared_metrics(pair)
    assert refused(pair)["answer_exact"].startswith("Only one sample has it under both")
    assert {one.metric: one.change.n for one in pair.differences}["hit_at_1"] == len(QUERIES)


@pytest.mark.parametrize(
    ("said", "told"), [("a red ring", 1.0), ("A red  ring.", 1.0), ("a red", 0.0), ("a red ring left", 0.0)]
)
def test_a_thought_tells_a_document_whatever_the_case_and_the_stop(said: str, told: float) -> None:
    target = Sample(id="d", role="document", text="A red ring.", images=())
    row = AskedRow(number=1, id="a", pair=Pair(query=replace(target, role="query"), target=target))
    assert _tells_target(row, ReadRow(thought=wrote(said, ids=[1]))) == told
