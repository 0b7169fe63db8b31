"""The verdict rule: a pure function of figures, so every kind, its borders and its order are tried by hand."""

from dataclasses import replace
from typing import Any

import pytest

from workbench.audit import TaskFigures
from workbench.auditing.verdict import Findings, Thresholds, carriers, judge, thresholds_json
from workbench.comparison import Estimate

K = 4


def about(value: float, error: float = 0.04, n: int = 100) -> Estimate:
    return Estimate(value=value, low=value - error, high=value + error, n=n)


def found(**changes: Any) -> Findings:
    """Findings of a model that uses all of its thoughts for all that it does."""
    shares = {
        "mean.all": about(0.9),
        "swap-random.all": about(0.95),
        "hide.all": about(0.85),
        "swap-image.all": about(0.5),
    }
    shares |= {f"mean.{k}": about(0.3) for k in range(1, K + 1)} | {
        f"keep-only.{k}": about(0.7) for k in range(1, K + 1)
    }
    base = Findings(
        hit_at_1=about(0.9),
        chance=0.02,
        shares=shares | changes.pop("shares", {}),
        hits={"swap-random.all": about(0.05), "hide.all": about(0.15)},
        n_think=K,
        spreads=[0.1, 0.3],
        image_shares=[0.4, 0.5],
        query_shares=[0.6, 0.5],
        thought_dependence=about(1.5),
        image_dependence=about(1.0),
        text_specificity=about(2.0),
        writes=True,
    )
    return replace(base, **changes)


NOTHING = {name: about(0.0, 0.01) for name in ("mean.all", "swap-random.all", "hide.all", "swap-image.all")} | {
    f"{kind}.{k}": about(0.0, 0.01) for kind in ("mean", "keep-only") for k in range(1, K + 1)
}


def single(k: int) -> dict[str, Estimate]:
    return {f"mean.{j}": about(0.9 if j == k else 0.0) for j in range(1, K + 1)} | {
        f"keep-only.{j}": about(0.0 if j == k else 0.9) for j in range(1, K + 1)
    }


def task(name: str, share: float, n: int = 50) -> TaskFigures:
    shares = {name: about(share) for name in ("mean.all", "swap-random.all", "hide.all")}
    return TaskFigures(task=name, n=n, hit_at_1=about(0.9), shares=shares, curve=())


@pytest.mark.parametrize(
    ("kind", "findings"),
    [
        ("used", found()),
        ("decorative", found(shares=NOTHING)),
        ("one_token", found(shares=single(3))),
        ("task_dependent", found(tasks=(task("where", 0.9), task("what", 0.0)))),
        (
            "image_blind",
            found(
                image_shares=[0.0, 0.001],
                query_shares=[1.0, 0.999],
                image_dependence=about(0.0, 0.01),
                shares={"swap-image.all": about(0.0)},
            ),
        ),
        ("collapsed", found(spreads=[1e-9, 1e-8], thought_dependence=about(0.0, 0.0), shares=NOTHING)),
        ("decoder_guesses", found(thought_dependence=about(0.0, 0.01))),
        ("partly", found(shares={"mean.all": about(0.3), "swap-random.all": about(0.35)})),
        ("inconclusive", found(hit_at_1=None)),
        ("inconclusive", found(hit_at_1=about(0.9, n=19))),
        ("inconclusive", found(hit_at_1=about(0.11))),
    ],
)
def test_each_kind_is_named(kind: str, findings: Findings) -> None:
    verdict = judge(findings)
    assert verdict.kind == kind
    assert verdict.sentence.endswith(".")
    assert verdict.strength in ("strong", "moderate", "weak")
    assert kind not in verdict.also


def test_the_sentence_tells_who_carries_and_by_how_much_hit_at_1_drops() -> None:
    shares = {f"mean.{k}": about(0.4 if k in (2, 3) else 0.0) for k in range(1, K + 1)}
    findings = found(shares=shares)
    assert carriers(findings) == [2, 3]
    assert judge(findings).sentence == (
        "The embedding needs the thoughts: Hit@1 is 0.90 with the own thoughts, 0.05 [0.01, 0.09] with another sample's "
        "thoughts and 0.15 [0.11, 0.19] with all of them hidden; thoughts 2 and 3 cost something by themselves. The decoded "
        "text depends on the image through the thoughts."
    )
    assert "Thought 3 alone carries the answer" in judge(found(shares=single(3))).sentence


def test_borders() -> None:
    at = Thresholds()
    whole = {"mean.all": about(0.0, 0.0)}
    assert judge(found(shares=whole | {"swap-random.all": about(at.used, at.used - at.some)})).kind == "used"
    assert judge(found(shares=whole | {"swap-random.all": about(at.used, at.used - at.some + 0.01)})).kind == "partly"
    assert judge(found(shares=whole | {"swap-random.all": about(at.nothing - 0.02, 0.02)})).kind == "decorative"
    assert judge(found(shares=whole | {"swap-random.all": about(at.nothing - 0.02, 0.03)})).kind == "partly"
    assert judge(found(hit_at_1=about(0.9, n=int(at.least_samples)))).kind == "used"


def test_thoughts_that_only_mislead_are_not_needed() -> None:
    verdict = judge(found(shares={"hide.all": about(0.02)}))
    assert verdict.kind == "partly"
    assert "wrong thoughts mislead it more than it misses its own" in verdict.sentence


def test_redundant_thoughts_are_not_one_token() -> None:
    """Each of them enough by itself, and none of them missed."""
    shares = {f"{kind}.{k}": about(0.0) for kind in ("mean", "keep-only") for k in range(1, K + 1)}
    assert judge(found(shares=shares)).kind == "used"


def test_a_task_with_few_samples_decides_nothing() -> None:
    assert judge(found(tasks=(task("where", 0.9), task("what", 0.0, n=19)))).kind == "used"


def test_a_decoder_that_says_the_same_of_everything_does_not_guess() -> None:
    """It says nothing that the query could have told it."""
    assert judge(found(thought_dependence=about(0.0, 0.01), text_specificity=about(0.0))).kind == "used"


def test_what_holds_besides_is_told() -> None:
    verdict = judge(found(thought_dependence=about(0.0, 0.01)))
    assert (verdict.kind, verdict.also) == ("decoder_guesses", ("used",))


def test_all_thresholds_are_told() -> None:
    assert thresholds_json()["used"] == Thresholds().used
    assert all(isinstance(value, int | float) for value in thresholds_json().values())
