"""The keys and values of texts that are being written together, in place: nothing is copied when a token is added.

A cache that concatenates copies all it holds at every token, which was the larger part of the time of decoding 64 thoughts.
"""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Bool
from torch import Tensor

from workbench.models.continuation import Continuation

_BLOCK = 64
"""Columns by which the room grows."""


@final
class Columns:
    """What transformers takes for a cache, as far as its layers use one. Rows are padded on the left.

    Args:
        batch: where each row goes on from; its tensors are copied.
    """

    def __init__(self, batch: Sequence[Continuation]) -> None:
        lengths = [part.n_query + part.n_think for part in batch]
        self.rows = len(batch)
        self.filled = max(lengths)
        """Columns that every layer has, those of the padding included."""
        self._padded = min(lengths) < self.filled
        self._keys = [self._laid(keys) for keys in zip(*(part.keys for part in batch), strict=True)]
        self._values = [self._laid(values) for values in zip(*(part.values for part in batch), strict=True)]
        places = torch.arange(self._room, device=self._keys[0].device)
        pad = torch.tensor([self.filled - length for length in lengths], device=places.device)
        self._real = places[None, :] >= pad[:, None]

    def _laid(self, parts: Sequence[Tensor]) -> Tensor:
        heads, _, width = parts[0].shape
        laid = parts[0].new_zeros(len(parts), heads, self.filled + _BLOCK, width)
        for row, part in enumerate(parts):
            laid[row, :, self.filled - part.shape[1] : self.filled] = part
        return laid

    @property
    def _room(self) -> int:
        return self._keys[0].shape[2]

    def begin(self) -> Bool[Tensor, "rows 1 1 columns"] | None:
        """Make room for one more column; returns which columns a row may see with it, None for all."""
        if self.filled == self._room:
            self._keys = [_wider(keys) for keys in self._keys]
            self._values = [_wider(values) for values in self._values]
            self._real = torch.cat([self._real, self._real.new_ones(len(self._real), _BLOCK)], dim=1)
        self.filled += 1
        return self._real[: self.rows, None, None, : self.filled] if self._padded else None

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Put a layer's keys and values into the column that was begun; returns those of all columns."""
        mine, theirs = self._keys[layer][: self.rows], self._values[layer][: self.rows]
        mine[:, :, self.filled - 1 : self.filled] = keys
        theirs[:, :, self.filled - 1 : self.filled] = values
        return mine[:, :, : self.filled], theirs[:, :, : self.filled]

    def keep(self, places: Sequence[int]) -> list[int]:
        """Drop all rows but those at these places, in increasing order. Returns the old place of each row that is left.

        Rows from the end move into the gaps, so that no more is copied than moves.
        """
        self.rows = len(places)
        kept = set(places)
        gaps = [place for place in range(self.rows) if place not in kept]
        movers = [place for place in places if place >= self.rows]
        order = list(range(self.rows))
        for gap, mover in zip(gaps, movers, strict=True):
            order[gap] = mover
            for held in (*self._keys, *self._values):
                held[gap, :, : self.filled] = held[mover, :, : self.filled]
            self._real[gap] = self._real[mover]
        return order


def _wider(held: Tensor) -> Tensor:
    return torch.nn.functional.pad(held, (0, 0, 0, _BLOCK))
