"""Turns are taken in order, and a holder that gives way is next after those who waited."""

import threading
import time
from collections.abc import Callable

from workbench.turns import Turns


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_those_who_wait_go_first_and_in_their_order() -> None:
    turns, order, threads = Turns(), [], []

    def work(name: str) -> None:
        with turns:
            order.append(name)

    with turns:
        turns.give_way()  # nobody waits
        for name in ("first", "second"):
            threads.append(threading.Thread(target=work, args=(name,)))
            threads[-1].start()
            wait_until(lambda: len(turns._waiting) == len(threads) + 1)
        order.append("before")
        turns.give_way()
        order.append("after")
    for thread in threads:
        thread.join(30)
    assert order == ["before", "first", "second", "after"]


def test_an_error_hands_the_turn_on() -> None:
    turns = Turns()
    for _ in range(2):
        try:
            with turns:
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
    with turns:
        assert len(turns._waiting) == 1
