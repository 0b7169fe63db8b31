"""Comparisons that were made or are being made. They are known by what was asked, so that nothing is made twice."""

from dataclasses import dataclass
from typing import final

from workbench.comparing.making import Compared
from workbench.ui.shelf import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOrder:
    """What is compared, in names that the page offered."""

    checkpoints: tuple[str, ...]
    """The reference first."""
    data: str
    split: str
    n: int


@final
class CompareShelf(Shelf[CompareOrder, Compared]):
    """The latest comparisons of all tabs."""

    max_jobs = 8
    busy = "Too many comparisons are being made at the moment; try again in a minute."
    gone = "This comparison is no longer in memory; press 'Compare' again, which takes little time now."

    @staticmethod
    def is_whole(made: Compared) -> bool:
        """What failed may go well another time, and what was cleared from the disk is read anew."""
        return made.is_whole
