"""Processes that were launched together train together, or not at all."""

from typing import Any

import pytest
from accelerate import Accelerator

from workbench.errors import BadInput
from workbench.recipes import processes


class Apart(Accelerator):
    """accelerate as it is where it does not take part: each process believes that it is alone."""

    num_processes = 1  # pyright: ignore[reportAssignmentType]
    device = "mps"  # pyright: ignore[reportAssignmentType]

    def __init__(self, **given: Any) -> None:
        self.given = given


def test_processes_that_would_train_apart_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "Accelerator", Apart)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match="2 processes were launched, but accelerate joined 1"):
        processes.join_processes("fp32")


@pytest.mark.parametrize(
    ("launched", "available", "cpu"), [("1", False, False), ("2", False, True), ("2", True, False)]
)
def test_only_several_processes_without_an_accelerator_are_told_to_use_the_cpu(
    monkeypatch: pytest.MonkeyPatch, launched: str, available: bool, cpu: bool
) -> None:
    class Together(Apart):
        num_processes = int(launched)

    monkeypatch.setattr(processes, "Accelerator", Together)
    monkeypatch.setattr(processes.torch.accelerator, "is_available", lambda: available)
    monkeypatch.setenv("WORLD_SIZE", launched)
    joined: Any = processes.join_processes("fp32")
    assert joined.given["cpu"] is cpu
    assert joined.given["mixed_precision"] == "no"
