"""Comparing for the page: what was asked, by its controls or by an address, is checked; then a job reads and compares."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.comparing.making import Compared, Setup, choose, make_comparison
from workbench.comparing.question import MAX_N, Question, pose
from workbench.errors import BadInput, Cancelled
from workbench.stages import Progress
from workbench.ui.asked import split_of, whole_of
from workbench.ui.compare_shelf import CompareOrder
from workbench.ui.desk import Desk

MAX_OTHERS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareAsked:
    """What stands in the controls, or in an address, as the browser sent it."""

    first: object = None
    others: object = None
    data: object = None
    split: object = "test"
    n: object = 100


def read_address(given: Mapping[str, Any]) -> CompareAsked:
    """What an address asks for; everything in it is foreign."""
    names = given.get("compare")
    names = names if isinstance(names, list) else []
    n: object = given.get("n")
    return CompareAsked(
        first=names[0] if names else None,
        others=names[1:],
        data=given.get("data"),
        split=given.get("split"),
        n=int(n) if isinstance(n, str) and n.isdecimal() and len(n) < 10 else n,
    )


def check_asked(desk: Desk, asked: CompareAsked) -> CompareOrder:
    """The order, in names that the page offered. Raises WorkbenchError for anything else."""
    desk.path_of(asked.first)
    others = asked.others if isinstance(asked.others, list | tuple) else [asked.others]
    others = [one for one in others if one not in (None, "")]
    if not others:
        raise BadInput("No second checkpoint is chosen; choose one or more to compare with the first.")
    if len(others) > MAX_OTHERS:
        raise BadInput(f"{len(others)} checkpoints are to be compared with the first, but at most {MAX_OTHERS} can be.")
    for other in others:
        desk.path_of(other)
    names = (str(asked.first), *map(str, others))
    if len(set(names)) < len(names):
        raise BadInput("A checkpoint is chosen twice; a comparison needs checkpoints that differ.")
    desk.data_of(asked.data)
    return CompareOrder(
        checkpoints=names,
        data=str(asked.data),
        split=split_of(asked.split),
        n=whole_of(asked.n, "The number of samples", 1, MAX_N),
    )


def start_compare(desk: Desk, asked: CompareAsked, tab: str | None) -> str:
    """Begin a comparison, or find the one that this tab already waits for; returns the page's JSON.

    Raises:
        WorkbenchError: for what can be told to be wrong at once.
    """
    order, shelf = check_asked(desk, asked), desk.comparisons
    told = {"asked": {"compare": order.checkpoints, "data": order.data, "split": order.split, "n": str(order.n)}}
    if (job := shelf.running(tab, order)) is not None:
        return json.dumps(told | {"job": job})

    def work(progress: Progress, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        return {"comparison": _make(desk, order, progress, cancelled)}

    shelf.leave(tab)
    begun = shelf.jobs.start(work)
    if "job" in begun:
        shelf.note(tab, order, begun["job"])
    return json.dumps(told | begun)


def look_compare(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """How far a comparison is: as `Jobs.look`; `answer.comparison` is its key."""
    return desk.comparisons.jobs.look(asked.get("job"))


def cancel_compare(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Give a comparison up; what was read stays, and the same one goes on from there."""
    desk.comparisons.jobs.cancel(asked.get("job"))
    return {}


def place_of(compared: Compared, asked: Mapping[str, Any]) -> tuple[int, int]:
    """Which pair and which sample a page asks for. Raises BadInput for one that there is not."""
    pair, sample = asked.get("pair"), asked.get("sample")
    if isinstance(pair, bool) or not isinstance(pair, int) or not 0 <= pair < len(compared.comparison.pairs):
        raise BadInput("There is no such pair of checkpoints.")
    place = compared.comparison.place_of(sample) if isinstance(sample, str) else None
    if place is None:
        raise BadInput(f"There is no sample '{str(sample)[:100]}' among those that were compared.")
    return pair, place


def setup_of(desk: Desk) -> Setup:
    """Models of the app's session, which keeps two, and its readings."""
    session = desk.session
    return Setup(
        kept=desk.comparisons.kept,
        device=session.device,
        dtype=session.dtype,
        load=lambda path: session.model(str(path)),
        turn=session.occupied,
    )


def _make(desk: Desk, order: CompareOrder, progress: Progress, cancelled: Callable[[], bool]) -> str:
    def check(message: str) -> None:
        if cancelled():
            raise Cancelled("The comparison was cancelled; what was read so far is kept.")
        progress(0.0, message)

    check("Reading the data set")
    setup = setup_of(desk)
    chosen = choose([desk.path_of(name) for name in order.checkpoints])
    question = pose(desk.data_of(order.data), split=order.split, n=order.n)
    key = _key(setup, question, [(one.sha256, str(one.path)) for one in chosen])
    desk.comparisons.make(
        key,
        lambda: make_comparison(chosen, question, setup, tell=progress, cancelled=cancelled),
        lambda: check("Waiting for somebody who asked the same"),
    )
    return key


def _key(setup: Setup, question: Question, chosen: list[tuple[str, str]]) -> str:
    asked = [question.key, str(Path(question.data)), chosen, setup.device, setup.dtype]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
