"""How far an export is, and what it left behind."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from workbench.data.sifting import Problem, Shard
from workbench.export.engine import Outcome
from workbench.export.plan import Plan
from workbench.export.sidecar import PartNote

Status = Literal["complete", "partial", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    done: int
    """Rows with a thought, those of earlier runs included."""
    failed: int
    rows: int | None
    """Rows in all, as far as that is known; with `n`, at most so many."""
    rate: float
    """Rows of this run per second, from when the first part was begun with the model loaded."""
    left: float | None
    """Seconds that this run still takes at this rate; None while the number of rows or the rate is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run left behind."""

    status: Status
    """complete: the output is whole; partial: parts of other shards are missing; cancelled: resume to go on."""
    out: Path
    manifest: Path
    rows: int
    """In all complete parts, whoever made them; `done` and `failed` too."""
    done: int
    failed: int
    problems: tuple[Problem, ...]
    """The first 1,000 rows that failed, and why."""
    made: int
    """Rows that this run made; 0 when the output was complete before."""
    seconds: float
    model_seconds: float
    """Of all workers of this run together."""
    mixed: int
    """In how many ways (versions, kinds of device) parts were made; of more than one, last digits may differ."""


@final
class Meter:
    """Counts while parts are made, and tells whoever listens."""

    def __init__(self, plan: Plan, shard: Shard, listen: Callable[[Progress], None] | None) -> None:
        self._plan, self._shard, self._listen = plan, shard, listen
        self._started = time.monotonic()
        self._making: float | None = None
        known = [rows for rows in (plan.n, plan.data_rows) if rows is not None]
        self._rows = min(known) if known else None
        self._own = None if self._rows is None else _own_rows(self._rows, plan.part_rows, shard)
        self._done = self._failed = self._earlier = 0
        self.made = 0
        self.model_seconds = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def count_earlier(self, note: PartNote) -> None:
        """Count a part that an earlier run made, or another shard."""
        self._done += note.done
        self._failed += note.failed
        if note.part % self._shard.of == self._shard.index:
            self._earlier += note.rows

    def add(self, outcome: Outcome) -> None:
        """Count a part of this run, and tell."""
        if self._making is None:
            self._making = time.monotonic() - outcome.seconds
        self._done += outcome.done
        self._failed += outcome.failed
        self.made += outcome.rows
        self.model_seconds += outcome.model_seconds
        self.tell()

    def tell(self) -> None:
        """Tell how far it is."""
        if self._listen is None:
            return
        rate = 0.0 if self._making is None else self.made / max(time.monotonic() - self._making, 1e-9)
        left = None
        if self._own is not None and rate > 0:
            left = max(self._own - self._earlier - self.made, 0) / rate
        self._listen(Progress(done=self._done, failed=self._failed, rows=self._rows, rate=rate, left=left))


def _own_rows(rows: int, part_rows: int, shard: Shard) -> int:
    parts = -(-rows // part_rows)
    own = len(range(shard.index, parts, shard.of)) * part_rows
    holds_last = parts > 0 and (parts - 1) % shard.of == shard.index
    return own - (parts * part_rows - rows if holds_last else 0)
