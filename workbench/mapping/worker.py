"""The process in which UMAP runs: `python -m workbench.mapping.worker FOLDER`, started by `workbench.mapping.fitting`.

A process of its own, since two fits in one process can abort it, a forked one is killed (OpenMP), and a fit can neither be
stopped nor bounded in any other way. Arrays come and go as files of the folder; stdout tells one JSON object a line.
"""

import json
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from workbench.mapping.neighbours import near_by_descent
from workbench.stats import Neighbours

Tell = Callable[[str, float], None]
_WARM_UP = 40
_PERCENT = re.compile(r"(\d+)%\|")


def main(folder: Path, tell: Tell) -> dict[str, Any]:
    """Do what `job.json` asks; write the results beside it, and return what else is to be known."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    seconds: dict[str, float] = {}
    clouds = [_Cloud(folder, number) for number in range(job["clouds"])]
    for cloud in clouds:
        if not cloud.has_neighbours:
            _timed(seconds, "neighbours", lambda cloud=cloud: cloud.search(job["k"], job["seed"], tell))
    if job["mode"] != "neighbours":
        _timed(seconds, "compile", lambda: _compile(job, tell))
        _timed(seconds, "umap", lambda: _fit(job, clouds, folder, tell))
    return {"seconds": seconds, "versions": {name: version(name) for name in ("umap-learn", "pynndescent", "numba")}}


class _Cloud:
    """One checkpoint's vectors and their neighbours, as files of the folder."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number
        self.components = np.load(folder / f"{number}.components.npy")

    @property
    def has_neighbours(self) -> bool:
        return (self._folder / f"{self._number}.indices.npy").exists()

    @property
    def near(self) -> Neighbours:
        return Neighbours(*(np.load(self._folder / f"{self._number}.{name}.npy") for name in Neighbours._fields))

    def search(self, k: int, seed: int, tell: Tell) -> None:
        tell("Searching for neighbours", 0.0)
        vectors = np.load(self._folder / f"{self._number}.vectors.npy", mmap_mode="r")
        found = near_by_descent(vectors, self.components, k, seed)
        for name, values in found._asdict().items():
            np.save(self._folder / f"{self._number}.{name}.npy", values)


def _fit(job: dict[str, Any], clouds: list[_Cloud], folder: Path, tell: Tell) -> None:
    share = 1 / (len(job["seeds"]) * len(clouds))
    for run, seed in enumerate(job["seeds"]):
        done = run / len(job["seeds"])
        if job["mode"] == "aligned":
            tell("Laying out both checkpoints together" if run == 0 else "Laying them out again", done)
            places = _aligned(job, clouds, np.load(folder / "pairs.npy"), seed)
        else:
            places = []
            for number, cloud in enumerate(clouds):
                doing = "Laying out the map" if run == 0 else "Laying it out again, to see what stays"
                at = done + number * share
                init = _first_places(folder, places, len(cloud.components)) if places else "spectral"
                bar = _EpochBar(lambda part, doing=doing, at=at: tell(doing, at + part * share))
                places.append(_layout(job, cloud.components, cloud.near, seed, init, bar))
        for number, found in enumerate(places):
            np.save(folder / f"{number}.places.{run}.npy", np.ascontiguousarray(found, dtype=np.float32))


def _layout(
    job: dict[str, Any], components: np.ndarray, near: Neighbours, seed: int, init: Any, bar: Any
) -> np.ndarray:
    import umap

    own = np.arange(len(components), dtype=np.int32)[:, None]
    # UMAP counts a point as its own first neighbour.
    indices = np.concatenate([own, near.indices], axis=1)[:, : job["n_neighbours"]]
    distances = np.concatenate([np.zeros((len(own), 1), dtype=np.float32), near.distances], axis=1)
    model = umap.UMAP(
        n_neighbors=indices.shape[1],
        min_dist=job["min_dist"],
        metric="euclidean",
        random_state=seed,
        n_jobs=1,
        init=init,
        precomputed_knn=(indices, np.ascontiguousarray(distances[:, : job["n_neighbours"]], dtype=np.float32)),
        verbose=True,
        tqdm_kwds={"file": bar, "mininterval": 0.5},
    )
    return np.asarray(model.fit_transform(components))


def _first_places(folder: Path, places: list[np.ndarray], n: int) -> np.ndarray:
    """Where the second checkpoint's layout begins: on the first one's places, so that what can stay does.

    Points without a counterpart begin in the middle, spread a little.
    """
    pairs = np.load(folder / "pairs.npy")
    begin = np.random.default_rng(0).standard_normal((n, 2)).astype(np.float32)
    begin += places[0].mean(axis=0)
    begin[pairs[:, 1]] = places[0][pairs[:, 0]]
    return begin


def _aligned(job: dict[str, Any], clouds: list[_Cloud], pairs: np.ndarray, seed: int) -> list[np.ndarray]:
    import umap

    model = umap.AlignedUMAP(
        n_neighbors=job["n_neighbours"],
        min_dist=job["min_dist"],
        metric="euclidean",
        random_state=seed,
        transform_seed=seed,
    )
    relation = {int(one): int(other) for one, other in pairs}
    model.fit([cloud.components for cloud in clouds], relations=[relation])
    return [np.asarray(places) for places in model.embeddings_]


def _compile(job: dict[str, Any], tell: Tell) -> None:
    """Fit a handful of points, so that numba's compiling is over, and is told apart, before the fit that counts."""
    tell("Compiling UMAP (once a run)", 0.0)
    drawn = np.random.default_rng(0).standard_normal((_WARM_UP, 8)).astype(np.float32)
    if job["mode"] == "aligned":
        import umap

        model = umap.AlignedUMAP(n_neighbors=5, n_epochs=2, random_state=0)
        model.fit([drawn, drawn], relations=[{i: i for i in range(_WARM_UP)}])
        return
    from workbench.stats import nearest_neighbours

    _layout(job | {"n_neighbours": 6}, drawn, nearest_neighbours(drawn, 6), 0, "spectral", _EpochBar(lambda _: None))


class _EpochBar:
    """Stands in for the file that UMAP's progress bar writes to, and reads the share done from it."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell

    def write(self, text: str) -> None:
        if found := _PERCENT.search(text):
            self._tell(int(found[1]) / 100)

    def flush(self) -> None:
        """Nothing is held back."""


def _timed(seconds: dict[str, float], name: str, work: Callable[[], None]) -> None:
    begin = time.perf_counter()
    work()
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin


def _leave_with_parent() -> None:
    # The parent holds the other end for as long as it lives, also when it is killed.
    sys.stdin.buffer.read()
    os._exit(1)


def _run() -> None:
    # What libraries print must not come between the lines that the parent reads.
    lines, sys.stdout = sys.stdout, sys.stderr
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")

    def say(**message: Any) -> None:
        lines.write(json.dumps(message) + "\n")
        lines.flush()

    say(result=main(Path(sys.argv[1]), lambda doing, done: say(doing=doing, done=done)))


if __name__ == "__main__":
    _run()
