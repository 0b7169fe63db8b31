"""What the page's events do, without a browser."""

import html
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from planted import END, VOCABULARY

from workbench.errors import BadInput, UnknownName, WorkbenchError
from workbench.runner import Session
from workbench.ui import handlers
from workbench.ui.controls import probes_from
from workbench.ui.desk import Desk, Shelf
from workbench.ui.guard import answered, told
from workbench.ui.handlers import Asked
from workbench.ui.payload import SHOWN_CANDIDATES


@pytest.fixture
def read(desk: Desk) -> Callable[..., dict[str, Any]]:
    """Press the button; returns what the page would be sent."""

    def press(**given: Any) -> dict[str, Any]:
        asked = Asked(**({"image": None, "query": "red square left", "checkpoint": "planted-checkpoint"} | given))
        return json.loads(handlers.read_thought(desk, asked, [], [], lambda done, message: None))

    return press


def file(path: Path) -> dict[str, str]:
    return {"path": str(path), "orig_name": path.name}


def test_a_result_holds_the_planted_thought_and_maps(read: Callable[..., Any], picture: Path) -> None:
    view = read(image=file(picture))
    assert [word["text"] for word in view["thought"]["words"]] == ["red", "square", "left"]
    assert all(word["p"] > 0.9 for word in view["thought"]["words"])
    assert [token["label"] for token in view["tokens"]] == [
        "Thought 1",
        "Thought 2",
        "Thought 3",
        "Thought 4",
        "Embedding",
    ]
    assert view["tokens"][0]["words"][0][0] == "red"
    assert view["tokens"][3]["words"][0][0] == "(text end)"
    assert [cell[0][0] for cell in view["lens"]["cells"][-1]] == ["red", "square", "left", "(text end)"]
    [image] = view["images"]
    assert (image["rows"], image["cols"]) == (3, 5)
    assert (image["width"], image["height"]) == (50, 30)
    assert set(image["planes"]) == {"mean", "max", "top", "0", "1"}
    assert len(view["lens"]["cells"]) == 3
    assert view["ranking"]["total"] >= 200
    assert len(view["ranking"]["rows"]) == SHOWN_CANDIDATES
    assert view["seconds"][-1][0] == "in all"


@pytest.mark.parametrize(
    ("facts", "name", "about"),
    [
        ({}, "decoded thought", "from the think tokens alone"),
        ({"tells": "target"}, "decoded target", "not its reasoning"),
        ({"n_think": 0}, "written reasoning", "before it embedded"),
    ],
)
def test_the_page_says_what_the_text_is(
    read: Callable[..., Any], desk: Desk, facts: dict[str, Any], name: str, about: str
) -> None:
    desk.session.planted.info = replace(desk.session.planted.info, **facts)
    view = read()
    assert view["thought"]["name"] == name
    assert about in view["thought"]["about"]
    [decoded] = [part["title"] for part in view["more"] if "Token by token" in part["html"]]
    assert decoded == name.capitalize()
    facts = dict(view["card"]["facts"])
    assert facts["think tokens"] == ("none" if name == "written reasoning" else "4")


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("lame", "A small decoder writes the target&#x27;s text"),
        ("explicit-cot", "A model that writes its reasoning before it embeds"),
        ("no-think", "A model that does not think"),
    ],
)
def test_the_hint_tells_checkpoints_apart(tiny_kinds: dict[str, Path], tmp_path: Path, kind: str, hint: str) -> None:
    offered = Path(shutil.copytree(tiny_kinds[kind], tmp_path / "offered"))
    desk = Desk(Session(device="cpu"), [offered], upload_folder=tmp_path)
    told = handlers.describe_checkpoint(desk, "offered")
    assert hint in told
    assert "Trained on: Nothing." in told
    manifest = json.loads((offered / "thinkscope.json").read_text())
    (offered / "thinkscope.json").write_text(json.dumps(manifest | {"layout": {"think_tokens": 3}}))
    assert handlers.describe_checkpoint(desk, "offered") == "<p class='ts-hint'>Trained on: Nothing.</p>"


def test_the_same_question_is_not_run_twice_and_keeps_its_id(
    read: Callable[..., Any], desk: Desk, picture: Path
) -> None:
    first = read(image=file(picture))
    runs = len(desk.session.planted.prepared)
    assert read(image=file(picture))["id"] == first["id"]
    assert len(desk.session.planted.prepared) == runs
    assert read(image=file(picture), query="blue square")["id"] != first["id"]


def test_text_alone_runs_and_has_no_maps(read: Callable[..., Any]) -> None:
    view = read()
    assert view["images"] == []
    assert view["tokens"][0]["share"] is None


def test_own_candidates_replace_the_shipped_ones(read: Callable[..., Any]) -> None:
    view = read(listed="red square left\n\nblue\n")
    assert view["ranking"]["total"] == 2
    assert view["ranking"]["rows"][0]["text"] == "red square left"
    assert view["ranking"]["rows"][0]["score"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"query": "   "}, "The question is empty"),
        ({"query": "x" * 100_000}, "at most 20,000"),
        ({"checkpoint": "/etc"}, "no checkpoint named '/etc'"),
        ({"checkpoint": None}, "No checkpoint is chosen"),
        ({"image": {"path": "/nowhere/x.png"}}, "no longer here"),
        ({"image": {"url": "http://127.0.0.1/x.png"}}, "no longer here"),
    ],
)
def test_unusable_input_gives_one_sentence(read: Callable[..., Any], given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WorkbenchError, match=re.escape(sentence)):
        read(**given)


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"just words", "is a text file"), (b"", "empty"), (b"\x89PNG\r\n\x1a\n123", "damaged")]
)
def test_a_bad_upload_is_refused_by_its_content(desk: Desk, tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "uploads" / "cat.png"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        handlers.open_upload(desk, file(path))


def test_too_many_images_are_refused(read: Callable[..., Any], picture: Path) -> None:
    with pytest.raises(BadInput, match="5 images were given"):
        read(image=file(picture), more=[file(picture)] * 4)


def test_several_images_are_shown_in_order(read: Callable[..., Any], picture: Path) -> None:
    view = read(image=file(picture), more=[file(picture)])
    assert [image["name"] for image in view["images"]] == ["picture.png", "picture.png"]


def test_decoded_markup_cannot_break_out(read: Callable[..., Any], desk: Desk) -> None:
    asked = Asked(image=None, query="red", checkpoint="planted-checkpoint", listed="<script>alert(1)</script>\nred")
    sent = handlers.read_thought(desk, asked, [], [], lambda done, message: None)
    assert "<" not in sent
    assert json.loads(sent)["ranking"]["rows"][1]["text"] == "<script>alert(1)</script>"


@pytest.mark.parametrize("number", [-1, 999, "0", None])
def test_an_example_that_was_not_offered_is_refused(number: object) -> None:
    with pytest.raises(BadInput, match="no such example"):
        handlers.pick_example(number)


def test_a_picked_example_fills_image_and_question() -> None:
    image, query = handlers.pick_example(0)
    assert image is not None and Path(image).is_file()
    assert query


def test_export_of_a_shown_result(read: Callable[..., Any], desk: Desk, picture: Path) -> None:
    key = read(image=file(picture))["id"]
    found = handlers.export_file(desk, {"id": key, "kind": "json"})
    assert json.loads(found["text"])["thought"]["text"] == " red square left"
    # For people the last think token reads as the end of the text, for programs as the token itself.
    assert json.loads(found["text"])["think_tokens"][3]["words"][0] == VOCABULARY[END]
    assert found["name"] == f"thinkscope-{key}.json"
    page = handlers.export_file(desk, {"id": key, "kind": "html"})["text"]
    assert page.lstrip().lower().startswith("<!doctype html")
    assert "(text end)" in page
    assert VOCABULARY[END] not in html.unescape(page)


@pytest.mark.parametrize("asked", [{}, {"id": "0" * 16, "kind": "json"}, {"id": ["x"], "kind": "json"}])
def test_export_of_an_unknown_result_is_refused(desk: Desk, asked: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="no longer in memory"):
        handlers.export_file(desk, asked)


def test_export_of_an_unknown_kind_is_refused(read: Callable[..., Any], desk: Desk) -> None:
    with pytest.raises(BadInput, match="'json' or 'html'"):
        handlers.export_file(desk, {"id": read()["id"], "kind": "../../etc/passwd"})


@pytest.mark.parametrize("head", [-1, 2, "0", None])
def test_a_head_that_is_not_there_is_refused(read: Callable[..., Any], desk: Desk, picture: Path, head: object) -> None:
    key = read(image=file(picture))["id"]
    with pytest.raises(BadInput, match="has 2"):
        handlers.fetch_head(desk, {"id": key, "head": head})


def test_a_fetched_head_equals_the_one_that_was_sent(read: Callable[..., Any], desk: Desk, picture: Path) -> None:
    view = read(image=file(picture))
    assert handlers.fetch_head(desk, {"id": view["id"], "head": 1})["planes"] == [view["images"][0]["planes"]["1"]]


def test_settings_reach_the_probes(desk: Desk) -> None:
    built = {probe.name: probe for probe in probes_from([("lens", "top_k"), ("decode", "max_tokens")], [7.0, 12])}
    assert built["lens"].top_k == 7
    assert isinstance(built["lens"].top_k, int)
    assert built["decode"].max_tokens == 12
    with pytest.raises(BadInput, match="between 1 and 50"):
        probes_from([("lens", "top_k")], [5000])


def test_an_error_of_the_input_is_told_and_a_bug_is_called_one() -> None:
    def refuse() -> None:
        raise UnknownName("checkpoint", "<b>x</b>", ["a"])

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(gr.Error, match="&lt;b&gt;x") as caught:
        told(refuse)()
    assert caught.value.print_exception is False
    with pytest.raises(gr.Error, match="inside Thinkscope, not in your input") as bug:
        told(fail)()
    assert isinstance(bug.value.__cause__, ZeroDivisionError)
    assert bug.value.print_exception is True
    assert answered(refuse)()["error"].startswith("There is no checkpoint named '<b>x</b>'")


def test_an_upload_goes_with_the_last_tab_that_holds_it(desk: Desk, picture: Path) -> None:
    for tab in ("one", "two"):
        handlers.accept(desk, [file(picture)], tab)
    desk.uploads.release("one")
    assert picture.is_file()
    desk.uploads.release("two")
    assert not picture.exists()


def test_only_uploads_are_read_and_deleted(desk: Desk, picture: Path, tmp_path: Path) -> None:
    outside = tmp_path / "private.png"
    outside.write_bytes(picture.read_bytes())
    link = picture.with_name("link.png")
    link.symlink_to(outside)
    for path in (outside, link, picture.parent / ".." / "private.png"):
        with pytest.raises(BadInput, match="no longer here"):
            handlers.open_upload(desk, file(path))
    desk.uploads.hold("tab", str(outside))
    desk.uploads.release("tab")
    assert outside.is_file()


def test_results_of_other_files_and_other_checkpoints_have_ids_of_their_own(
    read: Callable[..., Any], desk: Desk, picture: Path
) -> None:
    """Equal content under another name goes with another tab; equal weights may be cut into other patches."""
    inspection = desk.shelf.get(read(image=file(picture))["id"])
    key = desk.shelf.put(inspection)
    assert key == desk.shelf.put(replace(inspection))
    image = replace(inspection.sample.images[0], path=picture.with_name("copy.png"))
    copied = replace(inspection, sample=replace(inspection.sample, images=(image,)))
    made = replace(inspection.trace.provenance, checkpoint_sha256="1" * 64)
    other = replace(inspection, trace=replace(inspection.trace, provenance=made))
    assert len({key, desk.shelf.put(copied), desk.shelf.put(other)}) == 3
    assert desk.shelf.get(key) is not None


def test_the_shelf_forgets_what_weighs_too_much(
    read: Callable[..., Any], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspections = [desk.shelf.get(read(query=query)["id"]) for query in ("red", "blue")]
    monkeypatch.setattr("workbench.ui.desk.MAX_BYTES", 1)
    shelf = Shelf()
    first, second = map(shelf.put, inspections)
    assert shelf.get(second) is inspections[1]
    with pytest.raises(BadInput, match="no longer in memory"):
        shelf.get(first)


def test_the_shelf_forgets_the_oldest(read: Callable[..., Any], desk: Desk) -> None:
    inspection = desk.shelf.get(read()["id"])
    other = desk.shelf.get(read(query="blue")["id"])
    shelf = Shelf(max_kept=1)
    first = shelf.put(inspection)
    second = shelf.put(other)
    assert shelf.get(second) is other
    with pytest.raises(BadInput, match="no longer in memory"):
        shelf.get(first)
