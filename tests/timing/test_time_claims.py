"""Claims are judged by the run's own figures, and what a run cannot tell is not judged."""

from dataclasses import replace
from pathlib import Path

import pytest

from workbench.render.speed import speed_json, speed_sentences, speed_svg
from workbench.timing.claims import CHEAP, FASTER, FLAT, STILL_FASTER, judge
from workbench.timing.embedding import RECORDED, EmbedTimes, Timing
from workbench.timing.machine import processor_name


def made(*timings: tuple[str, float, int, int], kind: str = "cpu", batch: int = 1) -> EmbedTimes:
    """Timings as (recipe, seconds, think, written)."""
    return EmbedTimes(
        size="bundled",
        parameters=1000,
        positions=60,
        visual=49,
        kind=kind,
        device="Some device",
        dtype="float32",
        threads=1,
        torch="2",
        rounds=3,
        timings=tuple(
            Timing(recipe=recipe, batch=batch, think=think, written=written, seconds=(seconds,) * 3)
            for recipe, seconds, think, written in timings
        ),
    )


NONE = ("no-think", 1.0, 0, 0)
WRITTEN = (("explicit-cot", 11.0, 0, 100), ("explicit-cot", 41.0, 0, 400))


def verdicts(times: EmbedTimes) -> dict[str, tuple[bool | None, str]]:
    found = judge(times)
    assert [verdict.claim for verdict in found] == [CHEAP, FLAT, FASTER]
    return {verdict.claim: (verdict.met, verdict.figure) for verdict in found}


@pytest.mark.parametrize(("seconds", "met"), [(1.04, True), (1.06, False), (0.98, True)])
def test_eight_thoughts_are_cheap_within_five_per_cent(seconds: float, met: bool) -> None:
    found = verdicts(made(NONE, ("tte-flash", seconds, 8, 0), *WRITTEN))
    assert found[CHEAP][0] is met
    assert found[CHEAP][1].startswith(f"{(seconds - 1) * 100:.3g} (")


def test_another_number_of_thoughts_judges_nothing() -> None:
    found = verdicts(made(NONE, ("tte-flash", 1.0, 4, 0), *WRITTEN))
    assert (found[CHEAP][0], found[FLAT][0], found[FASTER][0]) == (None, None, None)


def test_flat_is_judged_at_the_largest_number_and_told_against_a_written_token() -> None:
    flat = verdicts(made(NONE, ("tte-flash", 1.0, 8, 0), ("tte-flash", 1.028, 64, 0), *WRITTEN))[FLAT]
    assert flat[0] is True
    assert "K = 64 takes 2.8 (2.8 to 2.8) % longer" in flat[1]
    # 28 ms over 56 thoughts, 30 s over 300 tokens.
    assert "a further think token takes 0.5 ms per batch, a further written one 100 ms, 200 times as much" in flat[1]
    steep = verdicts(made(NONE, ("tte-flash", 1.0, 8, 0), ("tte-flash", 1.5, 64, 0), *WRITTEN))[FLAT]
    assert steep[0] is False
    level = verdicts(made(NONE, ("tte-flash", 1.0, 8, 0), ("tte-flash", 1.0, 64, 0), *WRITTEN))[FLAT]
    assert level[0] is True
    assert "a further think token takes none that shows (0 to 0 ms per batch), a further written one 100 ms" in level[1]
    assert "times as much" not in level[1]


def test_sixty_times_is_judged_on_a_gpu_alone() -> None:
    timings = (NONE, ("tte-flash", 1.0, 8, 0), ("explicit-cot", 61.0, 0, 400))
    assert verdicts(made(*timings))[FASTER] == (None, "no GPU ran; here 61 (61 to 61) times")
    assert verdicts(made(*timings, kind="cuda"))[FASTER] == (True, "61 (61 to 61) times")
    slow = (NONE, ("tte-flash", 1.1, 8, 0), ("explicit-cot", 61.0, 0, 400))
    assert verdicts(made(*slow, kind="cuda"))[FASTER][0] is False
    short = (NONE, ("tte-flash", 1.0, 8, 0), ("explicit-cot", 61.0, 0, 128))
    assert verdicts(made(*short, kind="cuda"))[FASTER] == (None, "400 written tokens and K = 8 were not both timed")


def test_sixty_times_is_judged_again_where_passes_were_recorded() -> None:
    timings = (NONE, ("tte-flash", 1.0, 8, 0), ("explicit-cot", 161.0, 0, 400), (RECORDED, 61.0, 0, 400))
    found = judge(made(*timings, kind="cuda"))
    assert [(verdict.claim, verdict.met) for verdict in found[2:]] == [(FASTER, True), (STILL_FASTER, True)]
    assert found[-1].figure == "61 (61 to 61) times"


@pytest.mark.parametrize(("larger", "met"), [(8.0, False), (3.2, False), (3.1, None)])
def test_a_pass_that_waits_for_its_host_refuses_nothing(larger: float, met: bool | None) -> None:
    """Four times the batch in less than 3.2 times the time: the host set the pace, and the recorded pass does not wait."""
    one = made(NONE, ("tte-flash", 1.0, 8, 0), (RECORDED, 41.0, 0, 400), kind="cuda", batch=2)
    other = made(NONE, ("tte-flash", larger, 8, 0), (RECORDED, 61 * larger, 0, 400), kind="cuda", batch=8)
    found = judge(replace(one, timings=(*one.timings, *other.timings)))[-2:]
    assert [verdict.met for verdict in found] == [met, True]
    assert ("waits for its host, so this is too low" in found[0].figure) == (met is None)
    [alone] = judge(one)[-1:]
    assert alone.met is None


def test_what_a_written_token_takes_is_told_of_each_way_to_write() -> None:
    recorded = ((RECORDED, 2.0, 0, 100), (RECORDED, 5.0, 0, 400))
    times = made(NONE, ("tte-flash", 1.0, 8, 0), ("tte-flash", 1.0, 16, 0), *WRITTEN, *recorded, kind="cuda")
    said = "\n".join(speed_sentences(times))
    assert "a further written token: 100 (100 to 100) ms per batch" in said
    assert "a further written token, its pass recorded: 10 (10 to 10) ms per batch" in said
    assert "explicit-cot (CUDA graph) at 400 written tokens over tte-flash at K = 8: 5 (5 to 5) times" in said
    [flat] = [verdict.figure for verdict in judge(times) if verdict.claim == FLAT]
    assert "a further written one (its pass not recorded) 100 ms" in flat
    drawn = speed_svg(times, 1)
    assert drawn.count("<circle") == 6
    assert "explicit-cot (CUDA graph), by written tokens" in drawn
    assert "CUDA graph" not in speed_svg(made(NONE, ("tte-flash", 1.0, 8, 0), *WRITTEN), 1)


def test_each_claim_is_one_sentence_and_each_batch_a_verdict() -> None:
    one = made(NONE, ("tte-flash", 1.04, 8, 0), *WRITTEN)
    two = made(NONE, ("tte-flash", 1.06, 8, 0), *WRITTEN, batch=16)
    both = replace(one, timings=one.timings + two.timings)
    said = [sentence for sentence in speed_sentences(both) if sentence.startswith("Claim: ")]
    assert len(said) == 3
    assert (
        said[0] == f"Claim: {CHEAP}: met at batch 1 (4 (4 to 4) % longer); not met at batch 16 (6 (6 to 6) % longer)."
    )
    assert "not measured at batch 1" in said[2]
    told = speed_json(both)["verdicts"]
    assert [(verdict["batch"], verdict["met"]) for verdict in told[:2]] == [(1, True), (16, False)]
    assert speed_json(both)["machine"]["kind"] == "cpu"


def test_a_processor_is_called_by_its_model(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nmodel name\t: Some CPU: fast @ 3 GHz\n\nmodel name\t: Other\n")
    assert processor_name(told) == "Some CPU: fast @ 3 GHz"
    told.write_text("processor\t: 0\nCPU part\t: 0xd0c\n")
    assert processor_name(told)
    assert "\t" not in processor_name(told)
