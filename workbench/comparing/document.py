"""A comparison as plain JSON values, in the form that `schema/comparison.v1.schema.json` publishes."""

import json
from importlib.resources import files
from typing import Any

import numpy as np

from workbench.comparison import SCHEMA, VERSION, Comparison, Grid, PairComparison
from workbench.export.record import plain
from workbench.store import to_json


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON values. Samples are numbered from 0, think tokens and layers from 1."""
    held = to_json(comparison)
    held["pairs"] = [_pair(pair, values) for pair, values in zip(comparison.pairs, held["pairs"], strict=True)]
    return _clean({"schema": SCHEMA, "version": VERSION, **held})


def schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12)."""
    file = files("workbench.comparing") / "schema" / f"comparison.v{VERSION}.schema.json"
    return json.loads(file.read_text(encoding="utf-8"))


def _pair(pair: PairComparison, values: dict[str, Any]) -> dict[str, Any]:
    grids = {name: getattr(pair, name) for name in ("layers", "steps", "depths")}
    return values | {name: None if grid is None else values[name] | _tables(grid) for name, grid in grids.items()}


def _tables(grid: Grid) -> dict[str, Any]:
    return {name: np.round(getattr(grid, name).astype(np.float64), 6).tolist() for name in ("overlap", "cka")}


def _clean(value: Any) -> Any:
    """Six significant digits, and no half of a surrogate pair, which UTF-8 cannot hold."""
    match value:
        case float():
            return float(f"{value:.6g}")
        case str():
            return plain(value)
        case list():
            return [_clean(one) for one in value]
        case dict():
            return {name: _clean(one) for name, one in value.items()}
    return value
