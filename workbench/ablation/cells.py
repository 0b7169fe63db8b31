"""What is varied: one thing at a time around one base, and extraction times dependency in full."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from workbench.errors import UnknownName
from workbench.models.layout import Dependency, Extraction
from workbench.types import Context

Group = Literal["extraction and dependency", "decoder context", "think tokens"]
GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One way to train, the same for every seed."""

    extraction: Extraction = "shared"
    dependency: Dependency = "joint"
    contexts: tuple[Context, ...] = ("latents_only",)
    think: int = 4

    @property
    def name(self) -> str:
        """Unique in the grid, and fit for a folder's name."""
        if not self.think:
            return "no-think"
        context = "both" if len(self.contexts) > 1 else "".join(self.contexts).replace("_", "-")
        return f"{self.extraction.replace('_', '-')}.{self.dependency.replace('_', '-')}.{context}.k{self.think}"

    @property
    def recipe(self) -> str:
        return "tte-flash" if self.think else "no-think"


BASE = Cell()
CONTROL = Cell(think=0)
"""No thinking at all."""
THINKS = (1, 2, 4, 8, 16)
CONTEXTS: tuple[tuple[Context, ...], ...] = (
    ("latents_only",),
    ("query_and_latents",),
    ("latents_only", "query_and_latents"),
)


def members(group: Group) -> tuple[Cell, ...]:
    """The cells of a group, the base among them."""
    match group:
        case "extraction and dependency":
            return tuple(
                Cell(extraction=extraction, dependency=dependency)
                for extraction in get_args(Extraction)
                for dependency in get_args(Dependency)
            )
        case "decoder context":
            return tuple(replace(BASE, contexts=contexts) for contexts in CONTEXTS)
        case "think tokens":
            return tuple(replace(BASE, think=think) for think in THINKS)


def all_cells() -> tuple[Cell, ...]:
    """Every cell once: base and control first, so that whatever else is finished has something to be held against."""
    return tuple(dict.fromkeys((BASE, CONTROL, *(cell for group in GROUPS for cell in members(group)))))


def choose(names: list[str] | None) -> tuple[Cell, ...]:
    """Cells by name, all for None. Raises UnknownName."""
    known = {cell.name: cell for cell in all_cells()}
    if names is None:
        return tuple(known.values())
    for name in names:
        if name not in known:
            raise UnknownName("cell", name, known)
    return tuple(known[name] for name in dict.fromkeys(names))
