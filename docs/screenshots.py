"""`python docs/screenshots.py`: pictures of the running app for the README, written to `docs/images/`.

Starts the real app, picks an example, presses the button, waits for the thought and clicks one of its words; then draws
a map and points at it; then compares the two bundled checkpoints, and audits one. Whole pages, 1440 and 800 px wide, light
and dark, go to `runs/screenshots/`, to be looked at; the README shows the upper part of the wide ones.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from workbench.assets import bundled_checkpoints
from workbench.ui.app import serve

FOLDER = Path(__file__).resolve().parent / "images"
PAGES = FOLDER.parent.parent / "runs" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    # WebGL in software, for the map.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
EXAMPLE = 3
WORD = 7
"""The word whose pixels are shown."""
HEIGHTS = {"explore": 1900, "map": 1120, "compare": 1300, "audit": 1300}
"""Pixels of each page that the README shows: of Explore from the header to the map of the word, of Map to the map's end."""
AUDITED = 200
"""Samples of the audit."""
SHOTS = (("light", 1440), ("dark", 1440), ("light", 800), ("dark", 800))


def main() -> int:
    """Take every picture; 2 with a sentence when something that it needs is missing."""
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        sys.stderr.write("Chromium is missing: apt-get install -y chromium\n")
        return 2
    folders = [Path(argument) for argument in sys.argv[1:]]
    if not folders and not bundled_checkpoints():
        sys.stderr.write("No checkpoint is bundled; name a folder: python docs/screenshots.py FOLDER\n")
        return 2
    FOLDER.mkdir(exist_ok=True)
    PAGES.mkdir(parents=True, exist_ok=True)
    app, address = serve(folders, port=None, block=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        for theme, width in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": 1000})
            shoot(page, f"{address}?__theme={theme}", f"explore-{theme}-{width}.png")
            shoot_map(page, f"{address}?__theme={theme}", f"map-{theme}-{width}.png")
            shoot_compare(page, f"{address}?__theme={theme}", f"compare-{theme}-{width}.png")
            shoot_audit(page, f"{address}?__theme={theme}", f"audit-{theme}-{width}.png")
            page.close()
        browser.close()
    for theme in ("light", "dark"):
        for name, height in HEIGHTS.items():
            with Image.open(PAGES / f"{name}-{theme}-1440.png") as whole:
                part = whole.crop((0, 0, whole.width, min(height, whole.height)))
                part.save(FOLDER / f"{name}-{theme}.png", optimize=True)
    app.close(verbose=False)
    return 0


def shoot(page: Any, address: str, name: str) -> None:
    """One picture of the whole page after a real click."""
    page.goto(address)
    page.get_by_test_id(f"example-{EXAMPLE}").click()
    page.wait_for_function("document.querySelector('#ts-query textarea').value !== ''")
    page.get_by_role("button", name="Read the thought").click()
    page.get_by_test_id("thought").wait_for(timeout=120_000)
    page.get_by_test_id("card-1").click()
    page.locator("[data-testid=thought] .tv-can").nth(WORD).click()
    page.locator("[data-testid=attribution-map][data-digest]").wait_for(timeout=120_000)
    page.mouse.move(2, 2)
    page.evaluate("window.scrollTo(0, 0)")
    # Gradio fades its progress bar out.
    page.wait_for_timeout(1500)
    page.screenshot(path=PAGES / name, full_page=True)
    print(f"wrote {PAGES / name}")


def shoot_map(page: Any, address: str, name: str) -> None:
    """One picture of the page Map: UMAP of the offered number of samples, a cluster selected and one of its points chosen."""
    page.goto(address)
    page.get_by_role("tab", name="Map").click()
    page.get_by_role("button", name="Draw the map").click()
    page.locator("[data-drawn^=umap]").wait_for(timeout=600_000)
    page.get_by_test_id("map-wait").wait_for(state="hidden")
    if page.get_by_test_id("cluster-0").count():
        page.get_by_test_id("cluster-0").click()
        page.locator("[data-testid=selection] tbody tr").first.wait_for()
    page.get_by_test_id("map-stage").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_test_id("map-near").wait_for()
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    page.screenshot(path=PAGES / name, full_page=True)
    print(f"wrote {PAGES / name}")


def shoot_compare(page: Any, address: str, name: str) -> None:
    """One picture of the page Compare: the sample that lost most ranks, half of it under each checkpoint."""
    page.goto(address)
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("[data-testid=sample][data-sample]").wait_for(timeout=600_000)
    page.get_by_test_id("choice-1").click()
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    page.screenshot(path=PAGES / name, full_page=True)
    print(f"wrote {PAGES / name}")


def shoot_audit(page: Any, address: str, name: str) -> None:
    """One picture of the page Audit: the verdict, and the figures behind it. The second time they are kept."""
    page.goto(address)
    page.get_by_role("tab", name="Audit").click()
    page.locator("#ts-audit-n input").fill(str(AUDITED))
    page.get_by_role("button", name="Audit", exact=True).click()
    page.get_by_test_id("audit-verdict").wait_for(timeout=600_000)
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    page.screenshot(path=PAGES / name, full_page=True)
    print(f"wrote {PAGES / name}")


if __name__ == "__main__":
    raise SystemExit(main())
