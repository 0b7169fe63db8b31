"""A model of words whose numbers hang on known cells of the image, so that every map of a comparison can be told beforehand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from comparisons import WordModel
from linear_world import LinearObjective

from workbench.embedder import Differentiable
from workbench.errors import Unsupported
from workbench.targets import Target, ThinkState
from workbench.types import Encoded


class Cells(LinearObjective):
    """Think token k hangs on cell `first + k` alone, and the embedding, negatively, on the last cell and half as much on the first."""

    def __init__(self, encoded: Encoded, targets: Sequence[Target], first: int) -> None:
        cells = np.ones(sum(grid.n_tokens for grid in encoded.grids), dtype=np.float32)
        weights = np.zeros((len(targets), len(cells)), dtype=np.float32)
        for row, target in zip(weights, targets, strict=True):
            if isinstance(target, ThinkState):
                row[first + target.think] = 3
            else:
                row[-1], row[0] = -2, -1
        words = [ThinkState(label=target.label, think=0, word=row) for row, target in enumerate(targets)]
        super().__init__(weights, replace(encoded, inputs={"cells": cells}), words, "tokens")
        self.targets = tuple(targets)


class SeeingModel(WordModel, Differentiable):
    """A model of words whose numbers hang on known cells."""

    def __init__(self, name: str = "seeing", *, first: int = 0, **more: Any) -> None:
        super().__init__(name, **more)
        self.first = first
        self.opened: list[tuple[Target, ...]] = []
        self.why = ""

    def objective(
        self, encoded: Encoded, targets: Sequence[Target], *, level: Any = "tokens", context: Any = None
    ) -> Cells:
        if self.why:
            raise Unsupported(self.why)
        self.opened.append(tuple(targets))
        return Cells(encoded, targets, self.first)
