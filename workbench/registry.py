"""Named things found by themselves: probes, families, formats, recipes and readers.

A thing registers with the decorator of its kind in its own file. Built-ins are found by walking their package, third
parties by the entry-point group of the same name; both pass through the same decorator. Nothing is imported before
somebody asks for a name, so that `thinkscope --help` stays fast.
"""

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from workbench.errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name. Duplicates raise, misses suggest.

    Args:
        kind: what one entry is called in messages ("probe").
        package: import path of the package whose modules are the built-ins ("probes").
        group: entry-point group through which third parties join ("thinkscope.probes").
    """

    def __init__(self, kind: str, *, package: str, group: str) -> None:
        self.kind = kind
        self._package = package
        self._group = group
        self._entries: dict[str, T] = {}
        self._discovered = False
        self._searching = threading.RLock()

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under `name`. Raises ValueError on a name taken by another."""

        def add(entry: T) -> T:
            taken = self._entries.get(name)
            if taken is not None and _origin(taken) != _origin(entry):
                raise ValueError(f"{self.kind} '{name}' is registered twice: {_origin(taken)} and {_origin(entry)}")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """Return the entry called `name`. Raises UnknownName with the nearest valid name."""
        self._discover()
        if name not in self._entries:
            raise UnknownName(self.kind, name, self._entries)
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """Every registered name, sorted."""
        self._discover()
        return tuple(sorted(self._entries))

    def items(self) -> Iterator[tuple[str, T]]:
        """Every (name, entry), sorted by name."""
        return ((name, self._entries[name]) for name in self.names())

    def _discover(self) -> None:
        # A second thread waits for the first; a failing import leaves the search to be made again.
        with self._searching:
            if self._discovered:
                return
            self._discovered = True
            try:
                package = importlib.import_module(self._package)
                for module in pkgutil.iter_modules(package.__path__):
                    if not module.name.startswith("_"):
                        importlib.import_module(f"{self._package}.{module.name}")
                for point in entry_points(group=self._group):
                    point.load()
            except BaseException:
                self._discovered = False
                raise


def _origin(entry: object) -> str:
    return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', type(entry).__qualname__)}"
