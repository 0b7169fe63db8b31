"""Candidates in the order of an embedding, and what becomes of it when thoughts are hidden."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from angles import Fake, vector_of

from workbench.ranking import Ranker
from workbench.runner import Candidate, make_sample
from workbench.types import Sample


@pytest.fixture
def fake() -> Fake:
    return Fake()


def test_hidden_thoughts_are_ranked_at_no_further_pass(fake: Fake) -> None:
    candidates = [
        Candidate(id=name, text=f"angle {angle}") for name, angle in (("same", 30), ("near", 40), ("far", 90))
    ]
    [trace] = fake.trace([fake.prepare(make_sample([], "angle 30"))])
    knockout = np.stack([vector_of("angle 30"), vector_of("angle 80"), vector_of("angle 38")])
    trace = replace(trace, knockout=knockout, stepwise=np.repeat(vector_of("angle 90")[None], 4, axis=0))
    ranker = Ranker()
    ranking, _ = ranker.rank(fake, trace.embedding, candidates)
    before = list(fake.embedded), list(fake.traced)
    found = ranker.hide(fake, trace, ranking)
    assert (fake.embedded, fake.traced) == before
    assert [(one.thought, one.first, one.rank_of_first) for one in found] == [
        (1, "same", 1),
        (2, "far", 3),
        (3, "near", 2),
        (None, "far", 3),
    ]
    assert found[0].margin == pytest.approx(1 - np.cos(np.radians(10)), abs=1e-6)
    assert found[1].margin == pytest.approx(np.cos(np.radians(50)) - np.cos(np.radians(10)), abs=1e-6)
    assert found[1].change == pytest.approx(1 - np.cos(np.radians(50)), abs=1e-6)
    assert ranker.hide(fake, trace, ()) == ()


def test_a_copy_of_the_first_candidate_takes_no_place_from_it_when_thoughts_are_hidden(fake: Fake) -> None:
    twice = [Candidate(id=name, text=f"angle {angle}") for name, angle in (("same", 30), ("copy", 30), ("far", 90))]
    [trace] = fake.trace([fake.prepare(make_sample([], "angle 30"))])
    knockout = np.stack([vector_of("angle 40"), vector_of("angle 80"), vector_of("angle 30")])
    trace = replace(trace, knockout=knockout, stepwise=np.repeat(vector_of("angle 31")[None], 4, axis=0))
    ranker = Ranker()
    ranking, _ = ranker.rank(fake, trace.embedding, twice)
    found = ranker.hide(fake, trace, ranking)
    assert [(one.first, one.rank_of_first) for one in found] == [("same", 1), ("far", 2), ("same", 1), ("same", 1)]
    # Where there is nothing else, nothing can come before it, and nothing is said.
    for alone in (twice[:1], twice[:2]):
        ranking, _ = ranker.rank(fake, trace.embedding, alone)
        assert ranker.hide(fake, trace, ranking) == ()


def test_candidates_are_prepared_a_few_at_a_time(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = 0

    def count(sample: Sample) -> Any:
        nonlocal prepared
        prepared += 1
        return prepare(sample)

    prepare, embed = fake.prepare, fake.embed
    held: list[int] = []
    monkeypatch.setattr(fake, "prepare", count)
    monkeypatch.setattr(fake, "length", lambda sample: len(sample.text))
    monkeypatch.setattr(fake, "embed", lambda batch: (held.append(prepared), embed(batch))[1])
    many = [Candidate(id=str(number), text=f"angle {number}") for number in range(40)]
    ranking, _ = Ranker().rank(fake, vector_of("angle 3"), many)
    assert ranking[0].candidate.id == "3"
    assert held == [16, 32, 40]
