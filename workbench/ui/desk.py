"""What all tabs of one running app share: the session, the checkpoints on offer, and the results that are shown.

Only ids travel to the browser and back; the results themselves stay here.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.assets import DEFAULT_CHECKPOINT, assets_dir, bundled_checkpoints, resolve_checkpoint
from workbench.data.reader import find_reader
from workbench.errors import BadInput, UnknownName
from workbench.explanation import Explanation, values_of
from workbench.inspection import Inspection
from workbench.memory import weigh_trace
from workbench.runner import Session, weigh_inspection
from workbench.samples import Candidate, read_candidates
from workbench.ui.audit_shelf import AuditShelf
from workbench.ui.compare_shelf import CompareShelf
from workbench.ui.export_shelf import ExportShelf
from workbench.ui.jobs import Jobs
from workbench.ui.map_shelf import MapShelf
from workbench.ui.uploads import Uploads
from workbench.ui.zip_shelf import ZipShelf

MAX_KEPT = 64
MAX_BYTES = 2 * 2**30
"""What kept results may weigh together, traces of large images with a large model above all."""
SHAPES = "Shapes"
"""The data set that is always offered."""


class Shelf:
    """The latest results by id; safe to share between threads."""

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        self._max_kept = max_kept
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Inspection | Explanation] = OrderedDict()

    def put(self, inspection: Inspection) -> str:
        """Keep a result and return its id, which is made from what was asked: the same question has the same id."""
        asked = [
            *_whose(inspection),
            [[name, repr(result.parameters)] for name, result in inspection.results.items()],
            [row.candidate.text for row in inspection.ranking],
        ]
        return self._keep(asked, inspection)

    def put_explanation(self, explanation: Explanation) -> str:
        """Keep an explanation and return its id, made in the same way."""
        result, thought = explanation.result, explanation.thought
        asked = [
            *_whose(explanation),
            [result.probe, result.version, repr(result.parameters)],
            [explanation.target, explanation.labels, thought.text if thought else ""],
            values_of(result, "value"),
        ]
        return self._keep(asked, explanation)

    def get(self, key: object) -> Inspection:
        """Return a kept result. Raises BadInput when it was pushed out, or when the id was never given."""
        found = self._look(key)
        if not isinstance(found, Inspection):
            raise BadInput("This result is no longer in memory; press 'Read the thought' again.")
        return found

    def get_explanation(self, key: object) -> Explanation:
        """Return a kept explanation. Raises BadInput as `get` does."""
        found = self._look(key)
        if not isinstance(found, Explanation):
            raise BadInput("This map is no longer in memory; ask for it again.")
        return found

    def _keep(self, asked: list[Any], found: Inspection | Explanation) -> str:
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
        with self._lock:
            self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and (len(self._kept) > self._max_kept or self._weight() > MAX_BYTES):
                self._kept.popitem(last=False)
        return key

    def _weight(self) -> int:
        return sum(
            weigh_inspection(one) if isinstance(one, Inspection) else weigh_trace(one.trace)
            for one in self._kept.values()
        )

    def _look(self, key: object) -> Inspection | Explanation | None:
        with self._lock:
            return self._kept.get(key) if isinstance(key, str) else None


def _whose(found: Inspection | Explanation) -> list[Any]:
    """Checkpoint and sample. The image's file too: a copy of it that another tab uploaded goes when that tab is closed."""
    files = [str(image.path or image.name) for image in found.sample.images]
    return [found.trace.provenance.checkpoint_sha256, str(found.card.path), found.sample.id, files]


class Desk:
    """One app's session, checkpoints and shelf.

    Args:
        session: runs the models.
        folders: checkpoint folders offered beside the bundled ones.
        data: data sets offered beside Shapes, each as `find_reader` takes it.
        upload_folder: where the server puts uploads.

    Raises:
        BadCheckpoint: for a folder that is no checkpoint.
        BadInput: for data that no reader takes.
    """

    def __init__(
        self, session: Session, folders: Sequence[Path] = (), *, data: Sequence[str] = (), upload_folder: Path
    ) -> None:
        self.session = session
        self.shelf = Shelf()
        self.maps = MapShelf()
        self.exports = ExportShelf(upload_folder)
        self.zips = ZipShelf(upload_folder)
        self.comparisons = CompareShelf()
        self.audits = AuditShelf()
        self.jobs = Jobs()
        self.uploads = Uploads(upload_folder)
        self.checkpoints: Mapping[str, Path] = _by_name([resolve_checkpoint(str(folder)) for folder in folders])
        self.datasets: Mapping[str, str] = {SHAPES: "shapes", **{one: one for one in data}}
        for one in data:
            find_reader(one)
        self.default_candidates: tuple[Candidate, ...] = _shipped_candidates()

    @property
    def first_checkpoint(self) -> str | None:
        """The name that is chosen when the page opens; None when there is nothing to choose."""
        if DEFAULT_CHECKPOINT in self.checkpoints:
            return DEFAULT_CHECKPOINT
        return next(iter(self.checkpoints), None)

    def path_of(self, name: object) -> str:
        """The folder behind a name that the page offered. Raises BadInput for none, UnknownName for any other."""
        if name in (None, "", []):
            raise BadInput("No checkpoint is chosen; choose one, or start the app with --checkpoint FOLDER.")
        if not isinstance(name, str) or name not in self.checkpoints:
            raise UnknownName("checkpoint", str(name)[:100], self.checkpoints)
        return str(self.checkpoints[name])

    def offers(self, tab: str | None) -> list[tuple[str, str]]:
        """Title and name of each data set on the page Map of a tab: those of the app, and the zips that the tab uploaded."""
        return [*((name, name) for name in self.datasets), *self.zips.offers(tab)]

    def data_of(self, name: object) -> str:
        """The data set behind a name that the page offered. Raises BadInput for none, UnknownName for any other."""
        if name in (None, "", []):
            raise BadInput("No data set is chosen; choose one, or start the app with --data PATH.")
        if not isinstance(name, str) or name not in self.datasets:
            raise UnknownName("data set", str(name)[:100], self.datasets)
        return self.datasets[name]


def _by_name(folders: Sequence[Path]) -> dict[str, Path]:
    found = dict(bundled_checkpoints())
    for folder in folders:
        taken = folder.name in found and found[folder.name] != folder
        found[str(folder) if taken else folder.name] = folder
    return found


def _shipped_candidates() -> tuple[Candidate, ...]:
    path = assets_dir() / "examples" / "candidates.txt"
    return read_candidates(path) if path.is_file() else ()
