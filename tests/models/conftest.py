"""What several tests of models share."""

from pathlib import Path
from typing import Any

import pytest
from apart import WAYS, write_way

from workbench.models.checkpoint import load_checkpoint


@pytest.fixture(scope="session")
def apart_folders(tmp_path_factory: pytest.TempPathFactory, shapes_rows: list[dict[str, Any]]) -> dict[str, Path]:
    """A random checkpoint of each extraction, of equal weights but for the adapters. Read-only."""
    room = tmp_path_factory.mktemp("apart")
    return {name: write_way(room / name, shapes_rows, layout) for name, layout in WAYS.items()}


@pytest.fixture(scope="session")
def apart_models(apart_folders: dict[str, Path]) -> dict[str, Any]:
    """The same, loaded. Read-only."""
    return {name: load_checkpoint(folder, device="cpu", dtype="float32") for name, folder in apart_folders.items()}
