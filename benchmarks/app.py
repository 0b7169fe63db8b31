"""`python benchmarks/app.py [--json] [--checkpoint FOLDER]`: seconds from start to usable page, and from click to thought.

Starts `thinkscope app` as a person does, with a cold process, and drives the page with Chromium. Goal: a click on the
bundled checkpoint shows its thought in under 1 s.
"""

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from workbench.assets import examples

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
PATIENCE = 180


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Seconds from start to usable page, and from click to thought.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="PATH", help="offer this folder too")
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.stderr.write("Chromium is missing: apt-get install -y chromium\n")
        return 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "workbench.cli", "app", "--port", str(port)]
    command += [word for path in options.checkpoint for word in ("--checkpoint", path)]
    start = time.perf_counter()
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        found = measure(f"http://127.0.0.1:{port}/", browser, start)
    finally:
        server.terminate()
        server.wait(timeout=30)
    print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
    return 0


def measure(address: str, browser_path: str, start: float) -> dict[str, Any]:
    """Wait for the page, click at once, then click every other example and ask the last one again."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        wait_for_server(address)
        answers = time.perf_counter() - start
        page.goto(address)
        page.get_by_role("button", name="Read the thought").wait_for()
        usable = time.perf_counter() - start
        first = click_to_thought(page, 1)
        clicks = [click_to_thought(page, number) for number in range(2, len(examples()))]
        again = click_to_thought(page, len(examples()) - 2)
        browser.close()
    return {
        "start_to_server_s": round(answers, 2),
        "start_to_usable_page_s": round(usable, 2),
        "first_click_to_thought_s": round(first, 2),
        "click_to_thought_median_s": round(statistics.median(clicks), 3),
        "click_to_thought_worst_s": round(max(clicks), 3),
        "known_question_again_s": round(again, 3),
        "n_clicks": len(clicks),
    }


def wait_for_server(address: str) -> None:
    """Return as soon as the server answers."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"the app did not answer within {PATIENCE} s")


def click_to_thought(page: Any, number: int) -> float:
    """Seconds from the click until the browser has drawn the new result."""
    page.get_by_test_id(f"example-{number}").click()
    question = examples()[number].query
    page.wait_for_function("text => document.querySelector('#ts-query textarea').value === text", arg=question)
    page.wait_for_timeout(300)
    shown = page.get_by_test_id("result").get_attribute("data-ready") or ""
    start = time.perf_counter()
    page.get_by_role("button", name="Read the thought").click()
    page.wait_for_function(
        "old => (document.querySelector('.tv-root').dataset.ready || '') !== old", arg=shown, timeout=PATIENCE * 1000
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    raise SystemExit(main())
