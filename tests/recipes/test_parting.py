"""Training with think and embed tokens kept apart: what each step's losses reach, and what a finished run holds."""

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

SMALL = (
    *SMALL_RUN,
    "optimiser.batch=4",
    "optimiser.steps=4",
    "optimiser.warmup=1",
    "optimiser.weight_decay=0.1",
    "output.early_at=0.5",
    "model.adapter_rank=2",
)
EMBED, TABLE = "<|embed_1|>", "model.embed_tokens.weight"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes"), ShapesConfig(), "train", 16)


def configure(data: Path, folder: Path, *more: str) -> TrainConfig:
    return read_config(None, [*SMALL, f"data.train={data}", f"output.folder={folder}", *more])


def train(config: TrainConfig, *, name: str = "tte-flash", resume: bool = False) -> Path:
    return RECIPES.get(name)().train(config, resume=resume, report=lambda line: None)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for file in sorted(folder.glob("*.safetensors")) for name, value in load_file(file).items()}


def changed(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name, value in one.items() if not torch.equal(value, other[name])}


def said(folder: Path) -> tuple[Any, str]:
    model: Any = load_checkpoint(folder, device="cpu", dtype="float32")
    [trace] = model.trace([model.prepare(Sample(id="a", text="What is at the centre?"))])
    return trace, model.decode([trace], max_tokens=6)[0].text


def scored(model: Any) -> np.ndarray:
    """Log-probabilities of a text, token by token."""
    [trace] = model.trace([model.prepare(Sample(id="a", text="What is at the centre?"))])
    [score] = model.score([trace], ["one object. answer: small blue star."])
    return np.array(score.log_probabilities)


@pytest.mark.parametrize(
    ("extraction", "method"),
    [
        ("shared", "adamw"),
        ("dual_adapter", "adamw"),
        ("dual_adapter", "muon"),
        ("early_exit", "adamw"),
        ("two_pass", "adamw"),
    ],
)
def test_thoughts_are_frozen_to_the_last_bit_in_the_second_stage(
    extraction: str, method: str, data: Path, tmp_path: Path
) -> None:
    more = (f"model.extraction={extraction}", "model.dependency=sequential", f"optimiser.method={method}")
    final = train(configure(data, tmp_path / "run", *more, "perception.weight=0.3"))
    before, after = weights(final.parent / "early"), weights(final)
    moved = changed(before, after)
    own = {name for name in after if ".embed." in name} if extraction == "dual_adapter" else set()
    if extraction == "early_exit":
        own = {name for name in after if name.startswith("model.layers.1.")}
    assert TABLE in moved
    assert moved - {TABLE} <= own
    assert bool(moved - {TABLE}) == bool(own)
    model: Any = load_checkpoint(final, device="cpu", dtype="float32")
    tokenizer = model._backbone.processor.tokenizer
    rows = (before[TABLE] != after[TABLE]).any(dim=1).nonzero()[:, 0].tolist()
    assert rows == [tokenizer.convert_tokens_to_ids(EMBED)]
    (old, text), (new, again) = said(final.parent / "early"), said(final)
    assert text == again
    read = 1 if extraction == "early_exit" else None
    np.testing.assert_array_equal(old.latents[:read], new.latents[:read])
    assert np.abs(old.embedding - new.embedding).max() > 1e-5
    # The table is the head too: the embed token is a word among others there, and its logit takes part in every probability.
    expected = scored(load_checkpoint(final.parent / "early", device="cpu", dtype="float32"))
    assert 0 < np.abs(scored(model) - expected).max() < 0.01
    backbone = model._backbone
    with torch.no_grad():
        backbone.family.head(backbone.model).weight[rows] = before[TABLE][rows]
    np.testing.assert_array_equal(scored(model), expected)
    log = [json.loads(line) for line in (final.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert ["text" in line for line in log] == [True, True, False, False]
    assert ["contrastive" in line for line in log] == [False, False, True, True]


def test_a_stopped_sequence_goes_on_as_if_it_had_not_stopped(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.recipes import loop

    more = ("model.extraction=dual_adapter", "model.dependency=sequential", "output.save_every=1")
    whole = weights(train(configure(data, tmp_path / "whole", *more)))

    def stop(run: Any, done: int, *rest: Any) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Run, "_log", stop)
        train(configure(data, tmp_path / "stopped", *more))
    again = weights(train(configure(data, tmp_path / "stopped", *more), resume=True))
    assert max((again[name] - value).abs().max().item() for name, value in whole.items()) < 1e-6


def test_two_sets_learn_apart_and_the_backbone_may_stay_as_it_is(data: Path, tmp_path: Path) -> None:
    more = ("model.extraction=dual_adapter", "model.dependency=stop_gradient", "model.adapters_alone=true")
    final = train(configure(data, tmp_path / "run", *more))
    moved = changed(weights(final.parent / "early"), weights(final))
    assert {name for name in moved if ".lora_" not in name} == {TABLE}
    sets = {role: {name for name in weights(final) if f".lora_B.{role}." in name} for role in ("think", "embed")}
    assert sets["think"] <= moved
    assert sets["embed"] <= moved
    held = weights(final)
    assert all((held[name] != held[name.replace("think", "embed")]).any() for name in sets["think"])
    manifest = json.loads((final / "thinkscope.json").read_text(encoding="utf-8"))
    assert manifest["layout"]["extraction"] == "dual_adapter"
    assert manifest["adapters"] == {"rank": 2}
    trace, _ = said(final)
    assert np.linalg.norm(trace.embedding) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("extraction", ["shared", "dual_adapter", "early_exit", "two_pass"])
def test_the_contrastive_loss_alone_moves_no_think_token_with_a_stopped_gradient(
    extraction: str, data: Path, tmp_path: Path
) -> None:
    """Documents think too, so theirs is stopped as well; and no set of adapters of think tokens moves."""
    for dependency, learns in (("joint", True), ("stop_gradient", False)):
        more = (f"model.extraction={extraction}", f"model.dependency={dependency}")
        alone = ("loss.text=0", "optimiser.weight_decay=0")
        final = train(configure(data, tmp_path / dependency, *alone, *more))
        before, after = weights(final.parent / "early"), weights(final)
        model: Any = load_checkpoint(final, device="cpu", dtype="float32")
        rows = (before[TABLE] != after[TABLE]).any(dim=1)
        assert bool(rows[list(model._backbone.ids.think)].any()) == learns
        assert rows[list(model._backbone.ids.embed)].all()
        sets = {role: {name for name in after if f".{role}." in name} for role in ("think", "embed")}
        assert bool(sets["think"]) == bool(sets["embed"]) == (extraction == "dual_adapter")
        assert bool(changed(before, after) & sets["think"]) == (learns and extraction == "dual_adapter")
        assert bool(changed(before, after) & sets["embed"]) == (extraction == "dual_adapter")


@pytest.mark.parametrize("extraction", ["early_exit", "two_pass"])
def test_readout_and_hidden_thoughts_go_with_it(extraction: str, data: Path, tmp_path: Path) -> None:
    more = (f"model.extraction={extraction}", "loss.readout=0.1", "loss.truncation=0.5", "model.thoughts_first=0.3")
    final = train(configure(data, tmp_path / "run", *more))
    log = [json.loads(line) for line in (final.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(np.isfinite(line["readout"]) for line in log)
    trace, _ = said(final)
    assert trace.n_think == 3


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("model.extraction=two_pass", "model.think=0"), "two_pass, which part think tokens"),
        (("model.extraction=early_exit", "model.exit_layer=2"), "exit_layer is 2, but the backbone has 2 layers"),
        (("model.exit_layer=1",), "exit_layer is 1 with the extraction shared"),
        (("model.extraction=dual_adapter", "model.lora_rank=2"), "leave model.lora_rank at 0"),
        (("model.extraction=dual_adapter", "model.adapter_rank=0"), "adapter_rank is 0"),
        (("model.adapters_alone=true",), "needs model.extraction=dual_adapter"),
        (("model.extraction=two_pass", "model.gradient_checkpointing=true"), "which two_pass goes on from"),
        (("model.dependency=sequential", "model.thoughts_first=1.0"), "thoughts_first is 1.0"),
        (("model.dependency=sequential", "loss.text=0"), "must be above 0"),
        (("model.dependency=sequential", "model.lora_rank=2"), "nothing to learn with"),
        (
            ("model.extraction=dual_adapter", "model.adapters_alone=true", "perception.weight=0.1"),
            "Perception trains the vision tower",
        ),
    ],
)
def test_settings_that_make_no_sense_together_are_one_sentence(
    more: tuple[str, ...], sentence: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=sentence) as refused:
        train(configure(data, tmp_path / "run", *more))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.parametrize("name", ["explicit-cot", "lame", "no-think"])
def test_other_recipes_refuse_it(name: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"{name} has shared weights trained jointly"):
        train(configure(data, tmp_path / "run", "model.extraction=two_pass"), name=name)
