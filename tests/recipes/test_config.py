"""Settings: the file, the overrides, and every way to get them wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from workbench.errors import BadInput, UnknownName
from workbench.recipes.config import TrainConfig, read_config


def test_file_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[data]\ntrain = "rows.jsonl"\n[optimiser]\nsteps = 7\n', encoding="utf-8")
    config = read_config(path, ["optimiser.steps=9", "optimiser.learning_rate=1", "output.folder=somewhere"])
    assert config.optimiser.steps == 9
    assert config.optimiser.learning_rate == 1.0
    assert config.data.train == str(tmp_path / "rows.jsonl")
    assert config.output.folder == "somewhere"
    assert config.loss == TrainConfig().loss


CONFIGS = Path(__file__).parents[2] / "workbench/recipes/configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    assert read_config(path).optimiser.steps > 0


@pytest.mark.parametrize("name", ["explicit-cot", "lame", "no-think"])
def test_bundled_recipes_have_what_they_are_said_to_share(name: str) -> None:
    """Sizes, data, perception, optimiser but for its learning rate, and the steps of the three parts of tte-flash."""
    first, other = read_config(CONFIGS / "bundled.toml"), read_config(CONFIGS / f"bundled-{name}.toml")
    *_, last = [word for word in first.output.commands[-1].split() if word.startswith("optimiser.steps=")]
    assert other.model == first.model
    assert other.data == first.data
    assert other.perception == first.perception
    rate = 5e-4 if name == "no-think" else 1e-3  # searched: docs/compare.md
    assert other.optimiser == replace(first.optimiser, steps=int(last.partition("=")[2]), learning_rate=rate)


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("optimiser.stepz=3", UnknownName, "Did you mean 'steps'"),
        ("optimizer.steps=3", UnknownName, "Did you mean 'optimiser'"),
        ("optimiser.steps=many", BadInput, "must be of type int"),
        ("optimiser.precision=fp8", BadInput, "one of fp32, bf16"),
        ("model.contexts=everything", BadInput, "one of latents_only, query_and_latents"),
        ("steps=3", BadInput, "section.key=value"),
        ("optimiser.batch=0", BadInput, "optimiser.batch is 0, but must be 1 or more"),
        ("output.save_every=0", BadInput, "output.save_every is 0, but must be 1 or more"),
        ("data.max_reasoning_tokens=0", BadInput, "data.max_reasoning_tokens is 0"),
        ("data.workers=-1", BadInput, "data.workers is -1"),
        ("output.early_at=1.5", BadInput, "must be a share from 0 to 1"),
    ],
)
def test_mistakes_are_named(override: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_config(None, [override])


def test_missing_or_torn_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no configuration file"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(BadInput, match="cannot be read as a configuration: Is a directory"):
        read_config(tmp_path)
    for text, told in (
        ("data = 'x'", "'data' is 'x', but must be a section of settings"),
        ("[data]\ntrain = 5", "'train' is 5, but must be of type str"),
    ):
        (tmp_path / "odd.toml").write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match=told):
            read_config(tmp_path / "odd.toml", ["data.workers=0"] if "'" not in text else [])
    (tmp_path / "torn.toml").write_text("[data", encoding="utf-8")
    with pytest.raises(BadInput, match="not valid TOML"):
        read_config(tmp_path / "torn.toml")
