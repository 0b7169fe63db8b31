"""Uploaded files and the tabs that hold them: a file goes when the last tab that uploaded it is closed."""

import hashlib
import threading
from pathlib import Path


class Uploads:
    """Who holds which upload. Gradio files uploads by content, so two tabs may hold the same one.

    Args:
        folder: only files below it are ever deleted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._lock = threading.Lock()
        self._held: dict[str, set[Path]] = {}

    def contains(self, path: Path) -> bool:
        """Whether a path lies in the folder of uploads, whatever links and dots it is made of."""
        return path.resolve().is_relative_to(self._folder)

    def hold(self, tab: str | None, path: str) -> None:
        """Note that a tab uploaded a file."""
        if tab is not None:
            with self._lock:
                self._held.setdefault(tab, set()).add(Path(path).resolve())

    def keep(self, tab: str | None, name: str, content: bytes) -> Path:
        """Lay a file among the uploads, as if the tab had uploaded it; only the last part of `name` is used."""
        folder = self._folder / hashlib.sha256(content).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (Path(name).name or "image")
        if not path.is_file():
            written = path.with_name(f".{path.name}.tmp")
            written.write_bytes(content)
            written.replace(path)
        self.hold(tab, str(path))
        return path

    def release(self, tab: str | None) -> None:
        """Delete what only this tab held."""
        with self._lock:
            mine = self._held.pop(tab, set()) if tab is not None else set()
            kept = {path for held in self._held.values() for path in held}
        for path in mine - kept:
            if self.contains(path):
                path.unlink(missing_ok=True)
