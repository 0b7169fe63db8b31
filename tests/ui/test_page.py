"""The real page in a real browser: a person's way through it."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from workbench.assets import assets_dir

pytestmark = pytest.mark.browser


def pick(tab: Any, number: int) -> str:
    """Click an example; returns the question that it filled in."""
    before = tab.locator("#ts-query textarea").input_value()
    tab.get_by_test_id(f"example-{number}").click()
    tab.wait_for_function("old => document.querySelector('#ts-query textarea').value !== old", arg=before)
    tab.locator("#ts-image img").first.wait_for()
    return tab.locator("#ts-query textarea").input_value()


def read(tab: Any) -> None:
    tab.get_by_role("button", name="Read the thought").click()
    tab.get_by_test_id("thought").wait_for(timeout=60_000)


def digest(tab: Any) -> str:
    return tab.get_by_test_id("heatmap").get_attribute("data-digest")


def pixels(tab: Any) -> str:
    return tab.get_by_test_id("heatmap").evaluate("canvas => canvas.toDataURL()")


def says(tab: Any, sentence: str) -> None:
    tab.locator(".toast-wrap").get_by_text(sentence).first.wait_for(timeout=20_000)


def width_beyond(tab: Any) -> int:
    return tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def test_from_an_example_to_the_thought_and_its_heatmaps(tab: Any) -> None:
    assert "trained only on Shapes" in tab.locator("#ts-header").inner_text()
    pick(tab, 1)
    read(tab)
    assert tab.locator("[data-testid=thought] .tv-word").count() > 0
    assert "thoughts of other images" in tab.get_by_test_id("control").inner_text()

    tab.get_by_test_id("card-0").click()
    numbers, drawn = digest(tab), pixels(tab)
    tab.keyboard.press("ArrowRight")
    assert tab.get_by_test_id("card-1").get_attribute("aria-selected") == "true"
    assert (
        tab.evaluate("document.activeElement.id") == "ts-card-1"
        or tab.evaluate("document.activeElement.dataset.testid") == "card-1"
    )
    assert digest(tab) != numbers
    assert pixels(tab) != drawn

    numbers = digest(tab)
    tab.get_by_test_id("layer").fill("1")
    assert digest(tab) != numbers
    numbers = digest(tab)
    tab.get_by_test_id("head").select_option("0")
    assert digest(tab) != numbers
    drawn = pixels(tab)
    tab.get_by_test_id("opacity").fill("20")
    assert pixels(tab) != drawn
    for box in ("smooth", "outline", "own"):
        tab.get_by_test_id(box).check()

    assert "(most watched)" in tab.get_by_test_id("reverse").inner_text()
    tab.get_by_test_id("heatmap").hover(position={"x": 20, "y": 20})
    assert "Who looks at row 1, column 1\n" in tab.get_by_test_id("reverse").inner_text()
    cell = tab.locator("[data-testid=lens] .tv-cell").first
    cell.click()
    assert "tv-cell-chosen" in cell.get_attribute("class")


def test_results_are_kept_as_files(tab: Any, tmp_path: Path) -> None:
    question = pick(tab, 2)
    tab.locator("#ts-query textarea").press("Enter")
    tab.get_by_test_id("thought").wait_for(timeout=60_000)
    with tab.expect_download() as waiting:
        tab.get_by_test_id("save-json").click()
    waiting.value.save_as(tmp_path / "result.json")
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["sample"]["text"] == question
    with tab.expect_download() as waiting:
        tab.get_by_test_id("save-html").click()
    assert waiting.value.suggested_filename.endswith(".html")


def test_two_tabs_do_not_mix(tab: Any, address: str) -> None:
    other = tab.context.new_page()
    other.goto(address)
    other.get_by_test_id("example-1").wait_for()
    pick(tab, 3)
    pick(other, 4)
    tab.get_by_role("button", name="Read the thought").click()
    other.get_by_role("button", name="Read the thought").click()
    for page in (tab, other):
        page.get_by_test_id("thought").wait_for(timeout=60_000)
    ids = [page.get_by_test_id("result").get_attribute("data-ready") for page in (tab, other)]
    assert ids[0] != ids[1]
    pick(other, 3)
    read(other)
    other.wait_for_function("id => document.querySelector('.tv-root').dataset.ready === id", arg=ids[0])


def test_a_bad_upload_and_an_empty_question_are_explained(tab: Any, tmp_path: Path) -> None:
    tab.get_by_role("button", name="Read the thought").click()
    says(tab, "The question is empty")
    upload = tab.locator("#ts-image input[type=file]")
    (tmp_path / "notes.png").write_text("these are words")
    upload.set_input_files(tmp_path / "notes.png")
    says(tab, "'notes.png' is a text file, not an image")
    # The sentence comes some 30 ms before the refused file is cleared away, which would take the next file with it.
    tab.locator("#ts-image img").first.wait_for(state="detached")
    upload.wait_for(state="attached")
    Image.new("RGB", (2000, 5)).save(tmp_path / "thread.png")
    upload.set_input_files(tmp_path / "thread.png")
    says(tab, "one side may be at most")


def test_any_other_image_runs(tab: Any, tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((90, 60)).save(tmp_path / "grey.png")
    tab.locator("#ts-image input[type=file]").set_input_files(tmp_path / "grey.png")
    tab.locator("#ts-query textarea").fill("What is this? <img src=x onerror=alert(1)>")
    read(tab)
    assert tab.locator("[data-testid=result] img[src=x]").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [800, 1440])
def test_nothing_is_cut_off_at_any_width_or_in_the_dark(tab: Any, address: str, theme: str, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto(f"{address}?__theme={theme}")
    tab.get_by_test_id("example-1").wait_for()
    assert width_beyond(tab) <= 0
    pick(tab, 1)
    read(tab)
    assert width_beyond(tab) <= 0
    # The ink of the result must stand out from what it is written on: WCAG's 4.5 to 1.
    for part in (".tv-about", ".tv-thought .tv-word", ".tv-card-note", ".tv-cell"):
        assert tab.evaluate(CONTRAST, part) >= 4.5, part


CONTRAST = """
(selector) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
    const parts = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255);
    const [r, g, b] = parts.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrasts = [...document.querySelectorAll(selector)].map((node) => {
    const grounds = [];
    for (let at = node; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    const [ground, ink] = [over(grounds), over([...grounds, getComputedStyle(node).color])];
    return (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);
  });
  return Math.min(...contrasts);
}
"""


@pytest.mark.parametrize("mark", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_a_forged_path_is_not_read(address: str, mark: dict[str, Any]) -> None:
    """A request made by hand can name any file of this machine; Gradio alone lets one without its type mark pass."""
    config = httpx.get(f"{address}config").json()
    run = next(
        event for event in config["dependencies"] if [trigger for _, trigger in event["targets"]][:1] == ["click"]
    )
    values = {part["id"]: part["props"].get("value") for part in config["components"]}
    image = {"path": str(assets_dir() / "examples" / "shapes-1.png"), **mark}
    data = [image, None, "What is it?", *(values[number] for number in run["inputs"][3:])]
    asked = {"data": data, "fn_index": run["id"], "session_hash": f"forged{len(mark)}"}
    assert httpx.post(f"{address}gradio_api/queue/join", json=asked).status_code == 200
    with httpx.stream("GET", f"{address}gradio_api/queue/data?session_hash=forged{len(mark)}", timeout=60) as lines:
        end = next(line for line in lines.iter_lines() if "process_completed" in line)
    answer = json.loads(end.removeprefix("data: "))
    assert answer["success"] is False
    assert mark or "no longer here" in answer["output"]["error"]


def test_nothing_is_offered_beyond_the_page(address: str) -> None:
    assert httpx.get(f"{address}gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}
    for closed in ("gradio_api/file=/etc/passwd", "monitoring", "gradio_api/runs"):
        assert httpx.get(f"{address}{closed}").status_code in (403, 404)
