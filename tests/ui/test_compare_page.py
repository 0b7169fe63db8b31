"""The page Compare of the real app in a real browser, over the two bundled checkpoints and a few Shapes samples."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytestmark = pytest.mark.browser

SAMPLES = 6
GIVEN_UP = (
    f"compare=tte-flash&compare=tte-flash-early&data=Shapes&split=test&n={SAMPLES + 1}"
    f"&sample=test-00000{SAMPLES}&k=3&maps=saliency&slide=9&sort=-id"
)
"""An address of another comparison, of whose sample the tests' own has none."""
LONG = 300_000
"""Milliseconds: two checkpoints read 200 candidates, on a machine that may be busy."""


def open_compare(page: Any, address: str) -> Any:
    page.set_default_timeout(LONG)
    page.goto(address)
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("button", name="Compare", exact=True).wait_for()
    return page


def order(page: Any, n: int | str = SAMPLES) -> None:
    page.locator("#ts-compare-n input").fill(str(n))
    page.get_by_role("button", name="Compare", exact=True).click()


def shown(page: Any) -> str:
    """Wait for a sample side by side; returns its id."""
    page.locator("[data-testid=sample][data-sample]").wait_for()
    return page.get_by_test_id("sample").get_attribute("data-sample")


def asked(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def pixels(page: Any) -> str:
    return page.evaluate("document.querySelector('.cp-canvas').toDataURL()")


def drag(page: Any, begin: float, end: float) -> None:
    """Drag on the picture between two shares of its width."""
    canvas = page.locator(".cp-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + begin * box["width"], height)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], height)
    page.mouse.up()


def test_two_checkpoints_are_compared_and_the_address_opens_it_again(tab: Any, address: str, tmp_path: Path) -> None:
    page = open_compare(tab, address)
    order(page, n=0)
    page.locator(".toast-wrap").get_by_text("The number of samples is 0, but must lie between 1").first.wait_for()

    # Cancelled at once. What the address wanted to see is of its own comparison, and not of the one that is made instead.
    page.goto(f"{address}?{GIVEN_UP}")
    page.get_by_test_id("compare-cancel").click()
    page.get_by_test_id("compare-error").get_by_text("Cancelled.").wait_for()
    order(page)
    first = shown(page)
    assert page.get_by_test_id("compare-error").is_hidden()
    assert set(asked(page)) == {"compare", "data", "split", "n", "sample", "k"}
    assert asked(page)["k"] == ["1"]
    assert page.get_by_test_id("changes").locator("tr").count() == SAMPLES
    assert "Right document found first" in page.get_by_test_id("quality").inner_text()
    assert "neighbours kept" in page.get_by_test_id("likeness").inner_text()
    assert asked(page)["compare"] == ["tte-flash", "tte-flash-early"]
    assert asked(page)["sample"] == [first]

    # A sorted list opens another sample, a card another think token, and the slider moves from one to the other.
    page.get_by_test_id("sort-id").click()
    ids = page.locator("[data-testid=changes] tr").evaluate_all("rows => rows.map((row) => row.dataset.id)")
    assert ids == sorted(ids)
    assert asked(page)["sort"] == ["id"]
    page.locator("[data-testid=changes] tr[data-id='test-000004'] button").click()
    page.locator("[data-testid=sample][data-sample='test-000004']").wait_for()
    page.get_by_test_id("choice-2").click()
    before = pixels(page)
    page.get_by_test_id("slide").fill("100")
    slid = pixels(page)
    assert slid != before
    assert asked(page)["slide"] == ["100"]
    drag(page, 0.6, 0.25)
    assert pixels(page) not in (before, slid)
    assert asked(page)["slide"] == [page.get_by_test_id("slide").input_value()] == ["25"]
    drag(page, 0.6, 1.5)  # beyond the picture's edge
    assert pixels(page) == slid
    drag(page, 0.9, 0.25)
    assert asked(page)["k"] == ["3"]

    # What the patches add, of both on one scale; it stays chosen for the next sample, and in the address.
    page.get_by_test_id("layer-attribution").click()
    page.locator(".cp-stage[data-drawn^=attribution]").wait_for()
    assert "of a whole map on one patch" in page.get_by_test_id("map-scale").inner_text()
    assert "unexplained" in page.get_by_test_id("choice-2").inner_text()
    page.locator("[data-testid=changes] tr[data-id='test-000003'] button").click()
    page.locator("[data-testid=sample][data-sample='test-000003']").wait_for()
    page.locator(".cp-stage[data-drawn^=attribution]").wait_for()
    attributed = pixels(page)
    assert asked(page)["maps"] == ["integrated_gradients"]
    page.get_by_test_id("layer-attention").click()
    page.locator(".cp-stage[data-drawn^=attention]").wait_for()
    assert pixels(page) != attributed
    assert "maps" not in asked(page)
    page.get_by_test_id("layer-method").select_option("saliency")
    page.locator("[data-testid=changes] tr[data-id='test-000004'] button").click()
    page.locator("[data-testid=sample][data-sample='test-000004']").wait_for()
    page.locator(".cp-stage[data-drawn^=attribution]").wait_for()
    page.get_by_test_id("choice-2").click()

    with page.expect_download() as waiting:
        page.get_by_test_id("compare-save-json").click()
    waiting.value.save_as(tmp_path / "comparison.json")
    assert json.loads((tmp_path / "comparison.json").read_text())["schema"] == "thinkscope.comparison"

    # Another tab, dark and narrow, opened by the address alone.
    other = page.context.new_page()
    other.set_default_timeout(LONG)
    other.set_viewport_size({"width": 800, "height": 900})
    other.goto(f"{page.url}&__theme=dark")
    assert shown(other) == "test-000004"
    other.locator(".cp-stage[data-drawn^=attribution]").wait_for()
    assert other.get_by_test_id("layer-method").input_value() == "saliency"
    assert other.get_by_test_id("choice-2").get_attribute("aria-pressed") == "true"
    assert other.get_by_test_id("slide").input_value() == "25"
    assert other.locator("th", has=other.get_by_test_id("sort-id")).get_attribute("aria-sort") == "ascending"
    assert other.locator("#ts-compare-n input").input_value() == str(SAMPLES)
    assert other.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert other.evaluate("document.body.classList.contains('dark')")
    assert shown(page) == "test-000004"

    # What an address names but is not there is told, and what it asks for is forgotten when the page is asked again.
    other.goto(f"{page.url.replace('sample=test-000004', 'sample=test-000099')}&pair=no-think")
    told = other.get_by_test_id("compare-error")
    told.get_by_text("The checkpoint 'no-think' of this address is not among those that were compared.").wait_for()
    assert "There is no sample 'test-000099' among" in told.inner_text()
    assert {"slide", "sort", "maps"} <= set(asked(other))
    other.get_by_role("button", name="Compare", exact=True).click()
    other.wait_for_function("!location.search.includes('sort=')")
    assert set(asked(other)) == {"compare", "data", "split", "n", "sample", "k"}
    assert other.get_by_test_id("slide").input_value() == "50"

    # Of three checkpoints the address names the one that is set beside the first; older ones held its place.
    three = page.url.replace("compare=tte-flash-early", "compare=no-think&compare=tte-flash-early").replace(
        "&maps", "&x"
    )
    for pair in ("tte-flash-early", "2"):
        other.goto(f"{three}&pair={pair}")
        assert shown(other) == "test-000004"
        assert told.is_hidden()
        assert other.get_by_test_id("pair").input_value() == "1"
        assert asked(other)["pair"] == ["tte-flash-early"]
    other.get_by_test_id("pair").select_option("0")
    other.wait_for_function("location.search.includes('pair=no-think')")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("compare=/etc/passwd&compare=tte-flash&n=3", "There is no checkpoint named '/etc/passwd'"),
        ("compare=tte-flash&compare=tte-flash-early&data=/etc&n=3", "There is no data set named '/etc'"),
        ("compare=tte-flash&compare=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "There is no checkpoint named '<img"),
        ("compare=tte-flash", "No second checkpoint"),
    ],
)
def test_an_address_of_nonsense_is_told(tab: Any, address: str, query: str, told: str) -> None:
    tab.goto(f"{address}?{query}")
    tab.locator("[data-testid=compare-error]").get_by_text("This address cannot be opened").wait_for(
        state="attached", timeout=60_000
    )
    assert told in tab.get_by_test_id("compare-error").text_content()
    assert tab.locator("[data-testid=compare] img").count() == 0
