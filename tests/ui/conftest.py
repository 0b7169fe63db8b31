"""A desk over the planted model for handlers, and the real app in a real browser for the page."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from planted import N_THINK, PlantedModel

from workbench.assets import bundled_checkpoints
from workbench.embedder import Embedder
from workbench.runner import Session
from workbench.types import Sample
from workbench.ui.desk import Desk

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


class PlantedSession(Session):
    """A session whose every checkpoint is the planted model; its thought is made from the words of the question."""

    def __init__(self) -> None:
        super().__init__(device="cpu")
        self.planted = CountingModel()

    def model(self, checkpoint: str = "") -> Embedder:
        return self.planted


class CountingModel(PlantedModel):
    def __init__(self) -> None:
        self.prepared: list[str] = []

    def prepare(self, sample: Sample) -> Any:
        from dataclasses import replace

        self.prepared.append(sample.text)
        words = [
            f" {word}" for word in sample.text.split() if f" {word}" in (" red", " blue", " square", " left", " right")
        ]
        hot = (0, 1) if sample.images else None
        return super().prepare(replace(sample, metadata={"thought": tuple(words[:N_THINK]), "hot": hot}))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "planted-checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    return Desk(PlantedSession(), [folder], upload_folder=uploads)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """50 wide, 30 high: three rows of five patches for the planted model."""
    path = tmp_path / "uploads" / "picture.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((30, 50, 3), 90, dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real app with the bundled checkpoint, or with a random one where none is bundled yet.

    In a process of its own, as a person starts it: Gradio's event loops and sockets leave warnings behind, which here are
    errors, and those would fall on whichever test runs when they are collected.
    """
    port = free_port()
    command = [sys.executable, "-m", "workbench.cli", "app", "--port", str(port), "--device", "cpu"]
    if "tte-flash" not in bundled_checkpoints():
        command += ["--checkpoint", str(request.getfixturevalue("tiny_checkpoint"))]
    log = tmp_path_factory.mktemp("app") / "log.txt"
    with log.open("w") as output:
        # A cache of its own: what a run before has read would be there at once, and leave nothing to wait for or cancel.
        server = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"XDG_CACHE_HOME": str(log.parent / "cache")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_for(url, server, log)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            httpx.get(url, timeout=5)
        except httpx.HTTPError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"the app did not answer: {log.read_text()}")


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    """One for all browsers: a second one in the same process would meet the first one's event loop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium(playwright: Any) -> Iterator[Any]:
    yield from launch(playwright, FLAGS)


@pytest.fixture(scope="session")
def gl_chromium(playwright: Any) -> Iterator[Any]:
    """With WebGL, drawn by software, as the map wants it."""
    yield from launch(playwright, (*(flag for flag in FLAGS if flag != "--disable-gpu"), *SOFTWARE_GL))


def launch(playwright: Any, flags: tuple[str, ...]) -> Iterator[Any]:
    found = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
    browser = playwright.chromium.launch(executable_path=found, args=list(flags))
    yield browser
    browser.close()


@pytest.fixture
def tab(chromium: Any, address: str) -> Iterator[Any]:
    for page in watched(chromium):
        page.goto(address)
        page.get_by_test_id("example-1").wait_for()
        yield page


@pytest.fixture
def gl_page(gl_chromium: Any) -> Iterator[Any]:
    """As `tab`, with WebGL, and not yet gone anywhere."""
    yield from watched(gl_chromium)


def watched(browser: Any) -> Iterator[Any]:
    """A fresh tab that fails the test on a script error or on a request to anywhere else."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    page, troubles = context.new_page(), []
    page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    page.on("request", lambda asked: None if is_local(asked.url) else troubles.append(f"fetched {asked.url}"))
    yield page
    context.close()
    assert troubles == []


def is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1", "data:", "blob:", "file:"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
