"""UMAP from outside: a fit handed to a process of its own, watched, bounded and stopped.

umap and numba are never imported here. One fit runs at a time in this process; others wait.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

import workbench
from workbench.errors import Cancelled, WorkbenchError
from workbench.stages import Progress
from workbench.stats import Neighbours

Mode = Literal["neighbours", "each", "aligned"]

_LOOK = 0.2
"""Seconds between looks at whether the fit is still wanted."""
_one_at_a_time = threading.Lock()


class FitFailed(WorkbenchError):
    """The process of the fit ended without a map, or took too long. The message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCloud:
    """What the fit needs of one checkpoint."""

    vectors: Float[np.ndarray, "unique dim"]
    components: Float[np.ndarray, "unique components"]
    near: Neighbours | None
    """None has them searched for. Distances are Euclidean, in the space of `vectors`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fit to be made."""

    mode: Mode
    """each: one layout after the other, the second begun on the places of the first; aligned: AlignedUMAP."""
    clouds: Sequence[FitCloud]
    pairs: Int[np.ndarray, "pairs 2"] | None = None
    """Rows of two clouds that belong together."""
    n_neighbours: int = 15
    k: int = 15
    """Neighbours to search for."""
    min_dist: float = 0.1
    seeds: Sequence[int] = (0,)
    """One run for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What came of it."""

    places: tuple[tuple[Float[np.ndarray, "_ 2"], ...], ...]
    """For each seed, for each cloud; empty where only neighbours were asked for."""
    near: tuple[Neighbours | None, ...]
    """For each cloud whose neighbours were searched for, what was found."""
    seconds: Mapping[str, float]
    """compile (numba, once a process), neighbours, umap."""
    versions: Mapping[str, str]


def run_fit(fit: Fit, *, tell: Progress, cancelled: Callable[[], bool], timeout: float) -> Fitted:
    """Make a fit in a process of its own.

    Args:
        fit: what to fit.
        tell: told the share done and what is being done.
        cancelled: asked several times a second, also while another fit is waited for.
        timeout: seconds, from the moment the process is started.

    Raises:
        Cancelled: when `cancelled` said so; the process is gone then.
        FitFailed: when the process ended without a result or took too long.
    """
    with _turn(tell, cancelled), tempfile.TemporaryDirectory(prefix="thinkscope-map-") as name:
        folder = Path(name)
        _write(fit, folder)
        told = _watch(folder, tell, cancelled, timeout)
        runs = 0 if fit.mode == "neighbours" else len(fit.seeds)
        return Fitted(
            places=tuple(
                tuple(np.load(folder / f"{number}.places.{run}.npy") for number in range(len(fit.clouds)))
                for run in range(runs)
            ),
            near=tuple(
                _read_neighbours(folder, number) if cloud.near is None else None
                for number, cloud in enumerate(fit.clouds)
            ),
            seconds=told["seconds"],
            versions=told["versions"],
        )


@contextlib.contextmanager
def _turn(tell: Progress, cancelled: Callable[[], bool]) -> Iterator[None]:
    while not _one_at_a_time.acquire(timeout=_LOOK):
        tell(0.0, "Waiting for another map to be fitted")
        if cancelled():
            raise Cancelled("The map was given up before its turn came.")
    try:
        yield
    finally:
        _one_at_a_time.release()


def _write(fit: Fit, folder: Path) -> None:
    for number, cloud in enumerate(fit.clouds):
        np.save(folder / f"{number}.components.npy", np.ascontiguousarray(cloud.components))
        if cloud.near is None:
            np.save(folder / f"{number}.vectors.npy", cloud.vectors)
        else:
            for name, values in cloud.near._asdict().items():
                np.save(folder / f"{number}.{name}.npy", values)
    if fit.pairs is not None:
        np.save(folder / "pairs.npy", fit.pairs)
    job = {name: getattr(fit, name) for name in ("mode", "n_neighbours", "k", "min_dist")}
    job |= {"clouds": len(fit.clouds), "seeds": list(fit.seeds), "seed": fit.seeds[0]}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def _read_neighbours(folder: Path, number: int) -> Neighbours:
    return Neighbours(*(np.load(folder / f"{number}.{name}.npy") for name in Neighbours._fields))


def _watch(folder: Path, tell: Progress, cancelled: Callable[[], bool], timeout: float) -> dict[str, Any]:
    # -P: a file called umap.py where the user happens to stand must not be taken for the library.
    command = [sys.executable, "-P", "-m", "workbench.mapping.worker", str(folder)]
    until = time.monotonic() + timeout
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
    try:
        lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
        while True:
            if cancelled():
                raise Cancelled("The map was given up.")
            if time.monotonic() > until:
                raise FitFailed(f"UMAP took longer than {timeout:g} seconds and was stopped.")
            with contextlib.suppress(queue.Empty):
                line = lines.get(timeout=_LOOK)
                if line is None:
                    raise FitFailed(_why(process.wait(), folder / "stderr"))
                message = json.loads(line)
                if "result" in message:
                    return message["result"]
                tell(message["done"], message["doing"])
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _pump(process: "subprocess.Popen[bytes]", lines: "queue.Queue[bytes | None]") -> None:
    assert process.stdout is not None
    with contextlib.suppress(ValueError, OSError):  # closed by the watcher, who has what it wanted
        for line in process.stdout:
            lines.put(line)
    lines.put(None)


def _why(code: int, errors: Path) -> str:
    said = [line.strip() for line in errors.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    told = f": {said[-1][:300].rstrip('.')}" if said else ""
    if code < 0:
        told = f" (killed by signal {-code}; out of memory?)"
    return f"UMAP's process ended without a map{told}."


def _environment() -> dict[str, str]:
    """Ours, with a folder that numba can keep compiled code in: without one it refuses to run in a read-only installation."""
    path = [str(Path(workbench.__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    if "NUMBA_CACHE_DIR" not in found and (cache := _cache_folder()):
        found["NUMBA_CACHE_DIR"] = str(cache)
    return found


def _cache_folder() -> Path | None:
    """The user's own cache; a folder that others can write to would let them run code here. None: numba's own choice."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".cache") / "thinkscope" / "numba"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None
