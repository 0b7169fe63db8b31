"""A run goes on only as what it began as; what else differs is told, and what cannot be used ends in one sentence."""

import json
from pathlib import Path

import pytest
import torch
from checkpoints import SMALL_RUN

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.errors import BadCheckpoint, BadInput
from workbench.models.creation import load_base
from workbench.recipes.adapters import Adapters
from workbench.recipes.config import TrainConfig, read_config
from workbench.recipes.dense import DenseLabels
from workbench.recipes.perception import PerceptionHeads
from workbench.recipes.recipe import RECIPES
from workbench.recipes.rows import read_training_rows

SMALL = (*SMALL_RUN, "optimiser.batch=4", "optimiser.warmup=1", "optimiser.steps=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes"), ShapesConfig(), "train", 16)


def configure(data: Path, folder: Path, *more: str) -> TrainConfig:
    return read_config(None, [*SMALL, f"data.train={data}", f"output.folder={folder}", *more])


def train(name: str, config: TrainConfig, *, resume: bool = False) -> list[str]:
    lines: list[str] = []
    RECIPES.get(name)().train(config, resume=resume, report=lines.append)
    return lines


@pytest.fixture(scope="module")
def begun(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step of no-think."""
    folder = tmp_path_factory.mktemp("begun")
    train("no-think", configure(data, folder))
    return folder


def test_another_recipe_does_not_go_on_with_a_run_of_equal_shapes(data: Path, begun: Path) -> None:
    with pytest.raises(BadInput, match="is one of the recipe no-think, not of explicit-cot; choose another --out"):
        train("explicit-cot", configure(data, begun, "optimiser.steps=2"), resume=True)


def test_words_that_would_have_other_numbers_are_refused(data: Path, begun: Path, tmp_path: Path) -> None:
    """As many words as before, so that the shapes are equal."""
    state = begun / "state" / "state.json"
    kept = state.read_text(encoding="utf-8")
    held = json.loads(kept)
    held["began_as"]["vocabulary"] = "0" * 64
    state.write_text(json.dumps(held), encoding="utf-8")
    try:
        with pytest.raises(BadInput, match=r"learned other words.*Resume it with the data and the backbone"):
            train("no-think", configure(data, begun, "optimiser.steps=2"), resume=True)
    finally:
        state.write_text(kept, encoding="utf-8")


def test_the_vocabulary_follows_from_the_data(data: Path, tmp_path: Path) -> None:
    train("no-think", configure(data, tmp_path / "one"))
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    other = data.with_name("other.jsonl")
    changed = [row | {"query": f"zebra giraffe {row['query']}"} for row in rows]
    other.write_text("".join(f"{json.dumps(row)}\n" for row in changed), encoding="utf-8")
    train("no-think", configure(other, tmp_path / "two"))
    one, two = (
        json.loads((tmp_path / name / "state/state.json").read_text(encoding="utf-8"))["began_as"]
        for name in ("one", "two")
    )
    assert one["recipe"] == two["recipe"] == "no-think"
    assert one["layout"] == two["layout"]
    assert one["vocabulary"] != two["vocabulary"]


def test_settings_that_differ_are_told(data: Path, tmp_path: Path) -> None:
    train("no-think", configure(data, tmp_path))
    changed = configure(data, tmp_path, "optimiser.steps=2", "optimiser.learning_rate=0.25", "output.log_every=7")
    [told] = [line for line in train("no-think", changed, resume=True) if line.startswith("Settings differ")]
    assert "optimiser.steps was 1 and is now 2" in told
    assert "optimiser.learning_rate was" in told
    assert "is now 0.25" in told
    assert "output" not in told
    assert [line for line in train("no-think", changed, resume=True) if line.startswith("Settings differ")] == []


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("perception", [0, 1])
def test_an_image_that_is_torn_is_one_sentence(tmp_path: Path, workers: int, perception: int) -> None:
    data = write_shapes(tmp_path / "data", ShapesConfig(), "train", 8)
    for image in sorted((tmp_path / "data").rglob("*.png")):
        image.write_bytes(image.read_bytes()[:60])
    more = (f"data.workers={workers}", f"perception.steps={perception}")
    with pytest.raises(BadInput) as refused:
        train("no-think", configure(data, tmp_path / "run", *more))
    assert "\n" not in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert ".png" in str(refused.value)


def test_validation_that_is_not_there_is_told_before_anything_is_trained(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no training data at"):
        train("no-think", configure(data, tmp_path / "run", f"data.validation={tmp_path / 'none.jsonl'}"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "setting", "told"),
    [
        (
            "no-think",
            "model.adapters_alone=true",
            "adapters_alone is of dual_adapter, which the recipe no-think has not",
        ),
        ("lame", "model.adapters_alone=true", "which the recipe lame has not"),
        ("explicit-cot", "model.exit_layer=1", "exit_layer is of early_exit; the recipe explicit-cot has none"),
        ("tte-flash", "model.think=0", "thinks in 1 token or more; the recipe without is no-think"),
    ],
)
def test_settings_that_a_recipe_would_ignore_are_refused(
    name: str, setting: str, told: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=told):
        train(name, configure(data, tmp_path / "run", setting))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("file", ["decoder.safetensors", "adapters.safetensors"])
def test_a_backbone_that_would_lose_weights_is_refused(file: str, begun: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(begun / "checkpoint", tmp_path / "checkpoint")
    load_base(str(folder))
    (folder / file).write_bytes(b"")
    with pytest.raises(BadCheckpoint, match=f"weights beside the model \\({file}\\), which a new run would leave out"):
        load_base(str(folder))


def test_first_weights_follow_from_the_seed_alone(data: Path) -> None:
    labels = DenseLabels.collect(read_training_rows(data, perceived=True))
    drawn = []
    for before in (0, 3):
        torch.randn(before)  # whatever was drawn in the process
        drawn.append(PerceptionHeads.drawn(16, labels, 5).names.weight)
    assert torch.equal(*drawn)
    assert not torch.equal(drawn[0], PerceptionHeads.drawn(16, labels, 6).names.weight)


def test_adapters_follow_from_the_seed_alone(begun: Path) -> None:
    from workbench.models.checkpoint import load_checkpoint

    def first(seed: int, before: int) -> torch.Tensor:
        torch.randn(before)
        backbone = load_checkpoint(begun / "checkpoint", device="cpu")._backbone  # pyright: ignore[reportAttributeAccessIssue]
        Adapters.attach(backbone, 2, seed=seed)
        return next(value for name, value in backbone.model.named_parameters() if "lora_A" in name)

    assert torch.equal(first(1, 0), first(1, 3))
    assert not torch.equal(first(1, 0), first(2, 0))
