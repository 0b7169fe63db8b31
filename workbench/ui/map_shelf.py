"""The maps that are shown or being made, by a key that only the tab which asked for one knows."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

from workbench.errors import BadInput
from workbench.latent_map import LatentMap

MAX_MAPS = 8


@dataclass(slots=True, kw_only=True)
class _Shelved:
    tab: str | None
    checkpoints: tuple[str, ...]
    data: str = ""
    latent_map: LatentMap | None = None
    version: int = 0


class MapShelf:
    """The latest maps; safe to share between threads.

    Args:
        max_maps: how many are kept, of all tabs together; the one that was used longest ago goes first.
    """

    def __init__(self, max_maps: int = MAX_MAPS) -> None:
        self._max_maps = max_maps
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Shelved] = OrderedDict()

    def open(self, tab: str | None, checkpoints: tuple[str, ...], data: str = "") -> str:
        """Make room for a map under checkpoints, named as the page offers them; returns its key.

        `data` is where its samples can be read again, where the map itself must not tell.
        """
        key = secrets.token_hex(8)
        with self._lock:
            self._kept[key] = _Shelved(tab=tab, checkpoints=checkpoints, data=data)
            while len(self._kept) > self._max_maps:
                self._kept.popitem(last=False)
        return key

    def put(self, key: str, latent_map: LatentMap) -> None:
        """Lay a map into its room, over an earlier version of it. Nothing happens when the room is gone."""
        with self._lock:
            if key in self._kept:
                self._kept[key].latent_map = latent_map
                self._kept[key].version += 1

    def get(self, key: object) -> LatentMap:
        """The map of a key. Raises BadInput when there is none, or none yet."""
        found = self._look(key).latent_map
        if found is None:
            raise BadInput("This map is not drawn yet.")
        return found

    def version(self, key: object) -> int:
        """How often a map was laid under a key: 0 when none is there yet."""
        return self._look(key).version

    def checkpoints(self, key: object) -> tuple[str, ...]:
        """Names of a map's checkpoints, as the page offers them."""
        return self._look(key).checkpoints

    def data(self, key: object) -> str:
        """Where a map's samples can be read again; empty where the map tells."""
        return self._look(key).data

    def release(self, tab: str | None) -> None:
        """Forget the maps of a closed tab."""
        with self._lock:
            for key in [key for key, one in self._kept.items() if one.tab == tab and tab is not None]:
                del self._kept[key]

    def _look(self, key: object) -> _Shelved:
        with self._lock:
            found = self._kept.get(key) if isinstance(key, str) else None
            if found is None:
                raise BadInput("This map is no longer in memory; press 'Draw the map' again.")
            self._kept.move_to_end(str(key))
            return found
