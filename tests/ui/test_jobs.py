"""Long work of the page: answers, errors, cancelling, and pages that went away."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from workbench.errors import BadInput, Cancelled
from workbench.ui.guard import BUG
from workbench.ui.jobs import Jobs


class Work:
    """Stops at a gate until it is let go, or until nobody wants it."""

    def __init__(self) -> None:
        self.gate, self.stopped = threading.Event(), threading.Event()

    def __call__(self, progress: Callable[[float, str], None], cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        progress(0.25, "a quarter")
        while not self.gate.wait(0.01):
            if cancelled():
                self.stopped.set()
                raise Cancelled("It was cancelled.")
        return {"found": 1}


def test_what_is_known_comes_back_at_once_and_once() -> None:
    jobs, work = Jobs(), Work()
    work.gate.set()
    assert jobs.start(work) == {"answer": {"found": 1}}
    assert jobs._jobs == {}


def test_a_long_one_is_looked_at_until_it_is_done() -> None:
    jobs, work = Jobs(), Work()
    begun = jobs.start(work)
    assert (begun["share"], begun["doing"]) == (0.25, "a quarter")
    work.gate.set()
    end = time.monotonic() + 30
    while "answer" not in (found := jobs.look(begun["job"])):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert found == {"answer": {"found": 1}}
    with pytest.raises(BadInput, match="no longer being made"):
        jobs.look(begun["job"])


def test_cancel_stops_the_work() -> None:
    jobs, work = Jobs(), Work()
    jobs.cancel(jobs.start(work)["job"])
    assert work.stopped.wait(30)
    for key in ("nothing", None, ["x"]):
        jobs.cancel(key)


def test_a_page_that_no_longer_looks_stops_the_work() -> None:
    work = Work()
    Jobs(patience=0.05).start(work)
    assert work.stopped.wait(30)


def test_an_error_of_the_input_is_its_sentence_and_a_bug_is_called_one() -> None:
    def refuse(progress: Any, cancelled: Any) -> Mapping[str, Any]:
        raise BadInput("There is no word 9.")

    def fail(progress: Any, cancelled: Any) -> Mapping[str, Any]:
        raise ZeroDivisionError

    assert Jobs().start(refuse) == {"error": "There is no word 9."}
    assert Jobs().start(fail) == {"error": BUG}


def test_too_many_at_once_are_refused() -> None:
    jobs, works = Jobs(max_jobs=2), [Work(), Work()]
    for work in works:
        jobs.start(work)
    with pytest.raises(BadInput, match="Too many maps"):
        jobs.start(Work())
    for work in works:
        work.gate.set()
