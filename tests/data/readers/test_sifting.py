"""Rows become pairs, and what is wrong with them is told."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import write_jsonl

from workbench.data.reader import Pair, Row, find_reader, read_pairs
from workbench.data.sifting import MAX_PROBLEMS, Report, SeenIds, Shard, sieve, sift
from workbench.errors import BadInput
from workbench.samples import make_sample

QUERY = make_sample([], "what ?")
FATES = ("good", "bad", "refused", "again")


def make() -> Pair:
    return Pair(query=QUERY)


def refuse() -> Pair:
    raise BadInput("there is nothing in it")


def row(number: int, fate: str) -> Row:
    where = f"Row {number} of 'd'"
    if fate == "bad":
        return Row(number=number, where=where, problem=f"{where} is broken.")
    return Row(
        number=number, where=where, id="first" if fate == "again" else "", make=refuse if fate == "refused" else make
    )


def rows(fates: list[str]) -> list[Row]:
    return [Row(number=1, where="Row 1 of 'd'", id="first", make=make)] + [
        row(number, fate) for number, fate in enumerate(fates, start=2)
    ]


@settings(deadline=None)
@given(fates=st.lists(st.sampled_from(FATES), max_size=12), of=st.integers(1, 5), limit=st.integers(0, 14) | st.none())
def test_shards_together_say_what_the_whole_says(fates: list[str], of: int, limit: int | None) -> None:
    whole, parts = Report(), [Report() for _ in range(of)]
    all_pairs = list(sift(rows(fates), limit=limit, shard=Shard(), on_error="skip", report=whole))
    dealt = [
        list(sift(rows(fates), limit=limit, shard=Shard(index=index, of=of), on_error="skip", report=report))
        for index, report in enumerate(parts)
    ]
    assert sorted(pair.row for part in dealt for pair in part) == [pair.row for pair in all_pairs]
    looked_at = len(fates) + 1 if limit is None else min(limit, len(fates) + 1)
    assert whole.done + whole.skipped == looked_at
    assert sum(report.done for report in parts) == whole.done == len(all_pairs)
    told = sorted((problem.row, problem.reason) for report in parts for problem in report.problems)
    assert told == [(problem.row, problem.reason) for problem in whole.problems]
    good = [number for number, fate in enumerate(["good", *fates], start=1) if fate == "good"][: len(all_pairs)]
    assert [pair.row for pair in all_pairs] == good


@settings(deadline=None)
@given(fates=st.lists(st.sampled_from(FATES), max_size=8))
def test_under_stop_the_first_bad_row_ends_the_reading(fates: list[str]) -> None:
    found = sift(rows(fates), limit=None, shard=Shard(), on_error="stop", report=None)
    bad = next((number for number, fate in enumerate(fates, start=2) if fate != "good"), None)
    read = []
    if bad is None:
        assert len(list(found)) == len(fates) + 1
        return
    with pytest.raises(BadInput, match=rf"^Row {bad} of 'd'"):
        read.extend(found)
    assert bad > 1


def test_what_is_told_of_each_fate() -> None:
    report = Report()
    list(sift(rows(["bad", "refused", "again"]), limit=None, shard=Shard(), on_error="skip", report=report))
    assert [(problem.row, problem.reason) for problem in report.problems] == [
        (2, "Row 2 of 'd' is broken."),
        (3, "Row 3 of 'd': there is nothing in it"),
        (4, "Row 4 of 'd' has the id 'first' of row 1; ids must differ."),
    ]


def test_a_row_of_another_shard_is_not_made() -> None:
    report = Report()
    found = sift(rows(["refused", "good"]), limit=None, shard=Shard(index=0, of=2), on_error="stop", report=report)
    assert [pair.row for pair in found] == [1, 3]
    assert report == Report(done=2)


def test_an_id_that_looks_like_a_row_number_is_still_one_id() -> None:
    given = [Row(number=1, where="Row 1", id="row-2", make=make), Row(number=2, where="Row 2", make=make)]
    with pytest.raises(BadInput, match="has the id 'row-2' of row 1"):
        list(sift(given, limit=None, shard=Shard(), on_error="stop", report=None))


def test_the_report_counts_on_when_it_keeps_no_more_reasons() -> None:
    report = Report()
    many = (row(number, "bad") for number in range(1, MAX_PROBLEMS + 6))
    assert list(sift(many, limit=None, shard=Shard(), on_error="skip", report=report)) == []
    assert report.skipped == MAX_PROBLEMS + 5
    assert len(report.problems) == MAX_PROBLEMS


def test_a_bug_is_no_bad_row() -> None:
    def broken() -> Pair:
        raise KeyError("ours")

    found = sift(
        [Row(number=1, where="Row 1", make=broken)], limit=None, shard=Shard(), on_error="skip", report=Report()
    )
    with pytest.raises(KeyError):
        next(found)


def test_sieve_names_the_row_of_what_cannot_be_made() -> None:
    report = Report()
    made = [(1, "Row 1", lambda: "one"), (2, "Row 2", refuse), (3, "Row 3", lambda: "three")]
    assert list(sieve(made, on_error="skip", report=report)) == ["one", "three"]  # type: ignore[arg-type]
    assert (report.done, report.problems[0].reason) == (2, "Row 2: there is nothing in it")
    with pytest.raises(BadInput, match=r"^Row 2: there is nothing"):
        list(sieve(made, on_error="stop", report=None))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "1/0", "a/2", "0/2/3"])
def test_a_shard_that_is_none_is_told(text: str) -> None:
    with pytest.raises(BadInput, match="shard"):
        Shard.parse(text)


def test_a_shard_is_read() -> None:
    assert Shard.parse("1/3") == Shard(index=1, of=3)


@settings(deadline=None)
@given(names=st.lists(st.text(max_size=4)))
def test_seen_ids_know_where_a_name_was_first(names: list[str]) -> None:
    first: dict[str, int] = {}
    with SeenIds() as seen:
        for number, name in enumerate(names):
            assert seen.add(name, number) == first.get(name)
            first.setdefault(name, number)


def test_half_a_surrogate_pair_is_a_name_too() -> None:
    with SeenIds() as seen:
        assert seen.add("\ud800", 1) is None
        assert seen.add("\ud800", 2) == 1


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(n: int) -> int:
        path = write_jsonl(
            tmp_path / f"{n}.jsonl", [{"id": f"sample-{place}", "query": "q" * 50} for place in range(n)]
        )
        tracemalloc.start()
        try:
            assert sum(1 for _ in read_pairs(str(path))) == n
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is loaded once
    assert peak(4000) < peak(200) + 100_000


def test_two_readers_that_could_mean_a_path_are_named(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text('{"query": "q"}\n')
    (tmp_path / "test.parquet").write_bytes(b"")
    with pytest.raises(BadInput, match=r"write jsonl:.* or parquet:"):
        find_reader(str(tmp_path))


def test_names_without_room_are_told() -> None:
    with SeenIds() as seen:
        seen._names.execute("COMMIT")
        seen._names.execute("PRAGMA max_page_count = 4")
        with pytest.raises(BadInput, match=r"no room in the folder for temporary files .* set SQLITE_TMPDIR"):
            for row in range(10_000):
                seen.add(f"name {row}", row)
