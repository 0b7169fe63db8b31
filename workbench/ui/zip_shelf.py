"""Zips that were uploaded on the page Export, as data sets of the page Map: each tab is offered its own, and no other.

A zip is unpacked when the first map of it is drawn. Zip, folder and maps go when their tab is closed.
"""

import atexit
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from workbench.data.unpacking import unpack_zip
from workbench.errors import BadInput, Cancelled
from workbench.stages import Progress
from workbench.ui.export_order import ZIP_GONE
from workbench.ui.export_shelf import LEFTOVER

MAX_KEPT = 8
"""Of all tabs together; the one that was used longest ago goes first. Each may take 2 GB unpacked."""
_MARK = "zip:"


@dataclass(slots=True, kw_only=True, eq=False)
class HeldZip:
    """A zip of one tab."""

    key: str
    tab: str | None
    path: Path
    title: str
    """Its name."""
    folder: Path
    """Where it is, or will be, unpacked; nobody else can guess the name of the folder around it."""
    unwanted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def data(self) -> str:
        """The data set, as `find_reader` takes it, once it is unpacked."""
        return f"enclosed:{self.folder}"

    def plain(self, text: str) -> str:
        """A text without the name of the folder, which a map would otherwise be saved with."""
        return text.replace(self.data, self.title).replace(f"{self.folder}/", "").replace(str(self.folder), self.title)


class ZipShelf:
    """Zips by key; safe to share between threads.

    Args:
        folder: gets a folder for each that is unpacked.
        max_kept: of all tabs together.
    """

    def __init__(self, folder: Path, *, max_kept: int = MAX_KEPT) -> None:
        self._folder = folder / "zips"
        self._max_kept = max_kept
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, HeldZip] = OrderedDict()
        atexit.register(self.close)
        self._remove_old()

    def add(self, tab: str | None, path: Path, title: str) -> str:
        """Offer a zip that was checked to its tab, in place of an earlier one of that name; returns its key."""
        key = f"{_MARK}{secrets.token_hex(16)}"
        place = self._folder / key.removeprefix(_MARK) / (title.removesuffix(".zip") or "data")
        with self._lock:
            same = [one for one in self._kept.values() if one.tab == tab and one.title == title]
            self._kept[key] = HeldZip(key=key, tab=tab, path=path, title=title, folder=place)
            surplus = list(self._kept.values())[: max(len(self._kept) - len(same) - self._max_kept, 0)]
        for one in {*same, *surplus}:
            self._drop(one)
        return key

    def offers(self, tab: str | None) -> list[tuple[str, str]]:
        """Name and key of each zip of a tab, in the order of uploading."""
        with self._lock:
            return [(one.title, key) for key, one in self._kept.items() if one.tab == tab and tab is not None]

    def find(self, key: object, tab: str | None) -> HeldZip | None:
        """A tab's zip, or None for what is no zip's key. Raises BadInput for a zip that is not there, or another tab's."""
        if not isinstance(key, str) or not key.startswith(_MARK):
            return None
        with self._lock:
            found = self._kept.get(key)
            if found is None or found.tab != tab:
                raise BadInput(ZIP_GONE)
            self._kept.move_to_end(key)
            return found

    def unpack(self, held: HeldZip, *, tell: Progress, cancelled: Callable[[], bool]) -> None:
        """Unpack a zip, unless it is already.

        Raises:
            BadInput: when it is gone, or as `unpack_zip`.
            Cancelled: when told so, or when its tab was closed.
        """

        def is_unwanted() -> bool:
            return held.unwanted or cancelled()

        with held.lock:
            if held.folder.is_dir():
                return
            if not held.path.is_file():
                raise BadInput(ZIP_GONE)
            held.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                unpack_zip(
                    held.path,
                    held.folder,
                    tell=lambda share: tell(0.0, f"Unpacking {held.title}, {share:.0%} done"),
                    cancelled=is_unwanted,
                )
            finally:
                if held.unwanted:
                    shutil.rmtree(held.folder.parent, ignore_errors=True)
        if held.unwanted:
            raise Cancelled("The page was closed.")

    def leave(self, tab: str | None) -> None:
        """Drop the zips of a closed tab."""
        with self._lock:
            mine = [one for one in self._kept.values() if one.tab == tab and tab is not None]
        for one in mine:
            self._drop(one)

    def close(self) -> None:
        """Drop all of them, when the app ends."""
        with self._lock:
            kept = list(self._kept.values())
        for one in kept:
            self._drop(one)

    def _drop(self, held: HeldZip) -> None:
        """Forget a zip and delete what was unpacked; the upload itself belongs to `Uploads`."""
        with self._lock:
            self._kept.pop(held.key, None)
        held.unwanted = True
        shutil.rmtree(held.folder.parent, ignore_errors=True)

    def _remove_old(self) -> None:
        """Delete what an app that was killed left behind; other apps may be using the folder at the same time."""
        for folder in self._folder.glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > LEFTOVER:
                    shutil.rmtree(folder, ignore_errors=True)
