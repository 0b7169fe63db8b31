"""The processes of a run: one, or those that `torchrun` or `accelerate launch` started."""

import os

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, state

from workbench.errors import BadInput
from workbench.recipes.config import Precision


def join_processes(precision: Precision) -> Accelerator:
    """Meet the other processes of this run. Raises BadInput when accelerate does not take part in what was launched."""
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    mixed = "bf16" if precision == "bf16" else "no"
    if state.is_initialized() and state.AcceleratorState().mixed_precision != mixed:
        raise BadInput(
            f"This Python process has trained with another precision already, and accelerate keeps the first; "
            f"train with '{precision}' in a process of its own."
        )
    accelerator = Accelerator(
        # Started by torchrun on a machine without accelerator, accelerate opens the group of processes and then takes
        # each for a run of its own: two models learn apart while their documents are gathered.
        cpu=launched > 1 and not torch.accelerator.is_available(),
        mixed_precision=mixed,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if accelerator.num_processes != launched:
        raise BadInput(
            f"{launched} processes were launched, but accelerate joined {accelerator.num_processes} of them on the device "
            f"'{accelerator.device}'; set ACCELERATE_USE_CPU=true to train on CPUs, or launch one process."
        )
    return accelerator
