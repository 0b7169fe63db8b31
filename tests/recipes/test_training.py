"""Training end to end on a tiny model: it learns, it goes on after a stop as if there had been none, it starts from a backbone."""

import json
import math
from pathlib import Path
from typing import Any

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
    "data.validation_rows=8",
    "loss.readout=0.1",
    "loss.truncation=0.3",
    "optimiser.batch=8",
    "optimiser.warmup=2",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder, ShapesConfig(), "validation", 8)
    return write_shapes(folder, ShapesConfig(), "train", 48)


def configure(data: Path, folder: Path, *more: str) -> TrainConfig:
    paths = (f"data.train={data}", f"data.validation={data.parent / 'validation.jsonl'}", f"output.folder={folder}")
    return read_config(None, [*SMALL, *paths, *more])


def train(config: TrainConfig, *, resume: bool = False) -> Path:
    return RECIPES.get("tte-flash")().train(config, resume=resume, report=lambda line: None)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "whole"
    return train(configure(data, folder, "optimiser.steps=8", "perception.steps=2", "output.early_at=0.5"))


def test_checkpoint_loads_and_thinks(finished: Path) -> None:
    model: Any = load_checkpoint(finished, device="cpu")
    trace = model.trace([model.prepare(Sample(id="a", text="What is at the centre?"))])[0]
    assert trace.latents.shape == (2, 3, 32)
    assert model.decode([trace], max_tokens=4)[0].context == "latents_only"
    manifest = json.loads((finished / "thinkscope.json").read_text(encoding="utf-8"))
    assert manifest["step"] == 8
    assert json.loads((finished.parent / "early/thinkscope.json").read_text(encoding="utf-8"))["step"] == 4


def test_training_lowers_the_loss(finished: Path) -> None:
    log = [json.loads(line) for line in (finished.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [record for record in log if record["split"] == "train"]
    assert [record["step"] for record in steps] == list(range(1, 9))
    assert steps[-1]["text"] < steps[0]["text"] - 0.05
    assert {"loss", "text", "contrastive", "readout", "token_accuracy", "samples_per_second"} <= set(steps[0])


def test_the_warm_up_is_logged_and_tells_what_is_left(data: Path, tmp_path: Path) -> None:
    told: list[str] = []
    config = configure(
        data, tmp_path / "run", "optimiser.steps=1", "perception.steps=5", "output.log_every=2", "data.validation="
    )
    RECIPES.get("tte-flash")().train(config, resume=False, report=told.append)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text(encoding="utf-8").splitlines()]
    warm_up = [record for record in log if record["split"] == "perception"]
    assert [record["step"] for record in warm_up] == [2, 4, 5]
    assert {"perception", "object", "region", "samples_per_second"} <= set(warm_up[0])
    assert [line for line in told if line.startswith("perception 5/5") and line.endswith("0 min left")]
    assert [record["step"] for record in log if record["split"] == "train"] == [1]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.recipes import loop

    config = configure(
        data, tmp_path / "run", "optimiser.steps=8", "perception.steps=2", "output.save_every=3", "output.early_at=0.5"
    )
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Run, "_log", _stop_at(5, loop._Run._log))
        train(config)
    with pytest.raises(BadInput, match="--resume"):
        train(config)
    resumed = weights(train(config, resume=True))
    assert max((resumed[name] - value).abs().max().item() for name, value in weights(finished).items()) < 1e-5


def test_muon_goes_on_after_a_stop_and_not_with_another_method(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.recipes import loop

    def settings(folder: str, *more: str) -> TrainConfig:
        return configure(
            data, tmp_path / folder, "optimiser.steps=4", "optimiser.method=muon", "output.save_every=2", *more
        )

    whole = weights(train(settings("whole")))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Run, "_log", _stop_at(3, loop._Run._log))
        train(settings("stopped"))
    with pytest.raises(BadInput, match=r"another optimiser\.method; resume it with the one it began with"):
        train(settings("stopped", "optimiser.method=adamw"), resume=True)
    resumed = weights(train(settings("stopped"), resume=True))
    assert max((resumed[name] - value).abs().max().item() for name, value in whole.items()) < 1e-5
    plain = weights(train(settings("plain", "optimiser.method=adamw")))
    assert any(not torch.allclose(plain[name], value, atol=1e-4) for name, value in whole.items())


def test_checkpointing_of_gradients_saves_memory_and_changes_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.qwen2_vl import modeling_qwen2_vl as qwen

    passes = 0
    forward = qwen.Qwen2VLAttention.forward

    def counted(*given: Any, **options: Any) -> Any:
        nonlocal passes
        passes += 1
        return forward(*given, **options)

    monkeypatch.setattr(qwen.Qwen2VLAttention, "forward", counted)

    def run(setting: str) -> tuple[dict[str, torch.Tensor], int]:
        nonlocal passes
        passes = 0
        more = ("optimiser.steps=2", "data.validation=", f"model.gradient_checkpointing={setting}")
        return weights(train(configure(data, tmp_path / setting, *more))), passes

    (plain, once), (saved, twice) = run("false"), run("true")
    assert twice == 2 * once  # each layer is run again for its gradient
    assert max((saved[name] - value).abs().max().item() for name, value in plain.items()) < 1e-5


def test_bfloat16_computes_in_it_and_keeps_the_weights_in_full(data: Path, tmp_path: Path) -> None:
    from accelerate.state import AcceleratorState

    def run(precision: str) -> tuple[dict[str, torch.Tensor], list[float]]:
        AcceleratorState._reset_state()  # as in a process of its own
        folder = tmp_path / precision
        made = train(
            configure(data, folder, "optimiser.steps=3", f"optimiser.precision={precision}", "data.validation=")
        )
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        return weights(made), [record["loss"] for record in log]

    (half, rounded), (full, exact) = run("bf16"), run("fp32")
    with pytest.raises(BadInput, match="trained with another precision already"):
        train(configure(data, tmp_path / "again", "optimiser.steps=1", "optimiser.precision=bf16"))
    assert rounded == pytest.approx(exact, rel=0.03)
    assert rounded != exact
    assert {value.dtype for value in half.values()} == {torch.float32}
    assert any((half[name].to(torch.bfloat16) != half[name]).any() for name in full)


@pytest.mark.parametrize("contexts", [("query_and_latents",), ("latents_only", "query_and_latents")])
def test_contexts_take_turns_and_the_checkpoint_knows_them(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contexts: tuple[str, ...]
) -> None:
    from workbench.recipes.tte_flash import TteFlashStep

    seen: list[str] = []
    forward = TteFlashStep.forward

    def watched(step: Any, batch: Any, context: Any, *rest: Any) -> Any:
        seen.append(context)
        return forward(step, batch, context, *rest)

    monkeypatch.setattr(TteFlashStep, "forward", watched)
    listed = json.dumps(list(contexts))
    made = train(configure(data, tmp_path / "run", "optimiser.steps=4", f"model.contexts={listed}", "data.validation="))
    assert seen == [contexts[step % len(contexts)] for step in range(4)]
    model: Any = load_checkpoint(made, device="cpu")
    assert model.info.contexts == contexts
    trace = model.trace([model.prepare(Sample(id="a", text="What is at the centre?"))])[0]
    assert [model.decode([trace], context=c, max_tokens=2)[0].context for c in contexts] == list(contexts)
    assert model.decode([trace], max_tokens=2)[0].context == contexts[0]


def _stop_at(step: int, log: Any) -> Any:
    def stopping(run: Any, done: int, *rest: Any) -> None:
        log(run, done, *rest)
        if done == step:
            raise KeyboardInterrupt

    return stopping


@pytest.mark.parametrize("method", ["adamw", "muon"])
def test_training_starts_from_any_qwen2_vl_checkpoint(finished: Path, data: Path, tmp_path: Path, method: str) -> None:
    """A folder without think tokens of ours gets them; LoRA leaves the other weights as they were until it is merged."""
    config = configure(
        data,
        tmp_path / "lora",
        f"model.backbone={finished}",
        "model.lora_rank=2",
        "optimiser.steps=2",
        "model.think=5",
        f"optimiser.method={method}",
    )
    made = train(config)
    before, after = weights(finished), weights(made)
    assert set(before) == set(after)
    changed = {
        name for name in before if before[name].shape != after[name].shape or not torch.equal(before[name], after[name])
    }
    assert any("q_proj" in name for name in changed)
    assert not any("visual" in name or "norm" in name for name in changed)
    table = next(name for name in before if "embed_tokens" in name)
    old = len(before[table])
    same = (before[table] == after[table][:old]).all(dim=1)
    ids = json.loads((made / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    layout = {token["id"] for token in ids if token["content"].startswith(("<|think_", "<|embed_", "<|reason_"))}
    assert all(bool(same[row]) == (row not in layout) for row in range(old))
    assert load_checkpoint(made, device="cpu").info.n_think == 5


def test_fixed_vision_does_not_move(data: Path, tmp_path: Path) -> None:
    def tower(*more: str) -> dict[str, torch.Tensor]:
        name = "-".join(more) or "free"
        made = train(configure(data, tmp_path / name.replace("=", ""), "optimiser.steps=2", *more))
        return {name: value for name, value in weights(made).items() if "visual" in name}

    fixed, later = tower("model.freeze_vision=true"), tower("model.freeze_vision_steps=2")
    free = tower()
    assert all(torch.equal(fixed[name], later[name]) for name in fixed)
    assert any(not torch.equal(fixed[name], free[name]) for name in fixed)


def test_a_missing_backbone_is_one_sentence(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.errors import BadCheckpoint

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BadCheckpoint, match="neither a folder nor a model"):
        train(configure(data, tmp_path / "run", "model.backbone=nobody/nothing"))


def test_perception_refuses_a_fixed_tower(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Perception trains the vision tower"):
        train(configure(data, tmp_path / "run", "perception.weight=0.1", "model.freeze_vision=true"))


def test_a_run_does_not_go_back(finished: Path, data: Path) -> None:
    with pytest.raises(BadInput, match="at step 8 already"):
        train(configure(data, finished.parent, "optimiser.steps=4", "perception.steps=2"), resume=True)


def test_a_number_is_the_mean_of_those_who_have_it() -> None:
    """An accuracy over nothing is none, and nor is what a batch without words or images does not report."""
    from workbench.recipes.loop import _means

    found = _means([{"loss": 1.0, "object": math.nan, "size": math.nan}, {"loss": 3.0, "object": 0.5}])
    assert (found["loss"], found["object"]) == (2.0, 0.5)
    assert math.isnan(found["size"])
