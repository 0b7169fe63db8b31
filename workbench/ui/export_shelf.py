"""The exports that run or wait to be downloaded, each with a folder of its own, by a key that only their tab knows.

An export outlives its tab by a minute, so that a page that is loaded again finds it; then its files go.
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
from typing import Any, Literal

from workbench.errors import BadInput
from workbench.export.engine import ENGINES, Engine
from workbench.export.plan import Plan
from workbench.export.progress import Progress, Summary
from workbench.ui.export_order import ExportOrder
from workbench.ui.jobs import Jobs

MAX_RUNNING = 2
MAX_KEPT = 8
PATIENCE = 900.0
"""Seconds for which an export runs on although no page looks; browsers put hidden pages to sleep."""
GRACE = 60.0
"""Seconds that an export outlives its tab."""
LEFTOVER = 7 * 86_400.0
"""Age in seconds of a folder that nobody can be using any more."""
_BUSY = (
    f"{MAX_RUNNING} exports are running already, of all open pages together, each with a model of its own; start this one "
    "when one of them has ended."
)

State = Literal["running", "complete", "cancelled", "failed"]


@dataclass(slots=True, kw_only=True, eq=False)
class Export:
    """One export of the page. Written by its job alone, read by everybody who knows its key."""

    key: str
    folder: Path
    tabs: set[str | None]
    """That hold it: a duplicated tab shows the same export."""
    order: ExportOrder
    state: State = "running"
    doing: str = "Starting"
    plan: Plan | None = None
    progress: Progress | None = None
    summary: Summary | None = None
    error: str = ""
    """One sentence, when it failed."""
    job: object = None
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    """That earlier runs took, before it was gone on with."""
    left_at: float | None = None
    """When the last of its tabs was closed, as long as no other has taken it over."""
    unwanted: bool = False
    preview: tuple[dict[str, Any], ...] = ()
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while a file to download is made."""

    @property
    def out(self) -> Path:
        """The file of records."""
        return self.folder / "thoughts" / "thoughts.jsonl"

    @property
    def taken(self) -> float:
        """Seconds that it has run."""
        return self.seconds + (time.monotonic() - self.started if self.state == "running" else 0.0)


class ExportShelf:
    """Exports by key; safe to share between threads.

    Args:
        folder: gets a folder for each; the server lets whoever knows a file's name download it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "exports"
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Export] = OrderedDict()
        self.engine: Callable[[], Engine] = _one_process
        """Who makes the parts: a process beside this one, so that the pages stay quick whatever it does or dies of."""
        self.jobs = Jobs(max_jobs=MAX_RUNNING, patience=PATIENCE, busy=_BUSY)
        atexit.register(self.close)
        self._remove_old()

    def open(self, tab: str | None, order: ExportOrder) -> Export:
        """Make room for an export, in place of an older one of this tab, and of the oldest when there are too many.

        Raises BadInput while another export of this tab runs.
        """
        with self._lock:
            held = self._held_by(tab)
            if any(one.state == "running" for one in held):
                raise BadInput("An export of this page is still running; cancel it first, or open a second tab.")
            mine = [one for one in held if one.tabs == {tab}]
            for one in held:
                one.tabs.discard(tab)
            ended = [one for one in self._kept.values() if one.state != "running" and one not in mine]
            surplus = ended[: max(len(self._kept) - len(mine) + 1 - MAX_KEPT, 0)]
        for one in (*mine, *surplus):
            self.drop(one)
        key = secrets.token_hex(16)
        export = Export(key=key, folder=self._folder / key, tabs={tab}, order=order)
        export.folder.mkdir(parents=True, mode=0o700)
        with self._lock:
            self._kept[key] = export
        return export

    def get(self, key: object) -> Export:
        """The export of a key. Raises BadInput when there is none, or none any more."""
        with self._lock:
            return self._find(key)

    def look(self, export: Export) -> None:
        """Note that a page still wants an export."""
        export.left_at = None
        if export.state == "running":
            # A job that has ended meanwhile is not there to be looked at.
            with suppress(BadInput):
                self.jobs.look(export.job)

    def adopt(self, key: object, tab: str | None) -> Export:
        """Let another tab, or the same one after it was loaded again, hold an export, beside those that do."""
        with self._lock:
            found = self._find(key)
            found.left_at = None
            found.tabs.add(tab)
        return found

    def drop(self, export: Export) -> None:
        """Forget an export and delete its files; a running one is stopped first and deletes them itself."""
        with self._lock:
            self._kept.pop(export.key, None)
        export.unwanted = True
        self.jobs.cancel(export.job)
        if export.state != "running":
            self.clear(export)

    def clear(self, export: Export) -> None:
        """Delete the files of an export that was dropped."""
        shutil.rmtree(export.folder, ignore_errors=True)

    def leave(self, tab: str | None) -> None:
        """Drop the exports that a closed tab was the last to hold, unless a page asks for them soon."""
        with self._lock:
            held = self._held_by(tab)
            for one in held:
                one.tabs.discard(tab)
            mine = [one for one in held if not one.tabs]
            for one in mine:
                one.left_at = time.monotonic()
        if mine:
            timer = threading.Timer(GRACE, self._drop_left)
            timer.daemon = True
            timer.start()

    def close(self) -> None:
        """Drop all of them, when the app ends."""
        with self._lock:
            kept = list(self._kept.values())
        for one in kept:
            self.drop(one)
            self.clear(one)

    def _find(self, key: object) -> Export:
        found = self._kept.get(key) if isinstance(key, str) else None
        if found is None:
            raise BadInput("This export is no longer here, and its files are gone; start it again.")
        return found

    def _held_by(self, tab: str | None) -> list[Export]:
        return [one for one in self._kept.values() if tab is not None and tab in one.tabs]

    def _remove_old(self) -> None:
        """Delete what an app that was killed left behind; other apps may be using the folder at the same time."""
        for folder in self._folder.glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > LEFTOVER:
                    shutil.rmtree(folder, ignore_errors=True)

    def _drop_left(self) -> None:
        now = time.monotonic()
        with self._lock:
            gone = [one for one in self._kept.values() if one.left_at is not None and now - one.left_at >= GRACE]
            # Within the lock, so that no tab takes over what is about to go.
            for one in gone:
                del self._kept[one.key]
        for one in gone:
            self.drop(one)


def _one_process() -> Engine:
    return ENGINES.get("local")(workers=1)
