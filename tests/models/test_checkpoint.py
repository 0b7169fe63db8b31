"""Loading: several threads of one process, as tabs of the app do it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.models import checkpoint
from workbench.models.checkpoint import load_checkpoint
from workbench.models.registries import Format
from workbench.types import Sample


def at_once(works: list[Callable[[], Any]]) -> list[Any]:
    """What each of them returned, or the error that it raised; all begin together."""
    start = threading.Barrier(len(works))
    found: list[Any] = [None] * len(works)

    def run(place: int) -> None:
        start.wait()
        try:
            found[place] = works[place]()
        except Exception as error:
            found[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_models_loaded_at_once_are_whole(tiny_checkpoint: Path, tiny_model: Any) -> None:
    """Without turns weights are missing, or torch's default dtype stays that of another checkpoint."""
    kinds = ["float32", "bfloat16"] * 3
    models = at_once([lambda kind=kind: load_checkpoint(tiny_checkpoint, device="cpu", dtype=kind) for kind in kinds])
    assert torch.get_default_dtype() == torch.float32
    sample = Sample(id="a", text="red square", role="document")
    expected = tiny_model.embed([tiny_model.prepare(sample)])
    for kind, model in zip(kinds, models, strict=True):
        assert not isinstance(model, Exception), model
        assert model.info.provenance.dtype == kind
        if kind == "float32":
            np.testing.assert_array_equal(model.embed([model.prepare(sample)]), expected)


def test_formats_load_one_at_a_time(tiny_checkpoint: Path, tiny_model: Any, monkeypatch: Any) -> None:
    inside, most = 0, 0

    class Slow(Format):
        name = "slow"
        about = "Takes its time."

        def recognises(self, path: Path) -> bool:
            return True

        def load(self, path: Path, *, device: torch.device, dtype: torch.dtype) -> Any:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            threading.Event().wait(0.02)
            inside -= 1
            return tiny_model

    monkeypatch.setattr(checkpoint, "find_format", lambda folder: Slow())
    assert at_once([lambda: load_checkpoint(tiny_checkpoint)] * 4) == [tiny_model] * 4
    assert most == 1
