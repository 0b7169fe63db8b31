"""What every test has: gates for the browser and the GPU."""

import functools
import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def pytest_configure(config: pytest.Config) -> None:
    """Several workers (`make test` starts two) share the cores, and so do the processes that they start."""
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_itemcollected(item: pytest.Item) -> None:
    """A file's tests stay in one worker, since they share fixtures; so do all that drive the one app."""
    group = "browser" if item.get_closest_marker("browser") else item.nodeid.split("::")[0]
    item.add_marker(pytest.mark.xdist_group(group))


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
def tiny_kinds(tmp_path_factory: pytest.TempPathFactory, shapes_rows: list[dict[str, Any]]) -> dict[str, Path]:
    """Small random checkpoints of the other kinds by name: lame, explicit-cot and no-think. Read-only."""
    from checkpoints import write_tiny

    from workbench.models.layout import explicit_cot, lame, no_think

    folder = tmp_path_factory.mktemp("kinds")
    layouts = {"lame": lame(3), "explicit-cot": explicit_cot(), "no-think": no_think()}
    return {name: write_tiny(folder / name, shapes_rows, layout=layout) for name, layout in layouts.items()}


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path) -> Any:
    """The tiny checkpoint, loaded on the CPU in float32. Read-only."""
    from workbench.models.checkpoint import load_checkpoint

    return load_checkpoint(tiny_checkpoint, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def tiny_encoded(tiny_model: Any) -> Any:
    """Two images that are not square, and a question, as the tiny model takes them."""
    import numpy as np
    from PIL import Image

    from workbench.images import refer
    from workbench.types import Sample

    noise = np.random.default_rng(0).integers(0, 256, size=(2, 96, 96, 3), dtype=np.uint8)
    images = []
    for number, pixels in enumerate((noise[0, :64], noise[1, :, :48])):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        images.append(refer(file.getvalue(), name=f"{number}.png"))
    return tiny_model.prepare(Sample(id="two images", text="what is it ?", images=tuple(images)))


@pytest.fixture(scope="session")
def tiny_trace(tiny_model: Any, tiny_encoded: Any) -> Any:
    """The tiny model's trace of it."""
    [trace] = tiny_model.trace([tiny_encoded])
    return trace


@pytest.fixture(scope="session")
def tiny_objective(tiny_model: Any, tiny_encoded: Any, tiny_trace: Any) -> Any:
    """level -> the objective for the state of every think token."""
    from workbench.resolution import resolve
    from workbench.targets import parse_target

    targets = resolve(parse_target("think"), tiny_model, tiny_trace, None, None)
    return functools.cache(lambda level: tiny_model.objective(tiny_encoded, targets, level=level))


@pytest.fixture(scope="session")
def planted_backbone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model of tests/planted_backbone.py, whose attributions are known. Read-only."""
    from planted_backbone import write_planted

    from workbench.models.checkpoint import load_checkpoint

    folder = write_planted(tmp_path_factory.mktemp("checkpoints") / "planted")
    return load_checkpoint(folder, device="cpu", dtype="float32")
