"""What the page Map asks while it shows a map: samples, shapes, words, neighbours, files. Plain functions; all input is foreign."""

import base64
import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.reader import find_reader
from workbench.errors import BadInput
from workbench.latent_map import LatentMap
from workbench.mapping.region import points_found, points_inside
from workbench.render.map_html import engine, map_html
from workbench.render.map_payload import MAX_NEAR, describe_map, map_arrays, pack, pack_points, sample_rows
from workbench.types import ImageRef, Sample
from workbench.ui.desk import Desk

MAX_ASKED = 500
"""Samples that one question may name."""
LISTED = 50
"""Samples that come along with the points of a shape or a search; the page asks for more when somebody scrolls."""
MAX_CORNERS = 1_000
MAX_TEXT = 500


def fetch_engine() -> dict[str, Any]:
    """The script that paints points, for the page to run once."""
    return {"script": engine()}


def fetch_map(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A map's words and numbers, without its samples."""
    key = asked.get("map")
    version, latent_map = desk.maps.version(key), desk.maps.get(key)
    return {
        "head": describe_map(latent_map),
        "arrays": pack(map_arrays(latent_map, neighbours=False)),
        "version": version,
    }


def fetch_samples(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Samples by number, with thumbnails."""
    latent_map, numbers = desk.maps.get(asked.get("map")), asked.get("samples")
    if not isinstance(numbers, list) or len(numbers) > MAX_ASKED:
        raise BadInput(f"At most {MAX_ASKED} samples are told at once.")
    return {"samples": sample_rows(latent_map.samples[_index(one, len(latent_map.samples))] for one in numbers)}


def find_inside(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The points inside a polygon, in units of a projection, and the first samples of them."""
    latent_map, projection = desk.maps.get(asked.get("map")), asked.get("projection")
    places = next((places for name, places in latent_map.projections.items() if name == projection), None)
    if places is None:
        raise BadInput("There is no such projection of this map.")
    return _listed(latent_map, points_inside(places, _polygon(asked.get("polygon"))))


def find_text(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The points that a text is found at, and the first samples of them."""
    latent_map, text = desk.maps.get(asked.get("map")), asked.get("text")
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT:
        raise BadInput(f"A search is for 1 to {MAX_TEXT} characters.")
    return _listed(latent_map, points_found(latent_map, text.strip()))


def fetch_near(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A point's nearest neighbours in the original space, nearest first, with their distances and samples."""
    latent_map = desk.maps.get(asked.get("map"))
    point = _index(asked.get("point"), len(latent_map))
    near = latent_map.neighbours[point, :MAX_NEAR]
    known = near >= 0
    found = _listed(latent_map, near[known])
    return found | {"distances": [float(value) for value in latent_map.distances[point, :MAX_NEAR][known]]}


def save_map(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A map as a file for the browser to save: html or parquet."""
    latent_map, kind = desk.maps.get(asked.get("map")), asked.get("kind")
    if kind == "html":
        return {"name": "map.html", "type": "text/html", "text": map_html(latent_map)}
    if kind != "parquet":
        raise BadInput("A map is saved as 'html' or 'parquet'.")
    from workbench.mapping.map_parquet import write_map

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.parquet"
        write_map(latent_map, path)
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    return {"name": "map.parquet", "type": "application/vnd.apache.parquet", "base64": content}


def open_sample(desk: Desk, asked: Mapping[str, Any], tab: str | None) -> tuple[list[str], str, str]:
    """Image files, question and checkpoint's name of a map's sample, for Explore to fill in.

    Raises:
        BadInput: when the map does not know where the sample comes from, or its row is there no longer.
    """
    key = asked.get("map")
    latent_map = desk.maps.get(key)
    number = _index(asked.get("sample"), len(latent_map.samples))
    which = _index(asked.get("checkpoint", 0), len(latent_map.checkpoints))
    sample = _read_again(latent_map, number, desk.maps.data(key))
    images = [_as_upload(desk, ref, tab) for ref in sample.images]
    return images, sample.text, desk.maps.checkpoints(key)[which]


def _read_again(latent_map: LatentMap, number: int, data: str) -> Sample:
    about, source = latent_map.samples[number], latent_map.source
    data = data or source.get("data", "")
    if about.row < 1 or not data:
        raise BadInput(f"The map does not say where sample '{about.id}' comes from, so it cannot be opened.")
    split = source.get("split", "test")
    reader, place = find_reader(data, split=split)
    if (drawn := source.get("revision")) and drawn != reader.describe(place, split=split).revision:
        raise BadInput("The data have changed since the map was drawn; draw the map again.")
    rows = reader.rows(place, split=split)
    row = next((row for row in itertools.islice(rows, about.row) if row.number == about.row), None)
    if row is None or row.make is None:
        raise BadInput(f"Row {about.row:,} of the data is there no longer; draw the map again.")
    pair = row.make()
    found = pair.query if about.role == "query" else pair.target
    if found is None:
        raise BadInput(f"Row {about.row:,} of the data has no document any more; draw the map again.")
    return found


def _as_upload(desk: Desk, ref: ImageRef, tab: str | None) -> str:
    """An image as if the tab had uploaded it: Explore takes no other file."""
    content = ref.path.read_bytes() if ref.path is not None else ref.data or b""
    return str(desk.uploads.keep(tab, ref.name, content))


def _listed(latent_map: LatentMap, points: np.ndarray) -> dict[str, Any]:
    samples = list(dict.fromkeys(latent_map.sample[points].tolist()))[:LISTED]
    return {
        "points": pack_points(points),
        "listed": samples,
        "samples": sample_rows(latent_map.samples[one] for one in samples),
    }


def _polygon(given: object) -> np.ndarray:
    wrong = BadInput(f"A shape has 3 to {MAX_CORNERS} corners of two numbers each.")
    if not isinstance(given, list) or not 3 <= len(given) <= MAX_CORNERS:
        raise wrong
    for corner in given:
        if not isinstance(corner, list) or len(corner) != 2:
            raise wrong
        if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in corner):
            raise wrong
    polygon = np.array(given, dtype=np.float64)
    if not np.isfinite(polygon).all():
        raise wrong
    return polygon


def _index(given: object, n: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < n:
        raise BadInput("There is no such point or sample on this map.")
    return given
