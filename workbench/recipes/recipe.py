"""What a recipe is. A new recipe is one new file in this package."""

import abc
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from workbench.recipes.config import TrainConfig
from workbench.registry import Registry

Report = Callable[[str], None]


class Recipe(abc.ABC):
    """A way to train. Stateless."""

    name: ClassVar[str]
    about: ClassVar[str]
    reference: ClassVar[str]

    @abc.abstractmethod
    def train(self, config: TrainConfig, *, resume: bool, report: Report) -> Path:
        """Train and return the folder of the finished checkpoint. `report` takes one line of progress."""


RECIPES: Registry[type[Recipe]] = Registry("recipe", package="workbench.recipes", group="thinkscope.recipes")
