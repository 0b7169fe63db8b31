"""The vectors that a map is made of, under one checkpoint, and what is known of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from workbench.errors import BadInput
from workbench.latent_map import Column, MapSample, Of
from workbench.types import Provenance

OFS: tuple[Of, ...] = ("embedding", "thoughts", "pooled-thoughts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Points of one checkpoint, sorted by sample, then think position."""

    of: Of
    layer: int | None
    vectors: Float[np.ndarray, "points dim"]
    """As the model made them, float32; they may hold NaN."""
    sample: Int[np.ndarray, " points"]
    """Index into `samples`."""
    k: Int[np.ndarray, " points"]
    """Think position from 0, or `latent_map.NO_STEP`."""
    samples: tuple[MapSample, ...]
    """`thoughts` holds one entry, empty where nothing was decoded."""
    columns: tuple[Column, ...] = ()
    """One value for each *sample*."""
    provenance: Provenance
    source: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    """Time to collect them."""
    found: int | None = None
    """Points that there would have been without sampling; None: as many as there are."""

    def __post_init__(self) -> None:
        n = len(self.vectors)
        if len(self.sample) != n or len(self.k) != n:
            raise ValueError(f"{n} vectors, but {len(self.sample)} samples and {len(self.k)} think positions")
        for column in self.columns:
            if len(column.values) != len(self.samples):
                raise ValueError(
                    f"column '{column.name}' has {len(column.values)} values for {len(self.samples)} samples"
                )

    def only(self, points: Int[np.ndarray, " kept"]) -> "Points":
        """These points (ascending indices) with the samples that they need."""
        used, sample = np.unique(self.sample[points], return_inverse=True)
        return replace(
            self,
            vectors=self.vectors[points],
            sample=sample.astype(np.int32),
            k=self.k[points],
            samples=tuple(self.samples[i] for i in used),
            columns=tuple(replace(column, values=column.values[used]) for column in self.columns),
        )


def check_of(of: str) -> Of:
    """What a map is of, checked. Raises BadInput."""
    for known in OFS:
        if of == known:
            return known
    raise BadInput(f"A map is of {', '.join(OFS)}, not of '{of[:50]}'.")


def check_layer(layer: int | None, n_layers: int) -> int:
    """The decoder layer from 0; the last for None, and counted from the end when negative. Raises BadInput."""
    chosen = n_layers - 1 if layer is None else layer
    if not -n_layers <= chosen < n_layers:
        raise BadInput(f"There is no layer {layer}: the layers are 0 to {n_layers - 1}, or -1 for the last.")
    return chosen % n_layers
