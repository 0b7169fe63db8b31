"""What every test has: gates for the browser and the GPU."""

import os
import shutil
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def shapes_rows() -> list[dict[str, Any]]:
    """Sixty rows of the Shapes world, as its JSONL holds them."""
    from workbench.data.shapes import ShapesConfig, make_sample, to_row

    return [to_row(make_sample(ShapesConfig(), "validation", index)) for index in range(60)]


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory, shapes_rows: list[dict[str, Any]]) -> Path:
    """A small random Qwen2-VL with four think tokens and both decoder contexts, as a checkpoint folder. Read-only."""
    from checkpoints import write_tiny

    return write_tiny(tmp_path_factory.mktemp("checkpoints") / "tiny", shapes_rows)


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path) -> Any:
    """The tiny checkpoint, loaded on the CPU in float32. Read-only."""
    from workbench.models.checkpoint import load_checkpoint

    return load_checkpoint(tiny_checkpoint, device="cpu", dtype="float32")
