"""Making a map for the page: what was asked is checked, then a job collects the latents, paints, and fits."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, Cancelled
from workbench.latent_map import LatentMap, ProjectionName
from workbench.mapping.collecting import check_thoughts, collect_points
from workbench.mapping.making import make_map
from workbench.mapping.points import Points, check_of
from workbench.mapping.settings import MapSettings
from workbench.stages import Progress
from workbench.ui.asked import split_of, whole_of
from workbench.ui.desk import Desk
from workbench.ui.zip_shelf import HeldZip

MAX_SAMPLES = 20_000
MIN_SAMPLES = 2
PROJECTIONS: tuple[ProjectionName, ...] = ("umap", "pca")
_COLLECTING = 0.6
"""Share of the bar for running the model; the rest is for projections and what is measured of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapAsked:
    """What stands in the page's controls, as the browser sent it."""

    checkpoint: object = None
    second: object = None
    """A checkpoint to compare with; None or empty for none."""
    data: object = None
    """A name that the page offered, or the key of a zip."""
    split: object = "test"
    n: object = 300
    of: object = "thoughts"
    layer: object = None
    """A number, or one in letters; None or empty takes the last."""
    neighbours: object = 15
    projection: object = "umap"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    checkpoints: tuple[str, ...]
    data: str
    zip: HeldZip | None
    """Stands behind `data`, unless None."""
    split: str
    n: int
    of: Any
    layer: int | None
    settings: MapSettings


def start_map(desk: Desk, asked: MapAsked, tab: str | None) -> str:
    """Begin to make a map; returns the page's JSON: keys of the job and of the map.

    Raises:
        WorkbenchError: for what can be told to be wrong at once.
    """
    order = _order(desk, asked, tab)
    key = desk.maps.open(tab, order.checkpoints, order.data if order.zip else "")

    def work(progress: Progress, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        desk.maps.put(key, _make(desk, order, key, progress, cancelled))
        return {"version": desk.maps.version(key)}

    # A job that ended at once has its answer with it, and is found again on the shelf.
    begun = desk.jobs.start(work)
    return json.dumps({"map": key, **begun})


def look_map(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """How far a map is: as `Jobs.look`, with `version`, which grows whenever there is more to show."""
    found = desk.jobs.look(asked.get("job"))
    return found if "error" in found else found | {"version": desk.maps.version(asked.get("map"))}


def _make(desk: Desk, order: _Order, key: str, progress: Progress, cancelled: Callable[[], bool]) -> LatentMap:
    share = _COLLECTING / len(order.checkpoints)
    if order.zip is not None:
        desk.zips.unpack(order.zip, tell=progress, cancelled=cancelled)
    points = [
        _collect_plainly(desk, order, name, part_of(progress, number * share, share), cancelled)
        for number, name in enumerate(order.checkpoints)
    ]
    return make_map(
        points,
        order.settings,
        paint=lambda painted: desk.maps.put(key, painted),
        tell=part_of(progress, _COLLECTING, 1 - _COLLECTING),
        cancelled=cancelled,
    )


def part_of(progress: Progress, begin: float, share: float) -> Progress:
    """A progress whose whole is a part of another's."""

    def tell(done: float, message: str) -> None:
        progress(begin + share * done, message)

    return tell


def _collect_plainly(desk: Desk, order: _Order, name: str, tell: Progress, cancelled: Callable[[], bool]) -> Points:
    """As `_collect`; of a zip, the name of its folder is taken out of everything that is shown or saved."""
    held = order.zip
    if held is None:
        return _collect(desk, order, name, tell, cancelled)
    try:
        points = _collect(desk, order, name, tell, cancelled)
    except BadInput as error:
        raise BadInput(held.plain(str(error))) from error
    return replace(
        points,
        source={part: held.plain(value) for part, value in points.source.items()},
        samples=tuple(replace(one, image=held.plain(one.image)) for one in points.samples),
        notes=tuple(held.plain(note) for note in points.notes),
    )


def _collect(desk: Desk, order: _Order, name: str, tell: Progress, cancelled: Callable[[], bool]) -> Points:
    tell(0.0, f"Loading {name}")
    model = desk.session.model(desk.path_of(name))
    with desk.session.occupied() as give_way:

        def between() -> bool:
            if not cancelled():
                give_way()
            return cancelled()

        if cancelled():
            raise Cancelled("The map was cancelled.")
        return collect_points(
            model,
            order.data,
            split=order.split,
            n=order.n,
            of=order.of,
            layer=order.layer,
            tell=tell,
            cancelled=between,
        )


def _order(desk: Desk, asked: MapAsked, tab: str | None) -> _Order:
    first = asked.checkpoint
    desk.path_of(first)
    checkpoints = (str(first),)
    if asked.second not in (None, "", []):
        desk.path_of(asked.second)
        if asked.second == first:
            raise BadInput("Both checkpoints are the same; choose another one to compare with, or none.")
        checkpoints = (str(first), str(asked.second))
    split = split_of(asked.split)
    of = check_of(str(asked.of))
    for name in checkpoints:
        check_thoughts(Path(desk.path_of(name)), of)
    held = desk.zips.find(asked.data, tab)
    return _Order(
        checkpoints=checkpoints,
        data=desk.data_of(asked.data) if held is None else held.data,
        zip=held,
        split=split if held is None else "test",
        n=whole_of(asked.n, "The number of samples", MIN_SAMPLES, MAX_SAMPLES),
        of=of,
        layer=_layer(asked.layer),
        settings=MapSettings(
            projection=_projection(asked.projection),
            n_neighbours=whole_of(asked.neighbours, "The number of neighbours", 2, 200),
        ),
    )


def _layer(given: object) -> int | None:
    """None takes the last."""
    written = given.strip() if isinstance(given, str) else given
    if written in (None, ""):
        return None
    number = int(written) if isinstance(written, str) and written.removeprefix("-").isdecimal() else written
    return whole_of(number, "The layer", -1_000, 1_000)


def _projection(given: object) -> ProjectionName:
    for known in PROJECTIONS:
        if given == known:
            return known
    raise BadInput("The projection is UMAP or PCA.")
