"""The arrays of a part: one safetensors file beside its records, which name file and key."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from safetensors.numpy import save

from workbench.export.plan import Extra
from workbench.types import Trace

ARRAY_EXTRAS: Mapping[Extra, tuple[str, ...]] = {
    "latents": ("latents",),
    "embedding": ("embedding",),
    "attention": ("attention",),
    "knockout": ("knockout", "stepwise"),
}
"""Which arrays of a trace each extra keeps, under the trace's own names and with its axes; float32."""

ARRAY_NAMES = tuple(name for names in ARRAY_EXTRAS.values() for name in names)


def trace_arrays(trace: Trace, row: int, extras: Sequence[Extra]) -> dict[str, np.ndarray]:
    """The arrays that the extras ask for, under keys "ROW.NAME"; rows are counted from 1, so that no two files share one."""
    return {
        _key(row, name): np.ascontiguousarray(getattr(trace, name), dtype=np.float32)
        for extra in ARRAY_EXTRAS
        if extra in extras
        for name in ARRAY_EXTRAS[extra]
    }


def arrays_reference(file: str, row: int, keys: Mapping[str, Any]) -> dict[str, Any] | None:
    """How a record names its arrays: the file and, for each kind of array, its key in it or null; None without arrays."""
    named = {name: _key(row, name) if _key(row, name) in keys else None for name in ARRAY_NAMES}
    return {"file": file, "keys": named} if any(named.values()) else None


def arrays_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of the safetensors file. Equal arrays give equal bytes, whatever their order."""
    return save({key: arrays[key] for key in sorted(arrays)})


def _key(row: int, name: str) -> str:
    return f"{row}.{name}"
