"""A map as Parquet: what others read in it, and that nothing is lost."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from latent_maps import make_latent_map
from planted_points import group_vectors, make_points

from workbench.errors import BadInput
from workbench.latent_map import Column, LatentMap
from workbench.mapping.making import make_map
from workbench.mapping.map_parquet import is_map, read_map, write_map
from workbench.mapping.settings import MapSettings


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(a)
        )
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def made(checkpoints: int) -> LatentMap:
    vectors, _ = group_vectors(60, 3, 10)
    vectors[5, 0] = np.nan
    parts = [make_points(vectors * (1 + i), name=f"c{i}", steps=3) for i in range(checkpoints)]
    return make_map(parts, MapSettings(projection="pca", n_neighbours=30))


@pytest.mark.parametrize("checkpoints", [1, 2])
def test_a_made_map_comes_back_as_it_was(tmp_path: Path, checkpoints: int) -> None:
    found = made(checkpoints)
    write_map(found, tmp_path / "map.parquet")
    back = read_map(tmp_path / "map.parquet")
    differing = [f.name for f in dataclasses.fields(found) if not same(getattr(found, f.name), getattr(back, f.name))]
    assert differing == []
    assert [path.name for path in tmp_path.iterdir()] == ["map.parquet"]


@pytest.mark.parametrize(("k", "checkpoints", "umap"), [(0, 1, True), (4, 2, True), (3, 1, False)])
def test_a_map_with_everything_comes_back_as_it_was(tmp_path: Path, k: int, checkpoints: int, umap: bool) -> None:
    given = make_latent_map(k=k, checkpoints=checkpoints, umap=umap)
    clash = Column(name="x", kind="number", values=np.full(len(given), 7, dtype=np.float32))
    given = dataclasses.replace(given, columns=(*given.columns, clash))
    write_map(given, tmp_path / "map.parquet")
    back = read_map(tmp_path / "map.parquet")
    differing = [f.name for f in dataclasses.fields(given) if not same(getattr(given, f.name), getattr(back, f.name))]
    assert differing == []


def test_other_viewers_find_plain_columns(tmp_path: Path) -> None:
    given = make_latent_map(k=2, umap=True)
    write_map(given, tmp_path / "map.parquet")
    schema = pq.read_schema(tmp_path / "map.parquet")
    expected = {
        "id": pa.string(),
        "x": pa.float32(),
        "y": pa.float32(),
        "k": pa.int32(),
        "text": pa.string(),
        "thought": pa.string(),
        "checkpoint": pa.string(),
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    }
    assert {name: schema.field(name).type for name in expected} == expected
    frame = pd.read_parquet(tmp_path / "map.parquet")
    assert len(frame) == len(given)
    np.testing.assert_array_equal(frame[["x", "y"]], given.projections[given.shown])
    near = frame["neighbors"].iloc[3]
    assert set(near) == {"ids", "distances"}
    assert list(near["ids"]) == given.neighbours[3].tolist()
    np.testing.assert_array_equal(near["distances"], given.distances[3])
    shown = given.samples[int(given.sample[3])]
    assert frame["thought"].iloc[3] == shown.thoughts[0]
    assert frame["image"].iloc[3] is None or frame["image"].iloc[3]["bytes"] == (shown.thumbnail or None)


def test_other_files_are_no_maps(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    assert not is_map(tmp_path / "other.parquet")
    assert not is_map(tmp_path / "text.parquet")
    with pytest.raises(BadInput, match="no map of thinkscope"):
        read_map(tmp_path / "other.parquet")
    with pytest.raises(BadInput, match="cannot be read as Parquet"):
        read_map(tmp_path / "text.parquet")


def test_a_damaged_map_is_refused(tmp_path: Path) -> None:
    write_map(make_latent_map(), tmp_path / "map.parquet")
    table = pq.read_table(tmp_path / "map.parquet")
    pq.write_table(table.drop_columns(["pca_x"]), tmp_path / "less.parquet")
    with pytest.raises(BadInput, match="is damaged"):
        read_map(tmp_path / "less.parquet")


def test_a_failed_write_leaves_the_old_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "map.parquet"
    write_map(make_latent_map(), path)
    before = path.read_bytes()

    def fail(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="No space"):
        write_map(make_latent_map(n_samples=5), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
