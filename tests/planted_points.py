"""Points whose map is known: groups that lie far apart, in as many dimensions as asked for."""

from typing import Any

import numpy as np

from workbench.latent_map import NO_STEP, Column, MapSample
from workbench.mapping.points import Points
from workbench.types import Provenance

WORDS = ("red circle", "blue square", "green star", "grey cross")


def provenance(name: str = "planted") -> Provenance:
    return Provenance(
        checkpoint=name, weights_sha256="0" * 64, family="none", format="none", dtype="float32", device="cpu", seed=0
    )


def group_vectors(n: int, n_groups: int, dim: int, seed: int = 0, spread: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around far-apart centres, and the group of each."""
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((n_groups, dim))
    group = np.arange(n) % n_groups
    return (centres[group] + spread * draw.standard_normal((n, dim))).astype(np.float32), group


def make_points(vectors: np.ndarray, *, name: str = "planted", steps: int = 0, **changes: Any) -> Points:
    """One point for each vector; with `steps`, that many vectors for each sample."""
    n = len(vectors)
    per = steps or 1
    n_samples = n // per
    group = np.arange(n_samples) % len(WORDS)
    samples = tuple(
        MapSample(
            id=f"s{i:05d}", row=i + 1, text="what is it?", thoughts=(f"the {WORDS[group[i]]} is near number {i}",)
        )
        for i in range(n_samples)
    )
    task = Column(name="task", kind="categorical", values=group.astype(np.int32), categories=WORDS)
    given: dict[str, Any] = {
        "of": "thoughts" if steps else "embedding",
        "layer": 1 if steps else None,
        "vectors": vectors,
        "sample": np.repeat(np.arange(n_samples, dtype=np.int32), per),
        "k": np.tile(np.arange(per, dtype=np.int32), n_samples) if steps else np.full(n, NO_STEP, dtype=np.int32),
        "samples": samples,
        "columns": (task,),
        "provenance": provenance(name),
        "source": {"data": "planted", "split": "test"},
        "title": "Planted groups",
    }
    return Points(**given | changes)
