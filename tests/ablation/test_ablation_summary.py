"""A difference to the base is told by a rule that luck seldom meets, and the page says how seldom."""

import itertools
import json
import random
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from workbench.ablation.cells import BASE, CONTROL, all_cells
from workbench.ablation.running import Result, Scale
from workbench.ablation.spread import Spread, all_on_one_side, luck, side
from workbench.ablation.summary import COMPARED, HALF, comparisons, rows_of, sentences, summary_json
from workbench.cli import main
from workbench.render.ablation import BLOCK, NONE, block
from workbench.render.marked import fill, marks


def result(
    cell: str, seed: int, hit: float, thought: float | None = 0.5, swapped: float = 0.0, text: float | None = 1.0
) -> Result:
    return Result(
        cell=cell,
        seed=seed,
        hit_at_1=hit,
        thought_exact=thought,
        answer_exact=thought,
        swapped_thought_exact=None if thought is None else swapped,
        text=text,
        contrastive=1.0 - hit,
        n_test=100,
        n_candidates=200,
        seconds=10.0 + seed,
    )


NEAR, FAR = "two-pass.joint.latents-only.k4", "shared.sequential.latents-only.k4"
READS, FEW = "shared.joint.query-and-latents.k4", "shared.joint.latents-only.k8"
RESULTS = [
    *(result(BASE.name, seed, 0.4 + 0.1 * seed, 0.70 + 0.01 * seed, text=1.0 + 0.1 * seed) for seed in range(3)),
    # Better in every seed, and by less than the base's seeds differ.
    *(result(NEAR, seed, 0.65 + 0.1 * seed, 0.70, text=1.1) for seed in range(3)),
    *(result(FAR, seed, 0.01 * seed, 0.70, text=1.5) for seed in range(3)),
    # More thoughts are right, and as many of the others' are.
    *(result(READS, seed, 0.5, 0.85, 0.5, text=0.5) for seed in range(3)),
    *(result(FEW, seed, 0.99) for seed in range(2)),
    *(result(CONTROL.name, seed, 0.5, None, text=None) for seed in range(3)),
]


def of(*values: float) -> Spread:
    return Spread.of(values)


def test_a_side_is_told_where_the_gap_is_wider_than_the_bases_range() -> None:
    base = of(0.0, 1.0, 2.0)
    assert side(of(4.5, 5.0, 9.0), base) == 1
    assert side(of(-2.5, -3.0, -2.25), base) == -1
    assert side(of(2.5, 8.0, 9.0), base) == 0, "all above, and one of them near"
    assert side(of(1.0, 8.0, 9.0), base) == 0
    assert side(of(4.5, 5.0), base) is None
    assert side(of(4.5, 5.0, 6.0), of(0.0, 1.0)) is None


def test_luck_is_what_counting_and_drawing_find() -> None:
    orders = [set(places) for places in itertools.combinations(range(6), 3)]
    assert all_on_one_side(3, 3) == sum(places in ({0, 1, 2}, {3, 4, 5}) for places in orders) / len(orders) == 0.1
    draw = random.Random(1)
    n = 40_000
    told = sum(
        side(of(*(draw.gauss(0, 1) for _ in range(3))), of(*(draw.gauss(0, 1) for _ in range(3)))) != 0
        for _ in range(n)
    )
    assert luck(3, 3) == pytest.approx(told / n, abs=0.003)
    assert luck(5, 5) < luck(3, 3) < all_on_one_side(3, 3)


def test_rows_hold_the_difference_seed_by_seed() -> None:
    rows = {row.cell.name: row for row in rows_of(RESULTS, all_cells())}
    assert set(rows) == {BASE.name, NEAR, FAR, READS, FEW, CONTROL.name}
    assert (rows[BASE.name].differences, rows[BASE.name].base) == ({}, {})
    found = rows[NEAR].differences["hit_at_1"]
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert found.n == 3
    assert "thought_exact" not in rows[CONTROL.name].measures
    told = {row["cell"]: row for row in summary_json(RESULTS, all_cells())}
    assert told[FEW]["minus_base"]["hit_at_1"]["seeds"] == 2
    assert told[NEAR]["told_apart"] == dict.fromkeys(COMPARED, 0)
    assert told[FEW]["told_apart"] == dict.fromkeys(COMPARED)
    assert (told[FAR]["told_apart"]["hit_at_1"], told[FAR]["told_apart"]["text"]) == (-1, 1)


def test_seconds_are_of_the_runs_that_have_them() -> None:
    [row] = rows_of(RESULTS, (BASE,))
    assert row.seconds == 11.0
    some = [replace(one, seconds=None) if one.seed else one for one in RESULTS]
    assert [row.seconds for row in rows_of(some, (BASE, CONTROL))] == [10.0, 10.0]
    none = [replace(one, seconds=None) for one in RESULTS]
    assert rows_of(none, (BASE,))[0].seconds is None
    assert "| 3 | - |" in block(none, Scale(), "x")


def said(start: str, results: list[Result] = RESULTS) -> str:
    [line] = [line for line in sentences(results) if line.startswith(start)]
    return line


def test_sentences_say_which_way_is_better() -> None:
    hit = said("Extraction and dependency, Hit@1")
    assert "better than the base: none; worse: " in hit
    assert f"`{FAR}` (-49.0 points: 0.0% to 2.0% against 40.0% to 60.0%; {HALF}); 1 not told apart from it." in hit
    text = said("Extraction and dependency, text loss")
    assert f"better than the base: none; worse: `{FAR}` (+0.400: 1.500 to 1.500 against 1.000 to 1.200; {HALF})" in text
    assert "less training" in said("Extraction and dependency, sequential cells")
    think = said("Think tokens, Hit@1")
    assert "better than the base: none; worse: none; 0 not told apart from it; 1 with fewer than 3 seeds." in think


def test_a_text_that_reads_the_query_is_not_called_a_better_thought() -> None:
    assert f"worse: `{READS}` (-36.0 points" in said("Decoder context, thought right less control")
    assert not [line for line in sentences(RESULTS) if ", thought right:" in line]
    text = said("Decoder context, text loss")
    assert f"better than the base: `{READS}` (-0.600" in text
    assert "reads the query is easier to write" in text
    assert "easier" not in said("Extraction and dependency, text loss")


def test_hit_at_1_is_no_measure_of_thinking_where_the_control_has_it_too() -> None:
    start = "Without thinking (no-think), Hit@1 against the base: "
    assert "not told apart, +0.0 points" in said(start)
    assert "Nothing shows that finding the document needs thinking here" in said(start)
    lacks = [replace(one, hit_at_1=0.0) if one.cell == CONTROL.name else one for one in RESULTS]
    assert "lower, -50.0 points" in said(start, lacks)
    assert "needs thinking" not in said(start, lacks)
    assert said("Without thinking (no-think), contrastive loss")


def test_what_luck_would_tell_is_told() -> None:
    # Three cells with four measures each, and the control with two; the cell with two seeds is in no comparison.
    assert comparisons(RESULTS) == [luck(3, 3)] * 14
    told = said("How far to trust this")
    assert f"about {14 * luck(3, 3):.1f} of these 14 comparisons would be called so by luck" in told
    assert "10%" in told
    few = [one for one in RESULTS if one.seed < 2]
    assert sentences(few) == ["Nothing is called better or worse yet: the base has 2 seeds, and it takes 3."]


def test_the_page_holds_what_the_runs_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = block(RESULTS, Scale(), "thinkscope ablate --out runs/ablation")
    assert "| `" not in text
    assert f"| {NEAR} | 70.0% (70.0% to 70.0%) |" in text
    assert "scenes of 1 object," in text
    assert "scenes of 2 to 3 objects," in block(RESULTS, Scale(fewest=2, most=3), "x")
    n_cells = len({result.cell for result in RESULTS})
    assert f"{len(RESULTS)} finished runs of {n_cells} of {len(all_cells())} cells, up to " in text
    assert block([], Scale(), "x") == NONE
    begin, end = marks(BLOCK)
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n{begin}\nold\n{end}\nend\n", encoding="utf-8")
    (tmp_path / "runs/x/seed-0").mkdir(parents=True)
    (tmp_path / "scale.json").write_text(json.dumps(asdict(Scale())))
    (tmp_path / "runs/x/seed-0/result.json").write_text(json.dumps(asdict(RESULTS[0])))
    assert main(["ablate", "--out", str(tmp_path), "--summary", "--page", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scale"]["steps"] == Scale().steps
    assert [row["cell"] for row in told["cells"]] == [BASE.name]
    assert (told["comparisons"], told["by_luck"]) == (0, 0)
    assert f"| {BASE.name} |" in page.read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").endswith(f"{end}\nend\n")
    with pytest.raises(ValueError, match="once each"):
        fill("no marks", BLOCK, text)
