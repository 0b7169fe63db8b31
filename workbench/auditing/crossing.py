"""What thoughts depend on: each query is read with another one's image, and the variance is taken apart."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from workbench.types import Sample

FACTORS = ("query", "image", "position", "both")


def crossed_sample(query: Sample, other: Sample) -> Sample:
    """The query's text about the other's images."""
    return replace(query, id=f"{query.id}*{other.id}", images=other.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """Thoughts of two texts with two images: entry [i, j] is text i with image j."""

    states: Float[np.ndarray, "2 2 layers think width"]


def sums_of_squares(square: Square) -> Float[np.ndarray, "layers 4"]:
    """Sums of squares of a balanced design, by `FACTORS`: a factor counts with what it does at each position by itself.

    Position is what all four share beyond their common mean; the rest is split into query (text), image, and both together
    (their interaction). The four sum to the total about the mean of all thoughts of the square.
    """
    states = square.states.astype(np.float64)
    n_texts, n_images, _, n_think, _ = states.shape
    cell = states.mean(axis=(0, 1))
    position = n_texts * n_images * _squares(cell - cell.mean(axis=1, keepdims=True))
    text = states.mean(axis=1) - cell
    image = states.mean(axis=0) - cell
    rest = states - cell - text[:, None] - image[None]
    assert n_think == cell.shape[1]
    return np.stack(
        [
            n_images * sum(_squares(one) for one in text),
            n_texts * sum(_squares(one) for one in image),
            position,
            sum(_squares(one) for some in rest for one in some),
        ],
        axis=1,
    )


def _squares(values: Float[np.ndarray, "layers think width"]) -> Float[np.ndarray, " layers"]:
    return (values**2).sum(axis=(1, 2))
