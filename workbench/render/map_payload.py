"""A map of latents as a browser takes it: its words as JSON values, its numbers as one binary block, its samples apart.

The block goes over once. What it holds is narrowed to what is drawn: codes of few categories are one byte each.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from workbench.latent_map import NO_VALUE, Column, LatentMap, MapSample
from workbench.render.values import printable
from workbench.types import Provenance

MAX_NEAR = 10
"""Neighbours of a point that are shown; the map itself may hold more."""
_TYPES = {"u1": "|u1", "u2": "<u2", "i2": "<i2", "i4": "<i4", "f4": "<f4"}
_FEW, _SOME = 254, 65_534


def describe_map(latent_map: LatentMap) -> dict[str, Any]:
    """The words of a map: everything but numbers of points and texts of samples."""
    return {
        "title": latent_map.title,
        "of": latent_map.of,
        "layer": latent_map.layer,
        "shown": latent_map.shown,
        "projections": sorted(latent_map.projections),
        "n_samples": len(latent_map.samples),
        "points_found": int(latent_map.parameters.get("points_found", len(latent_map))),
        "checkpoints": _checkpoints(latent_map.checkpoints),
        "columns": [_column(column) for column in latent_map.columns],
        "clusters": [{"label": printable(one.label), "size": one.size} for one in latent_map.clusters],
        "figures": [
            {
                "name": one.name,
                "projection": one.projection,
                "checkpoint": one.checkpoint,
                "value": _plain(one.value),
                "n": one.n,
                "k": one.k,
                "chance": _plain(one.chance),
                "about": one.about,
            }
            for one in latent_map.figures
        ],
        "pairing": _pairing(latent_map),
        "duplicates": latent_map.duplicates,
        "source": dict(latent_map.source),
        "parameters": dict(latent_map.parameters),
        "seed": latent_map.seed,
        "versions": dict(latent_map.versions),
        "seconds": {name: round(value, 2) for name, value in latent_map.seconds.items()},
        "notes": list(latent_map.notes),
        "reading": latent_map.reading,
    }


def map_arrays(latent_map: LatentMap, *, neighbours: bool) -> dict[str, np.ndarray]:
    """The numbers of a map by name; with the neighbours of every point, or without."""
    found: dict[str, np.ndarray] = {
        "sample": latent_map.sample.astype("<i4"),
        "k": latent_map.k.astype("<i2"),
        "checkpoint": latent_map.checkpoint.astype("|u1"),
        **{name: places.astype("<f4") for name, places in latent_map.projections.items()},
    }
    for column in latent_map.columns:
        if column.kind == "number":
            found[f"column {column.name}"] = column.values.astype("<f4")
        elif column.kind == "categorical":
            found[f"column {column.name}"] = _codes(column)
    if latent_map.pairing is not None:
        found["pairs"] = latent_map.pairing.pairs.astype("<i4")
    if neighbours:
        found["neighbours"] = latent_map.neighbours[:, :MAX_NEAR].astype("<i4")
        found["distances"] = latent_map.distances[:, :MAX_NEAR].astype("<f4")
    return found


def pack(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrays as one base64 block, and where each of them lies in it: [type, offset in bytes, number of values]."""
    places: dict[str, list[Any]] = {}
    block = bytearray()
    for name, values in arrays.items():
        kind = next(key for key, code in _TYPES.items() if np.dtype(code) == values.dtype)
        places[name] = [kind, len(block), values.size]
        block += np.ascontiguousarray(values).tobytes()
        block += bytes(-len(block) % 4)
    return {"arrays": places, "data": base64.b64encode(bytes(block)).decode("ascii")}


def pack_points(points: Int[np.ndarray, " points"]) -> str:
    """Indices of points as base64 of 32-bit integers."""
    return base64.b64encode(points.astype("<i4").tobytes()).decode("ascii")


def sample_rows(samples: Iterable[MapSample], *, thumbnails: bool = True) -> list[dict[str, Any]]:
    """Samples as the browser shows them, with their thumbnails or without; texts hold nothing that turns or hides letters."""
    return [
        {
            "id": printable(one.id),
            "row": one.row,
            "text": printable(one.text),
            "answer": printable(one.answer),
            "image": printable(one.image),
            "thumbnail": thumbnail_uri(one) if thumbnails else "",
            "thoughts": [printable(thought) for thought in one.thoughts],
        }
        for one in samples
    ]


def thumbnail_uri(sample: MapSample) -> str:
    """A sample's small picture for an `src` attribute; empty when it has none."""
    if not sample.thumbnail:
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(sample.thumbnail).decode('ascii')}"


def _column(column: Column) -> dict[str, Any]:
    said = {"name": column.name, "kind": column.kind, "about": column.about, "better": column.better}
    if column.kind == "categorical":
        said |= {"categories": [printable(name) for name in column.categories], "none": _unknown(column)}
    return said


def _unknown(column: Column) -> int:
    """The code that stands for "not known" once the codes are narrowed."""
    if len(column.categories) <= _FEW:
        return _FEW + 1
    return _SOME + 1 if len(column.categories) <= _SOME else NO_VALUE


def _codes(column: Column) -> np.ndarray:
    unknown = _unknown(column)
    codes = np.where(column.values == NO_VALUE, unknown, column.values)
    return codes.astype("|u1" if unknown == _FEW + 1 else "<u2" if unknown == _SOME + 1 else "<i4")


def _checkpoints(checkpoints: tuple[Provenance, ...]) -> list[dict[str, str]]:
    short = [one.checkpoint.rstrip("/").rsplit("/", 1)[-1] or one.checkpoint for one in checkpoints]
    names = short if len(set(short)) == len(short) else [one.checkpoint for one in checkpoints]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, start=1)]
    return [
        {"name": name, "family": one.family, "sha256": one.checkpoint_sha256 or one.weights_sha256}
        for name, one in zip(names, checkpoints, strict=True)
    ]


def _pairing(latent_map: LatentMap) -> dict[str, Any] | None:
    pairing = latent_map.pairing
    if pairing is None:
        return None
    return {
        "alignment": dict(pairing.alignment),
        "about": pairing.about,
        "k": pairing.k,
        "movers": [{"pair": one.pair, "change": float(one.change)} for one in pairing.movers],
    }


def _plain(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
