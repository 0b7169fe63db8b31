"""The real page in a real browser: from a word to its pixels, and from a patch to what depends on it."""

from typing import Any

import pytest

pytestmark = pytest.mark.browser


def digest(tab: Any) -> str | None:
    return tab.get_by_test_id("attribution-map").get_attribute("data-digest")


def explain(tab: Any, word: int) -> None:
    before = digest(tab) if tab.get_by_test_id("attribution-map").is_visible() else None
    tab.locator(f"[data-testid=thought] .tv-can >> nth={word}").click()
    tab.wait_for_function(
        "old => { const map = document.querySelector('[data-testid=attribution-map]');"
        " return map && map.dataset.digest && map.dataset.digest !== old; }",
        arg=before,
        timeout=120_000,
    )


@pytest.fixture
def read(tab: Any) -> Any:
    tab.get_by_test_id("example-1").click()
    tab.wait_for_function("document.querySelector('#ts-query textarea').value !== ''")
    tab.get_by_role("button", name="Read the thought").click()
    tab.get_by_test_id("thought").wait_for(timeout=120_000)
    if tab.locator("[data-testid=thought] .tv-can").count() < 2:
        pytest.skip("the random model wrote no two words")
    return tab


def test_a_word_and_a_patch(read: Any) -> None:
    assert "Click a word of the thought" in read.get_by_test_id("attribution-hint").inner_text()
    assert not read.get_by_test_id("attribution-map").is_visible()
    explain(read, 0)
    words = read.locator("[data-testid=thought] .tv-can")
    assert words.nth(0).get_attribute("aria-pressed") == "true"
    assert "Attention is not attribution" in read.get_by_test_id("attribution").inner_text()
    assert "How far to trust this map" in read.get_by_test_id("trust").inner_text()
    first, asked = digest(read), []
    read.on("request", lambda request: asked.append(request.url) if "component_server" in request.url else None)
    explain(read, 1)
    assert digest(read) != first
    assert asked == []  # all words came together
    assert words.nth(0).get_attribute("aria-pressed") == "false"

    read.get_by_test_id("attribution-map").click()
    read.get_by_test_id("dependents-think").wait_for(timeout=120_000)
    here = read.get_by_test_id("dependents").inner_text()
    read.get_by_test_id("attribution-map").press("ArrowRight")
    read.wait_for_function("old => document.querySelector('[data-testid=dependents]').innerText !== old", arg=here)
    assert digest(read) is not None


def test_a_word_by_the_keyboard_and_another_method(read: Any) -> None:
    read.locator("[data-testid=thought] .tv-can").first.press("Enter")
    read.locator("[data-testid=attribution-map][data-digest]").wait_for(timeout=120_000)
    before = digest(read)
    read.locator("[data-testid=attribution-chooser] summary").click()
    offered = read.get_by_test_id("attribution-method").locator("option:not([disabled])")
    assert offered.count() > 3
    read.get_by_test_id("attribution-method").select_option("saliency")
    read.wait_for_function(
        "old => document.querySelector('[data-testid=attribution-map]').dataset.digest !== old",
        arg=before,
        timeout=120_000,
    )
    assert "Saliency" in read.get_by_test_id("attribution").inner_text()


def test_a_contrast_with_itself_is_one_sentence(read: Any) -> None:
    word = read.locator("[data-testid=thought] .tv-can").first
    explain(read, 0)
    read.locator("[data-testid=attribution-chooser] summary").click()
    read.get_by_test_id("attribution-contrast").fill(word.inner_text().strip(".,:"))
    read.get_by_test_id("attribution-contrast").press("Enter")
    read.get_by_test_id("attribution-error").get_by_text("compared with itself").wait_for(timeout=60_000)


def test_a_checkpoint_that_does_not_think_says_so_and_shows_its_embedding(tab: Any) -> None:
    tab.get_by_test_id("example-2").click()
    tab.locator("#ts-image img").first.wait_for()
    chosen = tab.get_by_label("Checkpoint").first
    chosen.click()
    tab.get_by_role("option", name="no-think", exact=True).click()
    tab.wait_for_function("box => box.value === 'no-think'", arg=chosen.element_handle())
    tab.get_by_role("button", name="Read the thought").click()
    tab.get_by_text("This checkpoint does not think").wait_for(timeout=120_000)
    shown = tab.get_by_test_id("result").inner_text()
    for title in ("The embedding", "Where the embedding looks", "Nearest candidates"):
        assert title in shown
    for wrong in ("The 0 think tokens", "DecodesThoughts", "Click a word", "undefined", "NaN"):
        assert wrong not in shown
    offered = tab.get_by_test_id("attribution-target").locator("option").all_inner_texts()
    assert offered[0] == "choose one"
    assert not any("thought" in one or "think" in one for one in offered)
    tab.get_by_test_id("attribution-target").select_option("embedding:contrast")
    tab.locator("[data-testid=attribution-map][data-digest]").wait_for(timeout=120_000)
    # A patch is marked, and nothing is asked for that the model has not.
    tab.get_by_test_id("attribution-map").click()
    tab.wait_for_timeout(500)
    assert not tab.get_by_test_id("attribution-error").is_visible()
    assert "depends" not in tab.get_by_test_id("attribution").inner_text()
