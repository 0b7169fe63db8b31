"""The page Export in a real browser: a zip goes in, is refused, cancelled, gone on with, and comes out as files."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

pytestmark = pytest.mark.browser
EVIL = "<img src=x onerror=alert(1)>"
LONG = 180_000
"""Milliseconds. A worker loads torch and a model of its own, which takes a busy machine a while."""


def pack(path: Path, n: int) -> Path:
    """n questions about one image, one of them about an image that is not there, one with markup in it."""
    drawn = BytesIO()
    Image.new("RGB", (32, 32), "red").save(drawn, "PNG")
    rows = ["id,query,image", *(f"q{number},{EVIL if number == 2 else 'What is it?'},img/1.png" for number in range(n))]
    rows[2] = "q1,What is it?,../../../../etc/passwd"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photos/img/1.png", drawn.getvalue())
        archive.writestr("photos/queries.csv", "\n".join(rows) + "\n")
    return path


def open_export(tab: Any) -> Any:
    tab.get_by_role("tab", name="Export").click()
    tab.get_by_test_id("export").wait_for()
    return tab


def upload(tab: Any, path: Path) -> None:
    tab.locator("#ts-export-zip input[type=file]").set_input_files(path)


def start(tab: Any) -> None:
    tab.get_by_role("button", name="Export the thoughts").click()


def wait(tab: Any, *states: str) -> None:
    tab.wait_for_function(
        "states => states.includes(document.querySelector('[data-testid=export]').dataset.state)",
        arg=list(states),
        timeout=LONG,
    )


def save(tab: Any, kind: str, folder: Path) -> Path:
    with tab.expect_download() as waiting:
        tab.get_by_test_id(f"export-save-{kind}").click()
    waiting.value.save_as(folder / waiting.value.suggested_filename)
    return folder / waiting.value.suggested_filename


def done(tab: Any) -> int:
    return int(tab.get_by_test_id("export-done").inner_text().split()[0].replace(",", ""))


def test_a_zip_goes_in_and_thoughts_come_out(tab: Any, address: str, tmp_path: Path) -> None:
    open_export(tab)
    (tmp_path / "nonsense.zip").write_text("these are words")
    upload(tab, tmp_path / "nonsense.zip")
    tab.locator(".toast-wrap").get_by_text("The file is no zip").first.wait_for(timeout=LONG)

    upload(tab, pack(tmp_path / "photos.zip", 4))
    tab.locator("#ts-export-hint").get_by_text("photos/queries.csv").wait_for(timeout=LONG)
    assert tab.locator("#ts-export-n input").input_value() == ""
    start(tab)

    # Another tab works on its own data meanwhile, and stops without touching this one.
    other = open_export(new_tab(tab, address))
    other.locator("#ts-export-n input").fill("5000")
    start(other)
    other.get_by_test_id("export-cancel").click(timeout=LONG)
    wait(other, "cancelled")
    assert "Cancelled: Shapes" in other.get_by_test_id("export").inner_text()

    wait(tab, "complete")
    assert (done(tab), tab.get_by_test_id("export-failed").inner_text().split()[0]) == (3, "1")
    preview = tab.get_by_test_id("export-preview")
    assert EVIL in preview.inner_text()
    assert preview.locator("img").count() == 0
    assert "leads out of the folder" in tab.get_by_test_id("export-problems").inner_text()
    records = [json.loads(line) for line in save(tab, "jsonl", tmp_path).read_text().splitlines()]
    assert [record["id"] for record in records] == ["q0", "q1", "q2", "q3"]
    assert [record["error"] is None for record in records] == [True, False, True, True]
    assert zipfile.ZipFile(save(tab, "zip", tmp_path)).testzip() is None

    # Loaded again, the page finds its export; the other page's is not its.
    tab.reload()
    open_export(tab)
    wait(tab, "complete")
    assert done(tab) == 3
    assert tab.evaluate("sessionStorage.getItem('thinkscope-export')") not in other.content()


def new_tab(tab: Any, address: str) -> Any:
    other = tab.context.new_page()
    other.goto(address)
    other.get_by_test_id("example-1").wait_for()
    return other


def test_only_what_was_exported_can_be_fetched(address: str) -> None:
    for path in ("/etc/passwd", "exports/../../etc/passwd"):
        assert httpx.get(f"{address}gradio_api/file={path}").status_code in (403, 404)
