"""Quality by a column of the data: what was planted in one group stays in it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparisons import QUERIES, WordModel, compare, write_data

from workbench.comparing.groups import MAX_GROUPS, group_rows
from workbench.comparing.making import Compared
from workbench.comparing.question import pose
from workbench.comparing.report import comparison_html
from workbench.comparison import Estimate
from workbench.errors import BadInput
from workbench.render.comparison_parts import FEW, groups_html, quality_html


def write_grouped(folder: Path, **columns: list[Any]) -> Path:
    path = write_data(folder)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            if value is not None:
                row[name] = value
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def run(folder: Path, by: str | None = None, **columns: list[Any]) -> Compared:
    question = pose(str(write_grouped(folder / "data", **columns)))
    models = WordModel("good"), WordModel("blind", swaps={"red": "blue"})
    return compare(folder, *models, question=question, by=by)


COLOURS = ["about red" if "red" in query else "about blue" for query in QUERIES]


def test_each_group_has_its_own_difference(tmp_path: Path) -> None:
    compared = run(tmp_path, task=COLOURS)
    assert compared.comparison.grouped_by == "task"
    [pair] = compared.comparison.pairs
    blue, red = pair.groups
    assert [(group.name, group.n) for group in (blue, red)] == [("about blue", 3), ("about red", 3)]
    changes = {group.name: {one.metric: one for one in group.differences} for group in pair.groups}
    assert changes["about blue"]["hit_at_1"].change.value == 0
    hit = changes["about red"]["hit_at_1"]
    assert (hit.change.value, hit.change.low, hit.change.high, hit.change.n) == (-1, -1, -1, 3)
    assert (hit.higher, hit.lower) == (0, 3)
    [values] = [one.values for one in red.metrics if one.name == "hit_at_1"]
    assert [None if one is None else one.value for one in values] == [1, 0]
    # The whole is what its groups make together.
    [whole] = [one for one in pair.differences if one.metric == "hit_at_1"]
    assert whole.change.value == pytest.approx(np.mean([-1, 0]))
    text = comparison_html(compared)
    assert "<h3>Quality by task</h3>" in text
    assert text.count("<td>about red</td>") == sum(
        one.metric in ("hit_at_1", "answer_exact") for one in pair.differences
    )


def test_another_column_may_be_named(tmp_path: Path) -> None:
    [pair] = run(tmp_path, "place", place=[*"abcab", None], task=COLOURS).comparison.pairs
    assert [(group.name, group.n) for group in pair.groups] == [("a", 2), ("b", 2), ("c", 1)]
    assert pair.groups[2].differences == ()  # one sample has no spread
    assert [one.name for one in pair.groups[2].metrics] == [one.name for one in pair.groups[0].metrics]


def test_a_difference_is_of_the_samples_that_both_have(tmp_path: Path) -> None:
    question = pose(str(write_grouped(tmp_path / "data", task=[*"aabbbb"])))
    # Of the two rows of its first group the other cannot read one.
    models = WordModel("all"), WordModel("picky", refuses=[QUERIES[0]])
    [pair] = compare(tmp_path, *models, question=question).comparison.pairs
    first, second = pair.groups
    assert (first.n, first.differences) == (2, ())
    assert {one.change.n for one in second.differences} == {4}


def test_a_group_of_which_a_row_could_not_be_read_says_so(tmp_path: Path) -> None:
    question = pose(str(write_grouped(tmp_path / "data", task=[*"aaabbb"])))
    models = WordModel("all"), WordModel("picky", refuses=[QUERIES[0]])
    compared = compare(tmp_path, *models, question=question)
    text = groups_html(compared.comparison, compared.comparison.pairs[0])
    assert '<td class="cp-number">2 of 3</td>' in text
    assert '<td class="cp-number">3</td>' in text


def test_few_samples_are_not_called_beyond_chance(tmp_path: Path) -> None:
    compared = run(tmp_path, task=COLOURS)
    [pair] = compared.comparison.pairs
    [hit] = [one for one in pair.differences if one.metric == "hit_at_1"]

    def coloured(n: int) -> bool:
        sure = replace(hit, change=Estimate(value=-0.5, low=-0.8, high=-0.2, n=n))
        groups = tuple(replace(one, n=n, differences=(sure,)) for one in pair.groups)
        told = replace(pair, differences=(sure,), groups=groups)
        texts = quality_html(compared.comparison, told), groups_html(compared.comparison, told)
        found = {"cp-down" in text for text in texts}
        assert all(f'<td class="cp-number">{n}</td>' in text for text in texts)
        assert all(f"Over fewer than {FEW} samples" in text for text in texts)
        assert len(found) == 1
        return found.pop()

    assert [coloured(n) for n in (3, FEW - 1, FEW, 100)] == [False, False, True, True]
    # All three red questions got worse: an interval without 0 in it, of three samples.
    assert "cp-down" not in groups_html(compared.comparison, pair)


@pytest.mark.parametrize("columns", [{}, {"task": ["all"] * 6}, {"place": list("abcabc")}])
def test_nothing_is_grouped_without_a_task(tmp_path: Path, columns: dict[str, list[Any]]) -> None:
    compared = run(tmp_path, **columns)
    assert compared.comparison.grouped_by == ""
    assert compared.comparison.pairs[0].groups == ()
    assert "Quality by" not in comparison_html(compared)


def test_too_many_tasks_to_be_grouped_are_told(tmp_path: Path) -> None:
    many = [f"red {number}" for number in range(MAX_GROUPS + 1)]
    path = write_data(tmp_path / "data", many)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(f"{json.dumps(row | {'task': row['query']})}\n" for row in rows), encoding="utf-8")
    compared = compare(tmp_path, WordModel("one"), WordModel("two"), question=pose(str(path)))
    assert compared.comparison.grouped_by == ""
    assert "The column 'task' has 21 values, more than 20, so quality is not told by it." in compared.comparison.notes


def test_a_column_that_makes_no_groups_is_refused(tmp_path: Path) -> None:
    question = pose(str(write_grouped(tmp_path, task=COLOURS)))
    with pytest.raises(BadInput, match=r"No sample has a column 'colour' to be grouped by; there are: .*task"):
        group_rows(question, "colour")
    many = [f"red {number}" for number in range(MAX_GROUPS + 1)]
    path = write_data(tmp_path / "many", many)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(f"{json.dumps(row | {'word': row['query']})}\n" for row in rows), encoding="utf-8")
    with pytest.raises(BadInput, match="has 21 values, but at most 20 make groups"):
        group_rows(pose(str(path)), "word")
