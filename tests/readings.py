"""Readings whose states are given, written to the disk as a model's would be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from planted import PlantedModel
from safetensors.numpy import save

from workbench.comparing.reading import ABOUT, About, Part, Reading, ReadRow, part_name
from workbench.store import dumps


def write_reading(folder: Path, states: np.ndarray) -> Reading:
    """A reading of think tokens with these states (rows layers think width), in parts of 32 rows, and of nothing else."""
    folder.mkdir(parents=True)
    n, n_layers, n_think, width = states.shape
    about = About(
        name=folder.name,
        title="",
        knows="",
        info=replace(PlantedModel.info, n_layers=n_layers, n_think=n_think, width=width),
        question="",
        data_revision="",
        n_rows=n,
        n_documents=0,
        size=32,
    )
    for number, begin in enumerate(range(0, n, about.size)):
        part = np.ascontiguousarray(states[begin : begin + about.size], dtype=np.float32)
        name = part_name("rows", number)
        (folder / f"{name}.safetensors").write_bytes(save({"latents": part}))
        (folder / f"{name}.json").write_text(dumps(Part(rows=(ReadRow(),) * len(part))))
    (folder / ABOUT).write_text(dumps(about))
    return Reading(folder)
