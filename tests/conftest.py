"""What every test has: gates for the browser and the GPU."""

import os
import shutil

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, with the reason; in CI a missing browser is a failure, not a skip."""
    if item.get_closest_marker("browser") and not any(map(shutil.which, CHROMIUM)):
        reason = "Chromium is missing: apt-get install -y chromium"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("there is no CUDA device")
