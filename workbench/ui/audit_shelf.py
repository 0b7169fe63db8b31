"""Audits that were made or are being made. They are known by what was asked, so that nothing is made twice."""

from dataclasses import dataclass
from typing import final

from workbench.audit import Audit
from workbench.ui.shelf import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOrder:
    """What is audited, in names that the page offered."""

    checkpoint: str
    data: str
    split: str
    n: int
    seed: int


@final
class AuditShelf(Shelf[AuditOrder, Audit]):
    """The latest audits of all tabs."""

    max_jobs = 4
    busy = "Too many audits are being made at the moment; try again in a minute."
    gone = "This audit is no longer in memory; press 'Audit' again, which takes little time now."

    @staticmethod
    def is_whole(made: Audit) -> bool:
        """A file that could not be read may be there again."""
        return made.is_whole
