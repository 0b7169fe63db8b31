"""Which samples a map takes where there are more than it can show."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Places of the samples to take, in order, and how many there are."""

    places: Int[np.ndarray, " taken"]
    found: int
    """Samples that there are."""

    def note(self, per_sample: int, seed: int) -> str:
        """What the reader of the map must know; empty when everything is taken."""
        if len(self.places) == self.found:
            return ""
        return (
            f"Showing {len(self.places) * per_sample:,} of {self.found * per_sample:,} points: {len(self.places):,} samples "
            f"drawn with seed {seed}."
        )


def draw(found: int, *, limit: int, per_sample: int, seed: int) -> Drawn:
    """Draw as many samples as have at most `limit` points. Of fewer, what a larger draw of the same seed would have first."""
    taken = min(found, max(1, limit // per_sample))
    if taken == found:
        return Drawn(places=np.arange(found), found=found)
    return Drawn(places=np.sort(np.random.default_rng(seed).permutation(found)[:taken]), found=found)
