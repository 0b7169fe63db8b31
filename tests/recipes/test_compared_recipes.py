"""no-think, explicit-cot and lame: what each learns from what, in which order, and that each writes and embeds as it was
trained to."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import SMALL_RUN
from safetensors.torch import load_file

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.embedder import DecodesThoughts, Keep
from workbench.errors import BadInput
from workbench.models.checkpoint import load_checkpoint
from workbench.models.sequence import pack, visibility
from workbench.probe import PROBES, Subject, missing
from workbench.recipes.batches import Encoder
from workbench.recipes.config import DataSettings, TrainConfig, read_config
from workbench.recipes.dense import IGNORE
from workbench.recipes.perception import TOWER
from workbench.recipes.recipe import RECIPES
from workbench.recipes.rows import read_training_rows
from workbench.types import Sample

NAMES = ("explicit-cot", "lame", "no-think")
SMALL = (*SMALL_RUN, "optimiser.batch=6", "optimiser.warmup=2", "optimiser.steps=4", "optimiser.method=muon")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder, ShapesConfig(), "validation", 6)
    return write_shapes(folder, ShapesConfig(), "train", 24)


def configure(data: Path, folder: Path, *more: str) -> TrainConfig:
    return read_config(None, [*SMALL, f"data.train={data}", f"output.folder={folder}", *more])


def train(name: str, config: TrainConfig, *, resume: bool = False) -> Path:
    return RECIPES.get(name)().train(config, resume=resume, report=lambda line: None)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    further = folder / "decoder.safetensors"
    return load_file(folder / "model.safetensors") | (load_file(further) if further.is_file() else {})


WHOLE = ("perception.steps=1", "lame.warmup=0.5", "lame.warmup_learns=text", "output.save_every=2")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of each recipe, the checkpoint of a run of four steps. Read-only."""
    folder = tmp_path_factory.mktemp("runs")
    held_out = f"data.validation={data.parent / 'validation.jsonl'}"
    return {name: train(name, configure(data, folder / name, held_out, *WHOLE)) for name in NAMES}


@pytest.fixture(scope="module")
def models(finished: dict[str, Path]) -> dict[str, Any]:
    return {name: load_checkpoint(path, device="cpu", dtype="float32") for name, path in finished.items()}


def samples() -> list[Sample]:
    texts = ("What is at the centre?", "Count the rings, please.")
    return [Sample(id=text, text=text) for text in texts] + [Sample(id="d", text="a red ring", role="document")]


@pytest.mark.parametrize("name", NAMES)
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    name: str, finished: dict[str, Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.recipes import loop

    def stop(run: Any, done: int, *rest: Any) -> None:
        if done == 3:
            raise KeyboardInterrupt

    config = configure(data, tmp_path / "run", *WHOLE)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Run, "_log", stop)
        train(name, config)
    again = weights(train(name, config, resume=True))
    assert max((again[key] - value).abs().max().item() for key, value in weights(finished[name]).items()) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_the_log_holds_what_the_recipe_has(name: str, finished: dict[str, Path]) -> None:
    log = [json.loads(line) for line in (finished[name].parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    writes = {"text", "token_accuracy", "thought_exact"}
    for split in ("train", "validation"):
        [*_, last] = [record for record in log if record["split"] == split]
        assert {"loss", "contrastive", "batch_hit_at_1"} <= set(last)
        assert (writes & set(last)) == (set() if name == "no-think" else writes)
        assert all(np.isfinite(value) for value in last.values() if isinstance(value, float))


def test_settings_that_have_nothing_to_act_on_are_not_kept(finished: dict[str, Path]) -> None:
    said = {name: json.loads((path / "thinkscope.json").read_text())["config"] for name, path in finished.items()}
    assert (said["no-think"]["model"]["think"], said["no-think"]["loss"]["text"]) == (0, 0.0)
    assert said["explicit-cot"]["model"]["think"] == 0
    assert said["lame"]["lame"]["warmup_learns"] == "text"
    assert "lame" not in said["no-think"]
    assert all("tower" not in config["perception"] for config in said.values())


def test_no_think_embeds_and_refuses_what_needs_thoughts(models: dict[str, Any]) -> None:
    model = models["no-think"]
    assert not isinstance(model, DecodesThoughts)
    traces = model.trace([model.prepare(sample) for sample in samples()])
    assert [trace.n_think for trace in traces] == [0, 0, 0]
    assert traces[0].stepwise.shape == (1, 32)
    assert len(traces[0].knockout) == 0
    assert "writes its thoughts as text" in (missing(PROBES.get("decode"), model) or "")
    lens: Any = PROBES.get("lens")()
    with pytest.raises(BadInput, match="no think tokens"):
        lens.measure(Subject(trace=traces[0]), model)
    attention: Any = PROBES.get("attention")()
    assert attention.measure(traces[0]).measures


def test_explicit_reasoning_is_written_then_embedded(models: dict[str, Any]) -> None:
    """The embedding equals one pass over query and written text; a document's is that of a pass without."""
    model = models["explicit-cot"]
    batch = [model.prepare(sample) for sample in samples()]
    traces = model.trace(batch)
    bare = model.trace(batch, Keep(latents=False, attention=False, edits=False))
    embedded = model.embed(batch)
    for trace, quick, vector in zip(traces, bare, embedded, strict=True):
        np.testing.assert_allclose(quick.embedding, trace.embedding, atol=1e-5)
        np.testing.assert_allclose(vector, trace.embedding, atol=1e-5)
        np.testing.assert_allclose(trace.attention.sum(-1), 1, atol=1e-5)
        assert trace.embed == len(trace.tokens.ids) - 1
        assert trace.tokens.ids.tolist() == quick.tokens.ids.tolist()
    thoughts = model.decode(traces)
    ids = model._backbone.ids
    for encoded, trace, thought in zip(batch[:2], traces[:2], thoughts[:2], strict=True):
        written = [ids.start, *thought.token_ids, ids.end, *ids.embed]
        assert trace.tokens.ids[len(encoded.inputs["prefix"].ids) :].tolist() == written
        assert trace.tokens.kinds[-1] == "embed"
    assert thoughts[2].text == ""
    assert traces[2].tokens.ids.tolist() == batch[2].tokens.ids.tolist()


def test_what_was_written_scores_as_it_was_written(models: dict[str, Any]) -> None:
    model = models["explicit-cot"]
    traces = model.trace([model.prepare(sample) for sample in samples()[:2]])
    thoughts = model.decode(traces)
    backbone = model._backbone
    for trace, thought in zip(traces, thoughts, strict=True):
        packed = pack([trace.continuation.prefix], backbone.ids, [torch.tensor(thought.token_ids)])
        mask = visibility(packed, backbone.layout, "query_and_latents")
        # The text straight behind the query: without the embed token that `pack` puts between.
        kept = torch.tensor([i for i in range(packed.ids.shape[1]) if i != packed.embed.start])
        positions = packed.positions[:, :, kept].clone()
        positions[:, :, packed.embed.start :] -= 1
        inputs = backbone.inputs(packed)[:, kept]
        hidden = backbone.run(inputs, positions, torch.ones_like(mask[:, :, kept][..., kept]).tril())
        readings = backbone.family.head(backbone.model)(hidden[0, packed.embed.start :]).log_softmax(-1)
        expected = [readings[i, token].item() for i, token in enumerate(thought.token_ids)]
        assert thought.log_probabilities == pytest.approx(expected, abs=1e-4)
    cut = model.decode(traces, max_tokens=3)
    assert [thought.finish for thought in cut] == ["length", "length"]
    assert cut[0].token_ids == thoughts[0].token_ids[:3]
    swapped = model.decode(traces, thoughts_from=traces[::-1])
    assert [thought.text for thought in swapped] == [thought.text for thought in thoughts[::-1]]
    drawn = model.decode(traces, temperature=2.0, max_tokens=4, seed=1)
    assert drawn == model.decode(traces, temperature=2.0, max_tokens=4, seed=1)
    own, other = model.score(traces, ["one ring", "one ring."])
    assert own.tokens[-1] == other.tokens[-1] == "<|reason_end|>"
    assert own.total == pytest.approx(model.score(traces[:1], ["one ring"])[0].total, abs=1e-4)


def test_explicit_labels_stand_before_the_tokens_that_they_name(models: dict[str, Any], data: Path) -> None:
    backbone = models["explicit-cot"]._backbone
    rows = list(enumerate(read_training_rows(data)[:6]))
    for most in (256, 9):
        settings = DataSettings(max_reasoning_tokens=most)
        encoder = Encoder(backbone.processor, backbone.ids, settings, data.parent, 0, text="reasoning_before")
        batch = encoder(rows)
        last, n_text = batch.queries.embed.start - 1, batch.labels.shape[1]
        shown = batch.queries.ids[:, last - n_text + 1 : last + 1]
        there = batch.labels != IGNORE
        assert torch.equal(batch.labels[there], shown[there])
        assert (batch.queries.ids[:, last] == backbone.ids.end).all()
        assert bool((batch.labels == backbone.ids.end).any()) == (most == 256)


def test_a_tower_is_taken_from_another_run(finished: dict[str, Path], data: Path, tmp_path: Path) -> None:
    """Of a run that kept no warm-up the tower is taken as it is by now, the rest is not."""
    source = shutil.copytree(finished["no-think"].parent, tmp_path / "old")
    (source / TOWER).unlink()
    more = ("perception.steps=5", f"perception.tower={source}", "optimiser.steps=1", "model.freeze_vision_steps=1")
    made = train("explicit-cot", configure(data, tmp_path / "run", *more))
    theirs, mine = weights(finished["no-think"]), weights(made)
    assert all(torch.equal(mine[name], value) for name, value in theirs.items() if "visual" in name)
    assert any(not torch.equal(mine[name], value) for name, value in theirs.items() if "layers" in name)
    for folder, sentence in ((tmp_path / "none", "holds no run"), (finished["no-think"], "another vision tower")):
        with pytest.raises(BadInput, match=sentence):
            train("explicit-cot", configure(data, tmp_path / "x", *more, f"perception.tower={folder}"))


def test_a_warm_up_is_taken_as_it_was_however_far_its_run_has_come(data: Path, tmp_path: Path) -> None:
    """And from a run that took it from another in its turn; only so is a warm-up what it would be if it were made again."""
    fixed = ("perception.steps=5", "model.freeze_vision_steps=1", "optimiser.steps=1")
    alone = weights(train("no-think", configure(data, tmp_path / "alone", *fixed)))
    moved = train("no-think", configure(data, tmp_path / "moved", "perception.steps=5", "optimiser.steps=3"))
    assert any(not torch.equal(weights(moved)[name], value) for name, value in alone.items() if "visual" in name)
    taken = alone
    for name, source in (("first", "moved"), ("second", "first")):
        folder = tmp_path / name
        made = configure(data, folder, *fixed, f"perception.tower={tmp_path / source}")
        taken = weights(train("explicit-cot", made))
        assert all(torch.equal(taken[name], value) for name, value in alone.items() if "visual" in name)
