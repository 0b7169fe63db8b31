"""What a Shapes data set is made of."""

from dataclasses import dataclass

from workbench.data.shapes.world import TASKS
from workbench.errors import BadInput

MIN_SIDE = 48
MAX_OBJECTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapesConfig:
    """The settings of a Shapes data set; equal settings give equal pixels and words.

    Raises `BadInput` for settings that no scene could satisfy.
    """

    seed: int = 7
    canvases: tuple[tuple[int, int], ...] = ((96, 96), (128, 96), (96, 128), (128, 80), (80, 128))
    """(width, height) in pixels, drawn with equal chance."""
    objects: tuple[int, int] = (1, 4)
    """Fewest and most objects in a scene."""
    object_weights: tuple[int, ...] = ()
    """One whole number per count from fewest to most; empty: equal, but single objects six times rarer."""
    tasks: tuple[str, ...] = TASKS
    """Tasks to ask, in equal shares."""
    samples_per_scene: int = 2
    """How many samples of the train split share a scene; in the other splits every sample has its own."""

    def __post_init__(self) -> None:
        low, high = self.objects
        if self.seed < 0:
            raise BadInput(f"seed is {self.seed}; give a whole number of 0 or more")
        if not self.canvases or min(min(canvas) for canvas in self.canvases) < MIN_SIDE:
            raise BadInput(f"canvases are {self.canvases}; give (width, height) pairs of at least {MIN_SIDE} pixels")
        if not 1 <= low <= high <= MAX_OBJECTS:
            raise BadInput(f"objects is {self.objects}; give (fewest, most) with 1 <= fewest <= most <= {MAX_OBJECTS}")
        if self.object_weights and len(self.object_weights) != high - low + 1:
            raise BadInput(
                f"object_weights has {len(self.object_weights)} entries; give {high - low + 1}, one per count"
            )
        if self.object_weights and (min(self.object_weights) < 0 or sum(self.object_weights) == 0):
            raise BadInput(f"object_weights is {self.object_weights}; give numbers of 0 or more, not all 0")
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown or not self.tasks:
            raise BadInput(f"tasks are {self.tasks}; give one or more of {', '.join(TASKS)}")
        if set(self.tasks) == {"relation"} and low < 2:
            raise BadInput(
                f"the relation task needs two objects, but objects is {self.objects}; give (2, {max(2, high)})"
            )
        if self.samples_per_scene < 1:
            raise BadInput(f"samples_per_scene is {self.samples_per_scene}; give 1 or more")

    @property
    def counts(self) -> tuple[range, tuple[int, ...]]:
        """The object counts a scene may have, and their weights."""
        low, high = self.objects
        counts = range(low, high + 1)
        return counts, self.object_weights or tuple(1 if n == 1 else 6 for n in counts)
