"""What every recipe promises: it says where it comes from, two steps of it make a checkpoint that loads, and it goes wrong
in sentences."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import SMALL_RUN
from safetensors.torch import load_file

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.errors import BadInput
from workbench.models.checkpoint import load_checkpoint
from workbench.recipes.config import TrainConfig, read_config
from workbench.recipes.recipe import RECIPES
from workbench.types import Sample

NAMES = RECIPES.names()
pytestmark = pytest.mark.parametrize("name", NAMES)
SMALL = (
    *SMALL_RUN,
    "optimiser.batch=4",
    "optimiser.steps=2",
    "optimiser.warmup=1",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes"), ShapesConfig(), "train", 8)


def configure(data: Path, folder: Path, *more: str) -> TrainConfig:
    return read_config(None, [*SMALL, f"data.train={data}", f"output.folder={folder}", *more])


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str]]]:
    """Of each recipe: the checkpoint that two steps made, and the lines that were reported."""
    made = {}
    for name in NAMES:
        lines: list[str] = []
        folder = tmp_path_factory.mktemp("run") / "run"
        made[name] = RECIPES.get(name)().train(configure(data, folder), resume=False, report=lines.append), lines
    return made


def test_it_says_what_it_does_and_where_it_comes_from(name: str) -> None:
    kind = RECIPES.get(name)
    assert kind.name == name
    assert kind.about
    assert kind.reference
    assert (kind.__doc__ or "").strip()
    assert getattr(kind, "__final__", False)
    assert vars(kind()) == {}, "a recipe is stateless"


def test_its_result_loads_and_embeds(name: str, runs: dict[str, tuple[Path, list[str]]]) -> None:
    path, _ = runs[name]
    manifest = json.loads((path / "thinkscope.json").read_text(encoding="utf-8"))
    assert (manifest["recipe"], manifest["step"], manifest["steps"]) == (name, 2, 2)
    model: Any = load_checkpoint(path, device="cpu", dtype="float32")
    encoded = model.prepare(Sample(id="a", text="What is at the centre?"))
    [trace] = model.trace([encoded])
    assert trace.n_think == len(manifest["layout"]["think_tokens"])
    assert np.linalg.norm(trace.embedding) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(model.embed([encoded])[0], trace.embedding, atol=1e-6)
    for context in model.info.contexts:
        assert len(model.decode([trace], context=context, max_tokens=3)[0].tokens) <= 3


def test_it_reports_and_logs_each_step(name: str, runs: dict[str, tuple[Path, list[str]]]) -> None:
    path, lines = runs[name]
    assert any("step 2/2" in line for line in lines)
    log = [json.loads(line) for line in (path.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["step"] for record in log if record["split"] == "train"] == [1, 2]
    assert all(np.isfinite(record["loss"]) for record in log)


def test_the_seed_decides(name: str, runs: dict[str, tuple[Path, list[str]]], data: Path, tmp_path: Path) -> None:
    recipe = RECIPES.get(name)()
    same = recipe.train(configure(data, tmp_path / "same"), resume=False, report=lambda line: None)
    other = recipe.train(
        configure(data, tmp_path / "other", "optimiser.seed=1"), resume=False, report=lambda line: None
    )
    first, again, elsewhere = (load_file(path / "model.safetensors") for path in (runs[name][0], same, other))
    assert all(torch.allclose(value, again[key], atol=1e-6) for key, value in first.items())
    assert any(not torch.allclose(value, elsewhere[key], atol=1e-3) for key, value in first.items())


def test_it_does_not_overwrite_a_run(name: str, runs: dict[str, tuple[Path, list[str]]], data: Path) -> None:
    path, _ = runs[name]
    before = (path / "model.safetensors").read_bytes()
    with pytest.raises(BadInput, match="--resume"):
        RECIPES.get(name)().train(configure(data, path.parent), resume=False, report=lambda line: None)
    assert (path / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (None, "no training data at"),
        ("", "holds no rows"),
        ("{", "Row 1 of 'rows.jsonl' is not JSON"),
        ('{"query": "q", "reasoning": "r"}', "Row 1 of 'rows.jsonl' lacks target"),
        (
            '{"query": "q", "reasoning": "r", "target": {}}',
            "Row 1 of 'rows.jsonl' has a target with neither text nor images",
        ),
    ],
)
def test_bad_rows_are_one_sentence(name: str, tmp_path: Path, rows: str | None, sentence: str) -> None:
    path = tmp_path / "rows.jsonl"
    if rows is not None:
        path.write_text(rows)
    with pytest.raises(BadInput, match=sentence) as told:
        RECIPES.get(name)().train(configure(path, tmp_path / "run"), resume=False, report=lambda line: None)
    assert "\n" not in str(told.value)
