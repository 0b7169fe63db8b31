"""The points of one or two checkpoints as one table: samples joined by their ids, columns by their names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from workbench.errors import BadInput
from workbench.latent_map import NO_VALUE, Column, MapSample
from workbench.mapping.points import Points


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Points sorted by checkpoint, sample and think position."""

    points: tuple[Points, ...]
    """Of each checkpoint; `sample` counts in its own samples still."""
    vectors: tuple[Float[np.ndarray, "_ _"], ...]
    """Of each checkpoint, in the order of the table."""
    starts: tuple[int, ...]
    """Row at which each checkpoint's points begin, and the number of rows."""
    samples: tuple[MapSample, ...]
    sample: Int[np.ndarray, " rows"]
    k: Int[np.ndarray, " rows"]
    checkpoint: Int[np.ndarray, " rows"]
    columns: tuple[Column, ...]

    def rows(self, checkpoint: int) -> slice:
        """The rows of one checkpoint."""
        return slice(self.starts[checkpoint], self.starts[checkpoint + 1])


def join_points(parts: Sequence[Points]) -> Joined:
    """Join them. Raises BadInput for parts that are not of the same kind or share no sample."""
    first = parts[0]
    for part in parts[1:]:
        if part.of != first.of:
            raise BadInput(
                f"One checkpoint's points are {first.of} and the other's {part.of}; collect the same of both."
            )
    places: dict[str, int] = {}
    for part in parts:
        shared = sum(sample.id in places for sample in part.samples)
        if places and not shared:
            raise BadInput("The two checkpoints have no sample in common; read the same data set with both.")
        for sample in part.samples:
            places.setdefault(sample.id, len(places))
    sample, k, vectors, orders = [], [], [], []
    for part in parts:
        numbers = np.array([places[one.id] for one in part.samples], dtype=np.int32)[part.sample]
        order = np.lexsort((part.k, numbers))
        sorted_already = bool((order == np.arange(len(order))).all())
        vectors.append(part.vectors if sorted_already else part.vectors[order])
        sample.append(numbers[order])
        k.append(part.k[order].astype(np.int32))
        orders.append(order)
    sizes = [len(one) for one in sample]
    return Joined(
        points=tuple(parts),
        vectors=tuple(vectors),
        starts=tuple(np.cumsum([0, *sizes]).tolist()),
        samples=_join_samples(parts, places),
        sample=np.concatenate(sample).astype(np.int32),
        k=np.concatenate(k),
        checkpoint=np.repeat(np.arange(len(parts), dtype=np.int32), sizes),
        columns=_join_columns(parts, orders),
    )


def _join_samples(parts: Sequence[Points], places: dict[str, int]) -> tuple[MapSample, ...]:
    held: list[MapSample | None] = [None] * len(places)
    thoughts = [[""] * len(parts) for _ in places]
    for number, part in enumerate(parts):
        for sample in part.samples:
            place = places[sample.id]
            held[place] = held[place] or sample
            thoughts[place][number] = sample.thoughts[0] if sample.thoughts else ""
    return tuple(
        replace(sample, thoughts=tuple(said)) for sample, said in zip(held, thoughts, strict=True) if sample is not None
    )


def _join_columns(parts: Sequence[Points], orders: Sequence[np.ndarray]) -> tuple[Column, ...]:
    names = dict.fromkeys(column.name for part in parts for column in part.columns)
    found = []
    for name in names:
        held = [next((column for column in part.columns if column.name == name), None) for part in parts]
        known = [column for column in held if column is not None]
        if len({column.kind for column in known}) == 1:
            found.append(_join_column(known[0], held, parts, orders))
    return tuple(found)


def _join_column(
    like: Column, held: Sequence[Column | None], parts: Sequence[Points], orders: Sequence[np.ndarray]
) -> Column:
    categories: dict[str, int] = {}
    pieces = []
    for column, part, order in zip(held, parts, orders, strict=True):
        sample = part.sample[order]
        if column is None:
            empty = {"categorical": NO_VALUE, "number": np.nan, "text": ""}[like.kind]
            pieces.append(np.full(len(sample), empty, dtype=like.values.dtype))
        elif like.kind == "categorical":
            codes = [categories.setdefault(category, len(categories)) for category in column.categories]
            pieces.append(np.array([*codes, NO_VALUE], dtype=np.int32)[column.values][sample])
        else:
            pieces.append(column.values[sample])
    # Two checkpoints may be called right by different rules.
    about = " ".join(dict.fromkeys(column.about for column in held if column is not None and column.about))
    return replace(like, values=np.concatenate(pieces), categories=tuple(categories), about=about)
