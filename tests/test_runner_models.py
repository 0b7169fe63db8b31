"""How a session loads models: no more of them in memory than it keeps, and none while another runs."""

import shutil
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from workbench.embedder import Embedder
from workbench.runner import Session


def test_no_third_model_is_in_memory_while_one_is_loaded(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.models import checkpoint

    alive: list[weakref.ref[Any]] = []
    seen: list[int] = []
    load = checkpoint.load_checkpoint

    def watched(path: Path, **how: Any) -> Embedder:
        seen.append(sum(one() is not None for one in alive))
        model = load(path, **how)
        model.itself = model  # pyright: ignore[reportAttributeAccessIssue] - only a collection frees what holds itself
        alive.append(weakref.ref(model))
        return model

    monkeypatch.setattr(checkpoint, "load_checkpoint", watched)
    session = Session(device="cpu", dtype="float32")
    for name in "abcd":
        session.model(str(shutil.copytree(tiny_checkpoint, tmp_path / name)))
    assert seen == [0, 1, 1, 1]
    assert session.model(str(tmp_path / "c")) is alive[2]()


def test_a_model_is_loaded_when_no_other_runs(tiny_checkpoint: Path) -> None:
    session, loaded = Session(device="cpu"), threading.Event()

    def load() -> None:
        session.model(str(tiny_checkpoint))
        loaded.set()

    thread = threading.Thread(target=load)
    with session.occupied():
        thread.start()
        assert not loaded.wait(0.3)
    thread.join(timeout=60)
    assert loaded.is_set()
