"""The keys and values of texts that are being written together, in place: nothing is copied when a token is added.

A cache that concatenates copies all it holds at every token, which was the larger part of the time of decoding 64 thoughts.
"""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from workbench.models.continuation import Continuation

_BLOCK = 64
"""Columns by which the room grows."""


@final
class Columns:
    """What transformers takes for a cache, as far as its layers use one. Rows are padded on the left.

    Args:
        batch: where each row goes on from; its tensors are copied.
        room: columns that can be added before anything is moved. Beyond it the room grows, and then all is copied once.
    """

    def __init__(self, batch: Sequence[Continuation], *, room: int = _BLOCK) -> None:
        lengths = [part.n_query + part.n_think for part in batch]
        self.rows = len(batch)
        self.filled = max(lengths)
        """Columns that every layer has, those of the padding included."""
        self._lengths = lengths
        self._padded = min(lengths) < self.filled
        self._place: Tensor | None = None
        self._recorded = False
        self._keys = [self._laid(keys, room) for keys in zip(*(part.keys for part in batch), strict=True)]
        self._values = [self._laid(values, room) for values in zip(*(part.values for part in batch), strict=True)]
        self._places = torch.arange(self._room, device=self._keys[0].device)
        self._pads = torch.tensor([self.filled - length for length in lengths], device=self._places.device)
        self._real = self._places[None, :] >= self._pads[:, None]

    def _laid(self, parts: Sequence[Tensor], room: int) -> Tensor:
        heads, _, width = parts[0].shape
        laid = parts[0].new_zeros(len(parts), heads, self.filled + room, width)
        self._lay(laid, parts)
        return laid

    def _lay(self, laid: Tensor, parts: Sequence[Tensor]) -> None:
        for row, part in enumerate(parts):
            laid[row, :, self.filled - part.shape[1] : self.filled] = part

    def refill(self, batch: Sequence[Continuation]) -> None:
        """Begin anew in the same memory, with as many rows, each as long as the one that was there when these were made.

        Raises ValueError for others.
        """
        lengths = [part.n_query + part.n_think for part in batch]
        if lengths != self._lengths or self.rows != len(lengths):
            raise ValueError(f"columns that were made for rows of {self._lengths} are given rows of {lengths}")
        self.filled, self._place = max(lengths), None
        for layer in range(len(self._keys)):
            self._lay(self._keys[layer], [part.keys[layer] for part in batch])
            self._lay(self._values[layer], [part.values[layer] for part in batch])

    @property
    def _room(self) -> int:
        return self._keys[0].shape[2]

    def begin(self, n: int = 1) -> Bool[Tensor, "rows 1 new columns"] | None:
        """Make room for `n` more columns; returns which columns each of them may see, None for all that there are."""
        if self.filled + n > self._room:
            if self._recorded:
                raise ValueError(f"columns that a recorded pass writes to have room for {self._room}, and may not move")
            more = max(_BLOCK, n)
            self._keys = [_wider(keys, more) for keys in self._keys]
            self._values = [_wider(values, more) for values in self._values]
            self._real = torch.cat([self._real, self._real.new_ones(len(self._real), more)], dim=1)
            self._places = torch.arange(self._room, device=self._real.device)
        self._begun, self._place = self.filled, None
        self.filled += n
        if n == 1:
            return self._real[: self.rows, None, None, : self.filled] if self._padded else None
        places = self._places[: self.filled]
        earlier = places[None, :] <= places[self._begun :, None]
        return self._real[: self.rows, None, None, : self.filled] & earlier

    def begin_at(self, place: Int[Tensor, "1"]) -> Bool[Tensor, "rows 1 1 room"]:
        """As `begin` of one column, whose number lies on the device: for a pass that is recorded once and played again.

        All of the room is seen through a mask, so that every shape stays as it is. `filled` is for the caller to keep, and
        so is that there is room: from now on it does not grow, since a recorded pass knows where its memory was.
        """
        self._place, self._recorded = place, True
        return (self._real[: self.rows] & (self._places <= place))[:, None, None, :]

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Put a layer's keys and values into the columns that were begun; returns those of all columns."""
        mine, theirs = self._keys[layer][: self.rows], self._values[layer][: self.rows]
        if self._place is not None:
            return mine.index_copy_(2, self._place, keys), theirs.index_copy_(2, self._place, values)
        mine[:, :, self._begun : self.filled] = keys
        theirs[:, :, self._begun : self.filled] = values
        return mine[:, :, : self.filled], theirs[:, :, : self.filled]

    def leave(self, place: int, position: int) -> Continuation:
        """A copy of what the row at a place holds, to go on from elsewhere at a position."""
        own = slice(int(self._pads[place]), self.filled)
        return Continuation(
            keys=tuple(keys[place, :, own].clone() for keys in self._keys),
            values=tuple(values[place, :, own].clone() for values in self._values),
            n_query=own.stop - own.start,
            n_think=0,
            position=position,
        )

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
            self._pads[gap] = self._pads[mover]
        return order


def _wider(held: Tensor, more: int) -> Tensor:
    return torch.nn.functional.pad(held, (0, 0, 0, more))
