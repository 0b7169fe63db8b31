"""The page Audit of the real app in a real browser, and the card on Explore, over the bundled checkpoint."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_page import pick, read

pytestmark = pytest.mark.browser

SAMPLES = 6
LONG = 300_000
"""Milliseconds: the checkpoint reads 200 candidates, on a machine that may be busy."""

SCROLL = """box => {
  box.scrollTo(150, 150);
  const [at, name, head] = [box, box.querySelector("tbody tr:last-child td"), box.querySelector("thead th:last-child")].map(node => node.getBoundingClientRect());
  return { right: box.scrollLeft, down: box.scrollTop, name: name.left - at.left, head: head.top - at.top };
}"""
"""Scrolls a wide table in its box; tells how far, and where the first cell of a row and the head stand in the box."""
MASK = """async (box, at) => {
  box.scrollLeft = at;
  for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
  return getComputedStyle(box).maskImage;
}"""
"""Scrolls a wide table to the right; tells what it is masked with, two frames later."""


def order(page: Any, n: int) -> None:
    page.locator("#ts-audit-n input").fill(str(n))
    page.get_by_role("button", name="Audit", exact=True).click()


def test_a_checkpoint_is_audited_cancelled_and_gone_on_with(tab: Any, tmp_path: Path) -> None:
    page = tab
    page.set_default_timeout(LONG)
    page.get_by_role("tab", name="Audit").click()
    page.get_by_role("button", name="Audit", exact=True).wait_for()
    order(page, 0)
    page.locator(".toast-wrap").get_by_text("The number of samples is 0, but must lie between 1").first.wait_for()

    order(page, SAMPLES)
    page.get_by_test_id("audit-cancel").click()
    page.get_by_test_id("audit-error").get_by_text("Cancelled.").wait_for()
    order(page, SAMPLES)
    verdict = page.get_by_test_id("audit-verdict")
    verdict.wait_for()
    assert "only 6 samples have a ranked right candidate" in verdict.inner_text()
    told = page.get_by_test_id("audit").inner_text()
    for title in (
        "All thoughts edited",
        "Each thought by itself",
        "Attention cut",
        "How the thoughts lie",
        "Not tested",
    ):
        assert title in told
    assert f"--n {SAMPLES} --seed 0" in told
    assert page.get_by_test_id("audit").locator("svg").count() >= 2

    with page.expect_download() as waiting:
        page.get_by_test_id("audit-save-json").click()
    waiting.value.save_as(tmp_path / "audit.json")
    assert json.loads((tmp_path / "audit.json").read_text())["schema"] == "thinkscope.audit"

    for width in (1440, 800):
        page.set_viewport_size({"width": width, "height": 500})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    wide = page.get_by_test_id("audit").locator(".cp-wide").first
    scrolled = wide.evaluate(SCROLL)
    assert scrolled["right"] > 100
    assert scrolled["down"] > 100
    # What a row and a column are stays to be seen.
    assert abs(scrolled["name"]) <= 1
    assert abs(scrolled["head"]) <= 1
    # It fades at the right, head and rows, until its end is in sight.
    assert wide.evaluate(MASK, 150).startswith("linear-gradient")
    assert wide.evaluate(MASK, 1e6) == "none"

    # So it does in the file.
    with page.expect_download() as waiting:
        page.get_by_test_id("audit-save-html").click()
    waiting.value.save_as(tmp_path / "audit.html")
    page.goto((tmp_path / "audit.html").as_uri())
    wide = page.locator(".cp-wide").first
    assert wide.evaluate(MASK, 0).startswith("linear-gradient")
    assert wide.evaluate(MASK, 1e6) == "none"


def test_explore_tells_what_hiding_each_thought_does(tab: Any) -> None:
    tab.set_default_timeout(LONG)
    pick(tab, 1)
    read(tab)
    table = tab.get_by_test_id("hidden")
    table.wait_for()
    assert table.locator("tbody tr").count() == 9
    assert "all thoughts" in table.inner_text()
    assert "comes first" in tab.get_by_test_id("hidden-says").inner_text()
