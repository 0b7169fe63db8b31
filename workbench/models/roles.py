"""Which columns of a pass are of think tokens and which of embed tokens, for weights that differ between the two.

It travels beside the call in a context variable, since a linear map is handed its states and nothing else; another thread's
pass cannot meet it.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Role = Literal["think", "embed"]
ROLES: tuple[Role, ...] = ("think", "embed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The columns of one pass. Those that are of neither are the query's."""

    columns: int
    think: slice
    embed: slice

    def of(self, role: Role, columns: int) -> slice:
        """A role's places among the last `columns` columns: a layer may leave out those before."""
        left_out = self.columns - columns
        whole = self.think if role == "think" else self.embed
        begin, end, _ = whole.indices(self.columns)
        return slice(max(0, begin - left_out), max(0, end - left_out))


_current: ContextVar[Roles | None] = ContextVar("roles", default=None)


@contextlib.contextmanager
def playing(roles: Roles) -> Iterator[None]:
    """While the block runs, this thread's passes have these roles."""
    token = _current.set(roles)
    try:
        yield
    finally:
        _current.reset(token)


def current_roles() -> Roles:
    """The roles of the pass that is under way. A pass without them is a mistake of ours."""
    roles = _current.get()
    if roles is None:
        raise RuntimeError("a model with two sets of adapters was run without saying which columns are whose")
    return roles
