"""The page Map of the real app in a real browser, over the bundled checkpoint and a few Shapes samples."""

from pathlib import Path
from typing import Any

import pytest
from test_zip_shelf import pack

pytestmark = pytest.mark.browser

SAMPLES = 10


@pytest.fixture
def map_page(gl_page: Any, address: str) -> Any:
    gl_page.set_default_timeout(120_000)
    open_map(gl_page, address)
    return gl_page


def open_map(page: Any, address: str) -> None:
    page.goto(address)
    page.get_by_role("tab", name="Map").click()
    page.get_by_role("button", name="Draw the map").wait_for()


def order(page: Any, n: int | str = SAMPLES, of: str | None = None) -> None:
    """Ask for a map of PCA alone: UMAP compiles for most of a minute, and a test of its own fits it."""
    if not page.locator("#ts-map-how").is_visible():
        page.get_by_role("button", name="More settings").last.click()
    page.get_by_label("PCA alone").check()
    page.locator("#ts-map-n input").fill(str(n))
    if of is not None:
        page.locator("#ts-map-of input").click()
        page.get_by_role("option", name=of).click()
    page.get_by_role("button", name="Draw the map").click()


def drawn(page: Any) -> None:
    """Wait for the last version: the bar is gone, and a map is there."""
    page.locator(".mp-body[data-map]").wait_for()
    page.locator("[data-testid=map-wait]").wait_for(state="hidden")


def says(page: Any, sentence: str) -> None:
    page.get_by_test_id("selection-says").get_by_text(sentence).wait_for()


def test_from_a_data_set_to_a_sample_in_explore(map_page: Any) -> None:
    page = map_page
    order(page)
    drawn(page)
    assert f"of {SAMPLES} samples" in page.get_by_test_id("map-count").inner_text()
    assert page.get_by_test_id("map-reading").inner_text().strip()

    stage = page.get_by_test_id("map-stage")
    page.get_by_test_id("mode-box").click()
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    # Not from the very corner: it is round, and what lies outside of it is not the map.
    page.mouse.move(box["x"] + 12, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 12, box["y"] + box["height"] - 12, steps=4)
    page.mouse.up()
    says(page, f"of {SAMPLES} samples inside the shape.")
    assert page.locator("[data-testid=selection] tbody tr").count() == SAMPLES
    tiny = page.locator("[data-testid=selection] tbody img").first.bounding_box()
    assert (tiny["width"], tiny["height"]) == (40, 40)  # a table makes a picture as narrow as it likes
    query = page.locator("[data-testid=selection] tbody tr").nth(3).locator("td").nth(2).inner_text()

    page.get_by_test_id("map-colour").select_option("think position")
    page.locator("[data-drawn='pca think position']").wait_for()
    page.get_by_test_id("map-search").fill(query)
    page.get_by_test_id("map-search").press("Enter")
    says(page, "found for")
    page.get_by_test_id("map-search").fill("</div><script>alert(1)</script>")
    page.get_by_test_id("map-search").press("Enter")
    says(page, "Nothing is found for")

    page.get_by_test_id("map-search").fill(query)
    page.get_by_test_id("map-search").press("Enter")
    says(page, "found for")
    page.get_by_test_id("selection-go").first.click()
    page.get_by_test_id("map-open").click()
    page.get_by_test_id("thought").wait_for()
    assert page.locator("#ts-query textarea").input_value() == query
    assert page.locator("#ts-image img").first.is_visible()


def test_nonsense_is_explained_and_two_tabs_keep_their_maps(map_page: Any, address: str) -> None:
    page = map_page
    order(page, n=1)
    page.locator(".toast-wrap").get_by_text("The number of samples is 1, but must lie between 2").first.wait_for()
    other = page.context.new_page()
    other.set_default_timeout(120_000)
    open_map(other, address)
    order(page, n=4, of="Embeddings")
    order(other, n=5, of="Embeddings")
    for tab, n in ((page, 4), (other, 5)):
        drawn(tab)
        assert f"of {n} points, of {n} samples" in tab.get_by_test_id("map-count").inner_text()
    keys = {tab.locator(".mp-body").get_attribute("data-map") for tab in (page, other)}
    assert len(keys) == 2
    order(page, n=20_000)
    page.get_by_test_id("map-cancel").click()
    page.get_by_test_id("map-error").get_by_text("Cancelled.").wait_for()
    assert "of 4 samples" in page.get_by_test_id("map-count").inner_text()
    other.get_by_test_id("map-search").fill("test-000002")
    other.get_by_test_id("map-search").press("Enter")
    says(other, "1 point of 1 sample found")


def test_a_zip_uploaded_on_export_is_offered_to_its_own_tab(map_page: Any, address: str, tmp_path: Path) -> None:
    page = map_page
    page.get_by_role("tab", name="Export").click()
    page.locator("#ts-export-zip input[type=file]").set_input_files(pack(tmp_path / "photos.zip", 6))
    page.locator("#ts-export-hint").get_by_text("The page Map offers it as a data set too").wait_for()
    page.get_by_role("tab", name="Map").click()
    page.locator("#ts-map-data input").click()
    page.get_by_role("option", name="photos.zip").click()
    page.locator("#ts-map-split input:disabled").wait_for()
    order(page, n=20, of="Embeddings")
    drawn(page)
    assert "Showing 5 of 6 points, of 5 samples" in page.get_by_test_id("map-count").inner_text()
    assert page.get_by_text("photos (test)").is_visible()
    other = page.context.new_page()
    other.set_default_timeout(120_000)
    open_map(other, address)
    other.locator("#ts-map-data input").click()
    other.get_by_role("option", name="Shapes").wait_for()
    assert other.get_by_role("option").count() == 1


def test_an_empty_layer_stays_empty_when_it_is_seen(map_page: Any) -> None:
    page = map_page
    order(page, n=3)
    drawn(page)
    assert page.locator("#ts-map-layer").locator("input, textarea").input_value() == ""
    layer = page.evaluate("document.querySelector('[data-testid=map-stage]').map.data.head.layer")
    page.locator("#ts-map-layer").locator("input, textarea").fill("0")
    version = page.locator(".mp-body").get_attribute("data-map")
    page.get_by_role("button", name="Draw the map").click()
    page.wait_for_function("old => document.querySelector('.mp-body').dataset.map !== old", arg=version)
    assert page.evaluate("document.querySelector('[data-testid=map-stage]').map.data.head.layer") == 0
    assert layer > 0
