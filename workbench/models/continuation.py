"""Keys and values from which decoding goes on, cut to what the decoder may see."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import DynamicCache

from workbench.models.registries import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """One sample's cache: query columns (when kept), then think columns; one (keys, values) pair for each layer."""

    keys: tuple[Float[Tensor, "heads seq width"], ...]
    values: tuple[Float[Tensor, "heads seq width"], ...]
    n_query: int
    """0 when only the thoughts were kept."""
    n_think: int
    position: int
    """Position of the first decoded token."""

    def thoughts_only(self) -> "Continuation":
        """The same without the query."""
        return Continuation(
            keys=tuple(keys[:, self.n_query :] for keys in self.keys),
            values=tuple(values[:, self.n_query :] for values in self.values),
            n_query=0,
            n_think=self.n_think,
            position=self.position,
        )

    def with_thoughts(self, other: "Continuation", family: Family, model: object) -> "Continuation":
        """The same query with the thoughts of another sample, turned to this sample's positions.

        Keys are rotated by their position (RoPE), and rotations add up, so moving a key is one more rotation.
        """
        theirs = other.thoughts_only()
        shift = self.position - other.position
        return Continuation(
            keys=tuple(
                torch.cat([mine[:, : self.n_query], family.rotate(model, keys, shift)], dim=1)
                for mine, keys in zip(self.keys, theirs.keys, strict=True)
            ),
            values=tuple(
                torch.cat([mine[:, : self.n_query], values], dim=1)
                for mine, values in zip(self.values, theirs.values, strict=True)
            ),
            n_query=self.n_query,
            n_think=other.n_think,
            position=self.position,
        )


def join(batch: Sequence[Continuation]) -> tuple[DynamicCache, Bool[Tensor, "batch seq"], Tensor]:
    """One cache for all, padded on the left; which columns are real; each row's next position."""
    lengths = [part.n_query + part.n_think for part in batch]
    longest = max(lengths)
    device = batch[0].keys[0].device
    real = torch.arange(longest, device=device)[None, :] >= longest - torch.tensor(lengths, device=device)[:, None]
    cache = DynamicCache()
    for layer in range(len(batch[0].keys)):
        pad = [(0, 0, longest - length, 0) for length in lengths]
        keys = [torch.nn.functional.pad(part.keys[layer], p) for part, p in zip(batch, pad, strict=True)]
        values = [torch.nn.functional.pad(part.values[layer], p) for part, p in zip(batch, pad, strict=True)]
        cache.update(torch.stack(keys), torch.stack(values), layer)
    return cache, real, torch.tensor([part.position for part in batch], device=device)
