"""Records on disk and back, without loss: JSON for what people read, safetensors for the arrays of traces.

A record becomes JSON field by field, guided by its type hints; a field left out of comparison (`compare=False`) is not
stored. Floats that JSON has no word for are the strings "nan", "inf" and "-inf" inside arrays, and {"__float__": "nan"}
outside, where a string could be meant. Nothing here knows probes or models.
"""

import base64
import dataclasses
import functools
import hashlib
import json
import math
import os
import secrets
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import AbstractArray

from workbench.errors import BadInput
from workbench.types import Trace

T = TypeVar("T")

_DTYPES: dict[str, type[np.generic]] = {"float32": np.float32, "int64": np.int64, "str": np.str_}
_ODD_FLOAT = "__float__"
"""Key that marks a float which JSON has no word for."""
_TENSORS = ("latents", "attention", "embedding", "stepwise", "knockout")
_INDEX = "traces.json"


def to_json(record: Any) -> dict[str, Any]:
    """Turn a record of `workbench.types` into plain JSON values, exact to the last bit of every float32.

    Tuples inside the free-form mappings (parameters, processor, metadata) come back as lists; there is nothing else lost.
    Raises TypeError for a value that JSON cannot hold.
    """
    return {
        item.name: _encode(getattr(record, item.name))
        for item in dataclasses.fields(record)
        if item.compare is not False
    }


def from_json(kind: type[T], data: Mapping[str, Any]) -> T:
    """Make a record of type `kind` from what `to_json` returned.

    Raises BadInput naming the field that is missing, unknown or of the wrong kind.
    """
    hints = _hints(kind)
    fields = {item.name: item for item in dataclasses.fields(kind) if item.compare is not False}  # pyright: ignore[reportArgumentType] - records are dataclasses
    if unknown := sorted(set(data) - set(fields)):
        raise BadInput(f"A stored {kind.__name__} has the unknown field '{unknown[0]}'; known: {', '.join(fields)}.")
    values = {}
    for name, item in fields.items():
        if name in data:
            values[name] = _decode(hints[name], data[name], f"{kind.__name__}.{name}")
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise BadInput(
                f"A stored {kind.__name__} lacks its field '{name}'; the file is incomplete or of another kind."
            )
    return kind(**values)


def dumps(record: Any, *, indent: int | None = None) -> str:
    """Write a record as JSON text. It is strict JSON: never the bare words NaN or Infinity."""
    return json.dumps(to_json(record), allow_nan=False, indent=indent)


def loads(kind: type[T], text: str) -> T:
    """Read what `dumps` wrote. Raises BadInput for text that is not JSON or not a `kind`."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"A stored {kind.__name__} is not valid JSON: {error}.") from error
    if not isinstance(data, dict):
        raise BadInput(f"A stored {kind.__name__} must be a JSON object, not {type(data).__name__}.")
    return from_json(kind, data)


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never half of it. Makes missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes_atomic` writes bytes."""
    write_bytes_atomic(path, text.encode("utf-8"))


def save_traces(folder: Path, traces: Sequence[Trace]) -> None:
    """Write traces as one safetensors file of arrays and `traces.json` for the rest; images given as bytes go beside.

    An image on disk is stored by its path and hash, not copied. A save over an older one replaces it in one step.
    """
    from safetensors.numpy import save

    tensors = {
        f"{i}.{name}": np.ascontiguousarray(getattr(trace, name)) for i, trace in enumerate(traces) for name in _TENSORS
    }
    blob = save(tensors)
    # Named by its content: the index, written last, never points at arrays of another save.
    name = f"traces-{hashlib.sha256(blob).hexdigest()[:16]}.safetensors"
    write_bytes_atomic(folder / name, blob)
    for trace in traces:
        for image in trace.sample.images:
            if image.data is not None:
                write_bytes_atomic(folder / "images" / image.sha256, image.data)
    index = {"format": "thinkscope.traces/1", "tensors": name, "traces": [_without_arrays(trace) for trace in traces]}
    write_text_atomic(folder / _INDEX, json.dumps(index, allow_nan=False))
    for old in folder.glob("traces-*.safetensors"):
        if old.name != name:
            old.unlink(missing_ok=True)


def load_traces(folder: Path) -> list[Trace]:
    """Read what `save_traces` wrote. The traces have no continuation, so a model cannot decode from them.

    Raises BadInput when a file is missing or an image's bytes are not those that were saved.
    """
    from safetensors.numpy import load_file

    path = folder / _INDEX
    if not path.is_file():
        raise BadInput(f"{folder} holds no {_INDEX}; give a folder that save_traces wrote.")
    index = json.loads(path.read_text(encoding="utf-8"))
    tensors = load_file(folder / index["tensors"])
    traces = []
    for i, stored in enumerate(index["traces"]):
        for image in stored["sample"]["images"]:
            if image["data"] is not None:
                image["data"] = _image_bytes(folder, image["sha256"])
        traces.append(from_json(Trace, stored | {name: tensors[f"{i}.{name}"] for name in _TENSORS}))
    return traces


def _image_bytes(folder: Path, sha256: str) -> str:
    file = folder / "images" / sha256
    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BadInput(f"{file} is missing or is not the image that was saved; save the traces again.")
    return base64.b64encode(data).decode("ascii")


# Resolving the hints anew for each of a result's measures and checks would be most of the work of reading it.
@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _without_arrays(trace: Trace) -> dict[str, Any]:
    kept = {item.name for item in dataclasses.fields(trace) if item.compare is not False} - set(_TENSORS)
    stored = {name: _encode(getattr(trace, name)) for name in kept}
    for image in stored["sample"]["images"]:
        image["data"] = image["data"] and "beside"
    return stored


def _encode(value: Any) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(value) if math.isfinite(value) else {_ODD_FLOAT: str(float(value))}
        case np.ndarray():
            return _encode_array(value)
        case Path():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case slice():
            return [value.start, value.stop]
        case tuple() | list():
            return [_encode(entry) for entry in value]
        case Mapping():
            if odd := [key for key in value if not isinstance(key, str) or key == _ODD_FLOAT]:
                raise TypeError(f"a stored mapping cannot have the key {odd[0]!r}; its keys must be text")
            return {key: _encode(entry) for key, entry in value.items()}
        case _ if dataclasses.is_dataclass(value):
            return to_json(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored as JSON")


def _encode_array(array: np.ndarray) -> dict[str, Any]:
    name = "str" if array.dtype.kind == "U" else array.dtype.name
    if name not in _DTYPES:
        raise TypeError(f"an array of {array.dtype} cannot be stored; use float32, int64 or strings")
    flat = array.ravel()
    values: list[Any] = flat.tolist() if name != "float32" else _short_floats(flat)
    return {"dtype": name, "shape": list(array.shape), "values": values}


def _short_floats(flat: np.ndarray) -> list[float | str]:
    # NumPy writes the shortest decimal that means this float32; as a double it is shorter in JSON than the exact value.
    # Rounding twice (to double, to float32) may miss it by one in rare cases, and those keep the exact value.
    short = flat.astype("U32").astype(np.float64)
    short = np.where(short.astype(np.float32) == flat, short, flat.astype(np.float64))
    return [value if math.isfinite(value) else str(value) for value in short.tolist()]


def _decode(hint: Any, value: Any, where: str) -> Any:
    if hint is np.ndarray or (isinstance(hint, type) and issubclass(hint, AbstractArray)):
        return value if isinstance(value, np.ndarray) else _decode_array(value, where)
    if hint is Any:
        return _decode_free(value)
    origin, arms = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _decode_union(arms, value, where)
    if origin is typing.Literal:
        return _expect(value in arms, value, where)
    if origin is tuple:
        _expect(isinstance(value, list), value, where)
        return tuple(_decode(arms[0], entry, where) for entry in value)
    if origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(value, dict), value, where)
        return {key: _decode(arms[1], entry, where) for key, entry in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, _expect(isinstance(value, dict), value, where))
    return _decode_scalar(hint, value, where)


def _decode_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float:
        number = _decode_free(value)
        return float(_expect(isinstance(number, (int, float)) and not isinstance(number, bool), number, where))
    if hint is slice:
        return slice(*_expect(isinstance(value, list) and len(value) == 2, value, where))
    if hint is Path:
        return Path(_expect(isinstance(value, str), value, where))
    if hint is bytes:
        return base64.b64decode(_expect(isinstance(value, str), value, where))
    return _expect(isinstance(value, hint) and (hint is bool or not isinstance(value, bool)), value, where)


def _decode_union(arms: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in arms:
        return None
    others = [arm for arm in arms if arm is not types.NoneType]
    if len(others) == 1:
        return _decode(others[0], value, where)
    plain = _decode_free(value)
    return _expect(type(plain) in others, plain, where)


def _decode_free(value: Any) -> Any:
    match value:
        case dict() if set(value) == {_ODD_FLOAT}:
            return float(value[_ODD_FLOAT])
        case dict():
            return {key: _decode_free(entry) for key, entry in value.items()}
        case list():
            return [_decode_free(entry) for entry in value]
    return value


def _decode_array(value: Any, where: str) -> np.ndarray:
    _expect(isinstance(value, dict) and {"dtype", "shape", "values"} <= set(value), value, where)
    _expect(value["dtype"] in _DTYPES, value["dtype"], where)
    try:
        # float32 goes through float64, which also reads "nan" and "inf".
        kind = np.float64 if value["dtype"] == "float32" else _DTYPES[value["dtype"]]
        flat = np.array(value["values"], dtype=kind).astype(_DTYPES[value["dtype"]])
        return flat.reshape(value["shape"])
    except (TypeError, ValueError) as error:
        raise BadInput(f"A stored array at {where} is damaged: {error}.") from error


def _expect(holds: bool, value: Any, where: str) -> Any:
    if not holds:
        raise BadInput(f"A stored record has {str(value)[:60]!r} at {where}, which is not of the kind expected there.")
    return value
