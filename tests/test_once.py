import threading

import pytest

from workbench.once import Once


def test_a_result_is_made_once() -> None:
    once: Once[int] = Once(max_entries=2)
    made: list[int] = []
    assert [once.get("a", lambda: made.append(1) or 7) for _ in range(3)] == [7, 7, 7]
    assert made == [1]


def test_the_least_recently_used_is_forgotten() -> None:
    once: Once[int] = Once(max_entries=2)
    once.get("a", lambda: 1)
    once.get("b", lambda: 2)
    assert once.peek("a") == 1
    once.get("c", lambda: 3)
    assert (once.peek("a"), once.peek("b"), once.peek("c")) == (1, None, 3)
    assert len(once) == 2


def test_room_is_made_before_a_result_is_begun_where_that_is_asked_for() -> None:
    """What is being made counts in: of two models that are kept, one has gone when a third is loaded."""
    once: Once[int] = Once(max_entries=2, room_first=True)
    once.get("a", lambda: 1)
    once.get("b", lambda: 2)
    seen: list[int] = []
    once.get("c", lambda: seen.append(sum(once.peek(key) is not None for key in "ab")) or 3)
    assert seen == [1]
    assert (once.peek("b"), once.peek("c")) == (2, 3)


def test_what_fails_costs_no_other_its_place() -> None:
    once: Once[int] = Once(max_entries=2)
    once.get("a", lambda: 1)
    once.get("b", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        once.get("c", lambda: 1 // 0)
    assert (once.peek("a"), once.peek("b"), len(once)) == (1, 2, 2)


def test_what_is_stale_is_made_anew_and_stays_until_then() -> None:
    once: Once[list[int]] = Once(max_entries=2)
    old = once.get("a", lambda: [1])
    with pytest.raises(ZeroDivisionError):
        once.get("a", lambda: [1 // 0], stale=old)
    assert once.peek("a") is old
    seen: list[object] = []
    new = once.get("a", lambda: seen.append(once.peek("a")) or [1], stale=old)
    assert seen == [old]
    assert once.peek("a") is new is not old
    # Somebody made it anew before one asked who still held the old one.
    assert once.get("a", lambda: [2], stale=old) is new
    assert len(once) == 1


def test_weight_is_bounded_but_one_heavy_result_is_kept() -> None:
    once: Once[int] = Once(max_entries=10, max_bytes=100, weigh=lambda value: value)
    for size in (40, 50, 60):
        once.get(size, lambda size=size: size)
    assert [size for size in (40, 50, 60) if once.peek(size)] == [60]
    once.get(500, lambda: 500)
    assert once.peek(500) == 500
    assert len(once) == 1


def test_threads_wait_for_the_first_and_share_its_result() -> None:
    once: Once[object] = Once(max_entries=2)
    begun, go_on = threading.Event(), threading.Event()
    found: list[object] = []

    def slow() -> object:
        begun.set()
        assert go_on.wait(5)
        return object()

    first = threading.Thread(target=lambda: found.append(once.get("a", slow)))
    first.start()
    assert begun.wait(5)
    second = threading.Thread(target=lambda: found.append(once.get("a", lambda: pytest.fail("made twice"))))
    second.start()
    assert once.peek("a") is None
    go_on.set()
    first.join(5)
    second.join(5)
    assert len(found) == 2
    assert found[0] is found[1]


def test_a_failure_reaches_all_who_waited_and_is_not_kept() -> None:
    once: Once[int] = Once(max_entries=2)
    begun, go_on = threading.Event(), threading.Event()
    errors: list[Exception] = []

    def fail() -> int:
        begun.set()
        assert go_on.wait(5)
        raise ValueError("no")

    def ask() -> None:
        try:
            once.get("a", fail)
        except ValueError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    threads[0].start()
    assert begun.wait(5)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(5)
    assert len(errors) == 2
    assert once.get("a", lambda: 3) == 3
