"""What the page Compare asks of the server, without a browser: orders, addresses, nonsense, second clicks, and cancel."""

import html
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_tiny
from comparisons import QUERIES, WordModel, setup, shorten, write_data
from planted import END, VOCABULARY
from seeing import SeeingModel

from workbench.comparing.kept import Kept
from workbench.embedder import Embedder
from workbench.errors import BadInput, UnknownName, WorkbenchError
from workbench.models.layout import explicit_cot, no_think, tte_flash
from workbench.runner import Session
from workbench.ui.compare_shelf import CompareOrder, CompareShelf
from workbench.ui.compare_view import fetch_comparison, fetch_sample, save_comparison, start_maps
from workbench.ui.compare_work import (
    CompareAsked,
    cancel_compare,
    check_asked,
    look_compare,
    read_address,
    start_compare,
)
from workbench.ui.desk import Desk


class WordSession(Session):
    """Its checkpoints are planted models, known by their folders."""

    def __init__(self, models: dict[str, WordModel]) -> None:
        super().__init__(device="cpu", dtype="float32")
        self.models = models
        self.open = threading.Event()
        self.open.set()

    def model(self, checkpoint: str = "") -> Embedder:
        self.open.wait(30)
        return self.models[Path(checkpoint).name]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    models = [SeeingModel("good"), SeeingModel("blind", first=5, swaps={"red": "blue"}), WordModel("third")]
    folders, _ = setup(tmp_path, *models)
    data = write_data(tmp_path / "data")
    (tmp_path / "uploads").mkdir()
    session = WordSession({model.info.name: model for model in models})
    desk = Desk(session, [Path(one) for one in folders], data=[str(data)], upload_folder=tmp_path / "uploads")
    desk.comparisons = CompareShelf(Kept(tmp_path / "kept"))
    return desk


def asked(desk: Desk, **changes: Any) -> CompareAsked:
    data = next(name for name in desk.datasets if name != "Shapes")
    return CompareAsked(**({"first": "good", "others": ["blind"], "data": data, "split": "test", "n": 6} | changes))


def follow(desk: Desk, found: dict[str, Any]) -> dict[str, Any]:
    end = time.monotonic() + 60
    while "answer" not in found and "error" not in found:
        assert time.monotonic() < end
        time.sleep(0.02)
        found = desk.jobs.look(found["job"])
    return found


def finish(desk: Desk, text: str) -> dict[str, Any]:
    found, end = json.loads(text), time.monotonic() + 60
    while "answer" not in found and "error" not in found:
        assert time.monotonic() < end
        time.sleep(0.02)
        found = look_compare(desk, {"job": found["job"]})
    return found


def test_from_an_order_to_a_sample(desk: Desk) -> None:
    key = finish(desk, start_compare(desk, asked(desk), "tab"))["answer"]["comparison"]
    found = fetch_comparison(desk, {"comparison": key})
    [pair] = found["pairs"]
    assert pair["names"] == ("good", "blind")
    assert [one["id"] for one in pair["changes"]] == [f"q{number}" for number in range(6)]
    assert [(one["gained"] or 0) < 0 for one in pair["changes"]] == ["red" in query for query in QUERIES]
    assert "Right document found first" in pair["quality"]
    sample = fetch_sample(desk, {"comparison": key, "pair": 0, "sample": "q0"})
    assert sample["diff"][:2] == [["gone", "red"], ["new", "blue"]]
    assert sample["writes"] == ["its reasoning", "its reasoning"]
    assert len(sample["maps"][0]) == len(sample["cards"]) == 5
    # The last think token of a thought of three words reads as the end of the text.
    assert [sample["cards"][k]["reads"][0][0][0] for k in range(4)] == ["red", "square", "left", "(text end)"]
    assert (sample["title"], sample["lone"]) == ("Think tokens, and the patches behind them", "")
    assert sample["maps"][0][0][0]["rows"] == 3
    assert max(sample["maps"][1][2][0]["cells"]) <= sample["highs"][1] == sample["highs"][0]
    assert sample["images"][0]["src"].startswith("data:image/")
    json.dumps([found, sample], allow_nan=False)
    saved = json.loads(save_comparison(desk, {"comparison": key, "kind": "json"})["text"])
    assert saved["schema"] == "thinkscope.comparison"
    page = save_comparison(desk, {"comparison": key, "kind": "html", "sample": "q2"})["text"]
    assert page.startswith("<!doctype html>")
    assert "(text end)" in page
    assert VOCABULARY[END] not in html.unescape(page)


def test_maps_are_made_when_they_are_asked_for(desk: Desk) -> None:
    key = finish(desk, start_compare(desk, asked(desk), "tab"))["answer"]["comparison"]
    offered = fetch_comparison(desk, {"comparison": key})
    assert offered["method"] in [name for name, _ in offered["methods"]]
    wanted = {"comparison": key, "pair": 0, "sample": "q1", "method": "saliency"}
    found = follow(desk, start_maps(desk, wanted))["answer"]
    assert (found["title"], found["signed"], found["highs"]) == ("Saliency", False, (1.0, 1.0))
    for side, first in enumerate((0, 5)):
        assert [row[0]["cells"].index(1) for row in found["maps"][side][:4]] == [first, first + 1, first + 2, first + 3]
    # One who cannot is told, and the other still has its maps.
    key = finish(desk, start_compare(desk, asked(desk, others=["third"]), "tab"))["answer"]["comparison"]
    wanted["comparison"] = key
    found = follow(desk, start_maps(desk, wanted))["answer"]
    assert found["maps"][1] == [[]] * 5
    assert found["notes"] == (
        "third: Saliency needs a model that has gradients with respect to what it sees; 'third' does not.",
    )
    json.dumps(found, allow_nan=False)
    saved = save_comparison(desk, {"comparison": key, "kind": "html", "sample": "q1", "method": "saliency"})["text"]
    assert "What the patches add to them: Saliency" in saved


def test_a_sample_without_an_image_has_no_maps(desk: Desk, tmp_path: Path) -> None:
    data = write_data(tmp_path / "bare", images=False)
    desk.datasets = {**desk.datasets, str(data): str(data)}
    key = finish(desk, start_compare(desk, asked(desk, data=str(data)), "tab"))["answer"]["comparison"]
    found = follow(desk, start_maps(desk, {"comparison": key, "pair": 0, "sample": "q1", "method": "saliency"}))
    assert found == {"error": "Sample 'q1' has no image, so there are no patches to attribute to."}
    sample = fetch_sample(desk, {"comparison": key, "pair": 0, "sample": "q1"})
    # The embedding's card would hold a map alone.
    assert [card["label"] for card in sample["cards"]] == ["Thought 1", "Thought 2", "Thought 3", "Thought 4"]
    assert sample["title"] == "Think tokens"


def test_what_does_not_think_is_told_once(
    tmp_path: Path, shapes_rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    layouts = {"bare": no_think(), "four": tte_flash(4), "written": explicit_cot()}
    folders = [write_tiny(tmp_path / name, shapes_rows, layout=layout) for name, layout in layouts.items()]
    desk = Desk(Session(device="cpu", dtype="float32"), folders, upload_folder=tmp_path)
    desk.comparisons = CompareShelf(Kept(tmp_path / "kept"))
    order = CompareAsked(first="bare", others=["four", "written"], data="Shapes", n=3)
    key = finish(desk, start_compare(desk, order, "tab"))["answer"]["comparison"]
    four, written = (fetch_sample(desk, {"comparison": key, "pair": pair, "sample": "test-000001"}) for pair in (0, 1))
    assert four["images"]
    assert [card["label"] for card in four["cards"]] == [
        "Thought 1",
        "Thought 2",
        "Thought 3",
        "Thought 4",
        "Embedding",
    ]
    assert (four["lone"], four["thinks"]) == ("Only four has think tokens.", True)
    assert four["title"] == "Think tokens, and the patches behind them"
    assert [card["label"] for card in written["cards"]] == ["Embedding"]
    assert (written["lone"], written["thinks"]) == ("", False)
    assert written["title"] == "The embedding, and the patches behind it"
    page = save_comparison(desk, {"comparison": key, "kind": "html", "sample": "test-000001"})["text"]
    assert page.count("Only four has think tokens.") == page.count("Think tokens and what they attend to") > 0
    assert "The embedding and what it attends to" in page
    assert "no counterpart" not in page.lower()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"comparison": "0" * 32}, "no longer in memory"),
        ({"pair": 1}, "no such pair"),
        ({"sample": "q99"}, "no sample 'q99'"),
        ({"method": "/etc/passwd"}, "passwd"),
        ({"method": ["saliency"]}, "attribution method"),
        ({"settings": "steps=3"}, "named values"),
    ],
)
def test_maps_of_nonsense_are_refused_in_a_sentence(desk: Desk, changes: dict[str, Any], told: str) -> None:
    key = finish(desk, start_compare(desk, asked(desk), "tab"))["answer"]["comparison"]
    wanted = {"comparison": key, "pair": 0, "sample": "q1", "method": "saliency"}
    with pytest.raises(WorkbenchError, match=told):
        start_maps(desk, wanted | changes)


def test_the_same_order_is_made_once_for_all_tabs(desk: Desk) -> None:
    one = finish(desk, start_compare(desk, asked(desk), "one"))
    traced = {name: model.traced for name, model in desk.session.models.items()}  # pyright: ignore[reportAttributeAccessIssue]
    other = finish(desk, start_compare(desk, asked(desk), "other"))
    assert one["answer"] == other["answer"]
    assert {name: model.traced for name, model in desk.session.models.items()} == traced  # pyright: ignore[reportAttributeAccessIssue]


def test_a_second_click_begins_no_second_run(desk: Desk) -> None:
    desk.session.open.clear()  # pyright: ignore[reportAttributeAccessIssue]
    first = json.loads(start_compare(desk, asked(desk), "tab"))
    again = json.loads(start_compare(desk, asked(desk), "tab"))
    assert again["job"] == first["job"]
    stranger = json.loads(start_compare(desk, asked(desk), "other tab"))
    assert stranger["job"] != first["job"]
    changed = json.loads(start_compare(desk, asked(desk, n=5), "tab"))
    assert changed["job"] != first["job"]
    with pytest.raises(BadInput, match="no longer being made"):
        look_compare(desk, {"job": first["job"]})
    desk.session.open.set()  # pyright: ignore[reportAttributeAccessIssue]
    # The tab that left took nobody along that asked the same.
    for order in (stranger, changed):
        assert "answer" in finish(desk, json.dumps(order))
    assert desk.comparisons.running("tab", check_asked(desk, asked(desk, n=5))) is None


def test_cancelled_is_gone_and_can_be_asked_for_again(desk: Desk) -> None:
    desk.session.open.clear()  # pyright: ignore[reportAttributeAccessIssue]
    begun = json.loads(start_compare(desk, asked(desk), "tab"))
    cancel_compare(desk, {"job": begun["job"]})
    with pytest.raises(BadInput, match="no longer being made"):
        look_compare(desk, {"job": begun["job"]})
    # Asked for again while the run that was given up has not stopped yet.
    again = start_compare(desk, asked(desk), "tab")
    assert json.loads(again)["job"] != begun["job"]
    desk.session.open.set()  # pyright: ignore[reportAttributeAccessIssue]
    assert "answer" in finish(desk, again)


def test_a_closed_tab_gives_its_run_up(desk: Desk) -> None:
    desk.session.open.clear()  # pyright: ignore[reportAttributeAccessIssue]
    begun = json.loads(start_compare(desk, asked(desk), "tab"))
    desk.comparisons.leave("tab")
    desk.session.open.set()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(BadInput):
        look_compare(desk, {"job": begun["job"]})


def test_what_goes_wrong_in_the_run_is_a_sentence(desk: Desk) -> None:
    model = desk.session.models["blind"]  # pyright: ignore[reportAttributeAccessIssue]
    model.fails_at = 1
    found = finish(desk, start_compare(desk, asked(desk), "tab"))
    assert "Memory ran out while 'blind' was read" in found["error"]
    assert "answer" in finish(desk, start_compare(desk, asked(desk), "tab"))


def test_what_failed_is_shown_and_tried_again(desk: Desk) -> None:
    models = desk.session.models  # pyright: ignore[reportAttributeAccessIssue]
    models["third"].fails_at = 1
    order = asked(desk, others=["blind", "third"])
    key = finish(desk, start_compare(desk, order, "tab"))["answer"]["comparison"]
    found = fetch_comparison(desk, {"comparison": key})
    assert [pair["names"] for pair in found["pairs"]] == [("good", "blind")]
    assert "third&#x27; was not compared. Memory ran out" in found["notes"]
    again = finish(desk, start_compare(desk, order, "tab"))["answer"]["comparison"]
    assert again == key
    found = fetch_comparison(desk, {"comparison": key})
    assert [pair["names"] for pair in found["pairs"]] == [("good", "blind"), ("good", "third")]
    assert "was not compared" not in found["notes"]


def test_a_pair_is_known_by_the_name_that_the_page_offers(desk: Desk) -> None:
    """Not by its place, which moves up when a checkpoint before it is refused, nor by the name in its card."""
    (Path(desk.path_of("third")) / "thinkscope.json").write_text(json.dumps({"name": "long name"}))
    desk.session.models["blind"].fails_at = 1  # pyright: ignore[reportAttributeAccessIssue]
    key = finish(desk, start_compare(desk, asked(desk, others=["blind", "third"]), "tab"))["answer"]["comparison"]
    [pair] = fetch_comparison(desk, {"comparison": key})["pairs"]
    assert (pair["names"], pair["offered"]) == (("good", "long name"), "third")


def test_a_sample_that_one_could_not_read_is_known_with_the_reason(desk: Desk) -> None:
    desk.session.models["blind"].refuses = [QUERIES[0]]  # pyright: ignore[reportAttributeAccessIssue]
    key = finish(desk, start_compare(desk, asked(desk), "tab"))["answer"]["comparison"]
    [pair] = fetch_comparison(desk, {"comparison": key})["pairs"]
    assert "q0" not in [one["id"] for one in pair["changes"]]
    with pytest.raises(BadInput, match="'blind' could not read sample 'q0': 'red square left' is not for blind"):
        fetch_sample(desk, {"comparison": key, "pair": 0, "sample": "q0"})


def test_what_people_look_at_stays_until_the_new_one_is_there(desk: Desk) -> None:
    session: Any = desk.session
    session.models["third"].fails_at = 1
    order = asked(desk, others=["blind", "third"])
    key = finish(desk, start_compare(desk, order, "tab"))["answer"]["comparison"]
    session.open.clear()
    again = json.loads(start_compare(desk, order, "tab"))
    end = time.monotonic() + 60
    while "Loading third" not in look_compare(desk, {"job": again["job"]}).get("doing", ""):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert fetch_comparison(desk, {"comparison": key})["pairs"]
    cancel_compare(desk, {"job": again["job"]})
    session.open.set()
    # A second order finds the first one given up.
    third = finish(desk, start_compare(desk, asked(desk, others=["third"]), "tab"))
    assert "answer" in third
    assert [pair["names"] for pair in fetch_comparison(desk, {"comparison": key})["pairs"]] == [("good", "blind")]


def test_what_is_refused_for_good_is_not_made_at_every_click(desk: Desk) -> None:
    session: Any = desk.session
    session.models["third"].refuses = QUERIES
    order = asked(desk, others=["blind", "third"])
    key = finish(desk, start_compare(desk, order, "tab"))["answer"]["comparison"]
    made = desk.comparisons.get(key)
    assert [one.what for one in made.comparison.refused] == ["third"]
    assert finish(desk, start_compare(desk, order, "tab"))["answer"]["comparison"] == key
    assert desk.comparisons.get(key) is made


def test_what_was_cleared_is_read_anew(desk: Desk, tmp_path: Path) -> None:
    key = finish(desk, start_compare(desk, asked(desk), "tab"))["answer"]["comparison"]
    shutil.rmtree(tmp_path / "kept")
    wanted = {"comparison": key, "pair": 0, "sample": "q0"}
    with pytest.raises(BadInput, match="was cleared from"):
        fetch_sample(desk, wanted)
    assert finish(desk, start_compare(desk, asked(desk), "tab"))["answer"]["comparison"] == key
    assert fetch_sample(desk, wanted)["cards"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"first": None}, "No checkpoint is chosen"),
        ({"first": "/etc"}, "no checkpoint named"),
        ({"others": []}, "No second checkpoint"),
        ({"others": None}, "No second checkpoint"),
        ({"others": ["good"]}, "chosen twice"),
        ({"others": ["../data"]}, "no checkpoint named"),
        ({"others": [{"a": 1}]}, "no checkpoint named"),
        ({"others": ["blind"] * 9}, "at most 7"),
        ({"data": "/etc/passwd"}, "no data set named"),
        ({"split": ""}, "split is empty"),
        ({"n": 0}, "between 1 and 5,000"),
        ({"n": 10**9}, "between 1 and 5,000"),
        ({"n": "many"}, "whole number"),
        ({"n": 2.5}, "whole number"),
        ({"n": True}, "whole number"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(desk: Desk, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkbenchError, match=told) as error:
        start_compare(desk, asked(desk, **changes), "tab")
    assert str(error.value).endswith(".")


def test_an_address_is_checked_like_any_other_input(desk: Desk) -> None:
    data = asked(desk).data
    found = read_address({"compare": ["good", "blind", "third"], "data": data, "split": "test", "n": "6"})
    assert check_asked(desk, found) == CompareOrder(
        checkpoints=("good", "blind", "third"), data=str(data), split="test", n=6
    )
    for bad in ({}, {"compare": "good"}, {"compare": ["good", "blind"], "data": data, "split": "test", "n": "1e3"}):
        with pytest.raises(WorkbenchError):
            check_asked(desk, read_address(bad))
    with pytest.raises(UnknownName):
        check_asked(desk, read_address({"compare": ["/etc", "blind"], "data": data, "split": "test", "n": "6"}))


def test_what_was_never_made_is_not_shown(desk: Desk) -> None:
    for key in (None, "0" * 32, 5, ["x"]):
        for ask in (fetch_comparison, fetch_sample, save_comparison):
            with pytest.raises(BadInput, match="no longer in memory"):
                ask(desk, {"comparison": key})
    key = finish(desk, start_compare(desk, asked(desk), "tab"))["answer"]["comparison"]
    for wrong in (
        {"pair": 1, "sample": "q0"},
        {"pair": True, "sample": "q0"},
        {"pair": 0, "sample": "<q>"},
        {"pair": 0},
    ):
        with pytest.raises(BadInput, match=r"\.$"):
            fetch_sample(desk, {"comparison": key, **wrong})
    with pytest.raises(BadInput, match="'html' or 'json'"):
        save_comparison(desk, {"comparison": key, "kind": "exe"})
