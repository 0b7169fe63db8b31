"""What the page says in words must follow from the numbers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench.assets import CheckpointCard, Metric
from workbench.samples import make_sample
from workbench.types import Check, Measure, ProbeResult, Provenance
from workbench.ui.desk import Desk
from workbench.ui.payload import to_json
from workbench.ui.sentences import control, metric_rows, unwritten, warnings

PROVENANCE = Provenance(checkpoint="x", weights_sha256="0" * 64, family="x", format="x", dtype="float32", device="cpu")


def result(by_word: list[float] | None, *, clear: bool = False) -> ProbeResult:
    measures: tuple[Measure, ...] = ()
    checks = (Check(name="swapped thought", value=1, tolerance=1, passed=clear),)
    if by_word is not None:
        words = np.array(by_word, dtype=np.float32)
        measures = (
            Measure(name="image_dependence", values=words, dims=("word",), units="nats"),
            Measure(name="total_image_dependence", values=np.array(words.sum()), dims=(), units="nats"),
        )
    return ProbeResult(
        probe="decode", version=1, sample_id="s", parameters={}, measures=measures, checks=checks, provenance=PROVENANCE
    )


@pytest.mark.parametrize(
    ("by_word", "level", "parts"),
    [
        ([np.log(100.0), 0.0], "clear", ["becomes about 100 times less likely", "1 of its 2 words depends on this"]),
        ([20.0, 26.05], "clear", ["about 10²⁰ times", "All of its words depend"]),
        ([9.3, 0.1], "clear", ["about 10,000 times"]),
        ([0.5, 0.2], "weak", ["2.0 times less likely, which is not clear", "Take it as a guess"]),
        ([-1.0, 0.5], "weak", ["as likely or likelier", "Take it as a guess"]),
        ([30.0, 0.1], "weak", ["not clear", "Take it as a guess"]),
        (None, "weak", ["not tested"]),
    ],
)
def test_the_control_says_how_far_the_text_depends_on_the_image(
    by_word: list[float] | None, level: str, parts: list[str]
) -> None:
    said = control(result(by_word, clear=level == "clear"))
    assert said is not None
    assert said["level"] == level
    for part in parts:
        assert part in said["text"]


def test_of_a_text_that_is_written_first_image_and_question_were_swapped() -> None:
    clear = control(result([20.0, 0.0], clear=True), writes_first=True)
    weak = control(result([0.5, 0.2]), writes_first=True)
    assert clear is not None and weak is not None
    for said in (clear["text"], weak["text"]):
        assert "other images and questions" in said
        assert "thought" not in said
    assert (
        "1 of its 2 words depends on this image and question; the others are about as likely without them"
        in clear["text"]
    )


def test_failed_checks_are_said_plainly_and_passed_ones_not_at_all(desk: Desk) -> None:
    checks = (
        Check(name="finished", value=0, tolerance=1, passed=False, about="cut at 96 tokens; raise max_tokens"),
        Check(name="swapped thought", value=0, tolerance=0, passed=False, about="said by the control"),
        Check(name="strange", value=3, tolerance=1, passed=False, about="three is more than one"),
        Check(name="fine", value=0, tolerance=1, passed=True, about="never seen"),
    )
    seen = desk.session.inspect(make_sample([], "red"), checkpoint=desk.path_of("planted-checkpoint"))
    seen = replace(seen, results={"decode": replace(result(None), checks=checks)})
    said = warnings(replace(seen, skipped={"lens": "no vocabulary"}, notes=("turned",)))
    assert said == [
        "The text was cut off before its end; raise 'max tokens' under 'Settings of the measurements'.",
        "A check failed (strange): three is more than one.",
        "Not measured (reading the think tokens as words): no vocabulary",
        "turned",
    ]


def test_an_empty_text_is_not_told_as_a_missing_control() -> None:
    empty = Measure(name="word_probability", values=np.zeros(0, np.float32), dims=("word",), units="probability")
    said = control(replace(result(None), measures=(empty,)))
    assert said is not None
    assert said["text"] == "Control: not tested, because there is no text to test."


def test_why_there_is_no_text_follows_from_the_model(desk: Desk) -> None:
    seen = desk.session.inspect(make_sample([], "red"), checkpoint=desk.path_of("planted-checkpoint"))
    bare = replace(seen.info, contexts=())
    assert "what is said above tells why" in unwritten(seen)
    assert "no generation head" in unwritten(replace(seen, info=bare))
    assert "does not think" in unwritten(replace(seen, info=replace(bare, n_think=0)))


def test_a_text_whose_measurement_did_not_run_is_shown_all_the_same(desk: Desk) -> None:
    seen = desk.session.inspect(make_sample([], "red"), checkpoint=desk.path_of("planted-checkpoint"))
    left = replace(seen, results={}, skipped={"decode": "This model has not the context 'query_and_latents'."})
    assert left.thought is not None
    view = json.loads(to_json(left, "key", candidates_from="", attribution={}))
    assert "".join(word["text"] for word in view["thought"]["words"]).replace(" ", "") == left.thought.text.replace(
        " ", ""
    )
    assert all(0 < word["p"] <= 1 for word in view["thought"]["words"])
    assert view["thought"]["control"] is None
    assert any("query_and_latents" in warning for warning in view["warnings"])


def test_measured_quality_is_shown_with_its_interval(tmp_path: Path) -> None:
    metrics = {
        "something_new": Metric(value=0.5, low=0.4, high=0.6, n=10),
        "thought_exact": Metric(value=0.9123, low=0.89, high=0.93, n=1000),
    }
    card = CheckpointCard(name="x", path=tmp_path, title="x", description="", knows="", metrics=metrics)
    first, second = metric_rows(card)
    assert first["name"].startswith("thoughts with every object")
    assert (first["value"], first["interval"]) == ("91.2%", "89.0% – 93.0% of 1,000")
    assert second["name"] == "something new"
