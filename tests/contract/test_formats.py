"""What every checkpoint format promises: it knows its own folders, refuses the rest, and never ends in a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from specimens import specimen

from workbench.embedder import DecodesThoughts, Embedder
from workbench.errors import BadCheckpoint, Unsupported
from workbench.models.checkpoint import load_checkpoint
from workbench.models.registries import FORMATS
from workbench.types import Sample

NAMES = FORMATS.names()
pytestmark = pytest.mark.parametrize("name", NAMES)
QUERY = Sample(id="q", text="What is at the centre?")


@pytest.fixture(scope="module")
def write(shapes_rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of the named format, written once. Read-only."""
    known: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in known:
            folder = tmp_path_factory.mktemp("format") / "own"
            known[name] = specimen("format", name, FORMATS.get(name)).write(folder, shapes_rows)
        return known[name]

    return write


@pytest.fixture
def own(name: str, write: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder of the format that a test may spoil."""
    return Path(shutil.copytree(write(name), tmp_path / "copy"))


def test_it_says_what_it_is(name: str) -> None:
    kind = FORMATS.get(name)
    assert kind.name == name
    assert kind.about
    assert (kind.__doc__ or "").strip()
    assert getattr(kind, "__final__", False)


def test_its_folder_is_recognised_by_it_alone(name: str, write: Callable[[str], Path]) -> None:
    assert [other for other in NAMES if FORMATS.get(other)().recognises(write(name))] == [name]


def test_foreign_folders_are_not_its_own(name: str, tmp_path: Path) -> None:
    recognises = FORMATS.get(name)().recognises
    assert not recognises(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert not recognises(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "README.md").write_text("# A model of somebody else")
    assert not recognises(tmp_path)


def test_it_is_recognised_without_reading_weights(name: str, own: Path) -> None:
    for weights in own.glob("*.safetensors"):
        weights.write_bytes(b"")
    assert FORMATS.get(name)().recognises(own)


def test_it_loads_and_says_where_it_comes_from(name: str, write: Callable[[str], Path]) -> None:
    folder = write(name)
    direct = FORMATS.get(name)().load(folder, device=torch.device("cpu"), dtype=torch.float32)
    chosen = load_checkpoint(folder, device="cpu", dtype="float32")
    assert isinstance(direct, Embedder)
    provenance = direct.info.provenance
    assert (provenance.format, provenance.checkpoint) == (name, folder.name)
    assert len(provenance.weights_sha256) == 64
    assert provenance.versions.keys() >= {"torch", "transformers"}
    assert chosen.info == direct.info
    vectors = [model.embed([model.prepare(QUERY)])[0] for model in (direct, chosen)]
    np.testing.assert_array_equal(*vectors)
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-5)


def test_what_it_declares_is_what_a_trace_holds(name: str, write: Callable[[str], Path]) -> None:
    model = load_checkpoint(write(name), device="cpu", dtype="float32")
    info, [trace] = model.info, model.trace([model.prepare(QUERY)])
    seq = len(trace.tokens.ids)
    assert trace.latents.shape == (info.n_layers, info.n_think, info.width)
    assert trace.attention.shape == (info.n_layers, info.n_heads, info.n_think + 1, seq)
    assert trace.embedding.shape == (info.dim,)
    assert trace.stepwise.shape == (info.n_think + 1, info.dim)
    assert trace.knockout.shape == (info.n_think, info.dim)
    assert len(info.think_tokens) == info.n_think == trace.n_think
    if isinstance(model, DecodesThoughts):
        for context in info.contexts:
            assert model.decode([trace], context=context, max_tokens=3)[0].context == context
        if not info.contexts:
            with pytest.raises(Unsupported):
                model.decode([trace])


def cut_weights(folder: Path) -> None:
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def drop_weights(folder: Path) -> None:
    for weights in folder.glob("*.safetensors"):
        weights.unlink()


def drop_tokenizer(folder: Path) -> None:
    for file in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / file).unlink(missing_ok=True)


def name_another_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))


def name_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))


def tear_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": ')


@pytest.mark.parametrize(
    "spoil", [cut_weights, drop_weights, drop_tokenizer, name_another_model, name_code, tear_config]
)
def test_a_spoilt_folder_is_one_sentence(name: str, own: Path, spoil: Callable[[Path], None]) -> None:
    spoil(own)
    with pytest.raises(BadCheckpoint) as told:
        load_checkpoint(own, device="cpu", dtype="float32")
    assert "\n" not in str(told.value)
    assert own.name in str(told.value)
