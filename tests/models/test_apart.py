"""Think and embed tokens kept apart: the numbers of one pass where weights are shared, and each way does what it says.

Gradients that must not flow are zero to the last bit, those that must flow are not; weights that must differ differ.
"""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import TINY, write_layout
from test_capture import picture
from torch import Tensor

from workbench.edits import Edit
from workbench.embedder import Keep
from workbench.errors import BadCheckpoint, Unsupported
from workbench.models.apart import Apart, run_apart
from workbench.models.backbone import Backbone
from workbench.models.checkpoint import load_checkpoint
from workbench.models.creation import give_layout, small_backbone, small_tokenizer
from workbench.models.dual_adapter import FILE, adapter_weights, attach_sets, plain_weights, save_sets
from workbench.models.layout import Layout, tte_flash
from workbench.models.sequence import Packed, pack, visibility
from workbench.probe import PROBES, ModelProbe, Subject, missing
from workbench.targets import parse_target
from workbench.types import Context, Sample

CONTEXTS: tuple[Context, ...] = ("latents_only", "query_and_latents")
WAYS = {
    "shared": tte_flash(4, contexts=CONTEXTS),
    "dual_adapter": tte_flash(4, contexts=CONTEXTS, extraction="dual_adapter"),
    "early_exit": tte_flash(4, contexts=CONTEXTS, extraction="early_exit", exit_layer=2),
    "two_pass": tte_flash(4, contexts=CONTEXTS, extraction="two_pass"),
}
APART = [name for name in WAYS if name != "shared"]
SAMPLES = (
    Sample(id="wide", text="What is at the centre?", images=(picture(128, 80),)),
    Sample(id="text", text="Find the image: a red red ring at the left."),
)
TEXTS = ("large red ring .", "blue")


def write(folder: Path, rows: list[dict[str, Any]], layout: Layout) -> Path:
    texts = [text for row in rows for text in (row["query"], row["reasoning"])]
    model, processor = small_backbone(TINY, small_tokenizer(texts), seed=1)
    backbone = give_layout(model, processor, layout, seed=1)
    if layout.extraction != "dual_adapter":
        return write_layout(folder, backbone)
    plain = copy.deepcopy(backbone.model)
    torch.manual_seed(3)
    attach_sets(model, 2)
    for role in ("think", "embed"):
        for name, value in adapter_weights(model, role).items():
            if ".lora_B." in name:
                torch.nn.init.normal_(value, std=0.2)
    write_layout(folder, replace(backbone, model=plain))
    manifest = json.loads((folder / "thinkscope.json").read_text())
    (folder / "thinkscope.json").write_text(json.dumps(manifest | save_sets(model, folder, torch.float32)))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, shapes_rows: list[dict[str, Any]]) -> dict[str, Path]:
    """A random checkpoint of each extraction, of equal weights but for the adapters. Read-only."""
    room = tmp_path_factory.mktemp("apart")
    return {name: write(room / name, shapes_rows, layout) for name, layout in WAYS.items()}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Any]:
    """The same, loaded. Read-only."""
    return {name: load_checkpoint(folder, device="cpu", dtype="float32") for name, folder in folders.items()}


@pytest.fixture
def learner(models: dict[str, Any]) -> Callable[[str], Backbone]:
    """extraction -> a copy of its backbone whose weights have gradients."""

    def learner(name: str) -> Backbone:
        backbone = models[name]._backbone
        return replace(backbone, model=copy.deepcopy(backbone.model).requires_grad_(True))

    return learner


def packed_of(backbone: Backbone) -> Packed:
    tokenizer = backbone.processor.tokenizer
    texts = [torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in TEXTS]
    return pack([backbone.processor.encode(sample) for sample in SAMPLES], backbone.ids, texts)


def passed(backbone: Backbone, *, context: Context = "latents_only", **options: Any) -> tuple[Apart, Tensor]:
    """A pass over both samples with a text each, and the input embeddings, whose gradients are kept."""
    packed = packed_of(backbone)
    inputs = backbone.inputs(packed)
    if inputs.requires_grad:
        inputs.retain_grad()
    return run_apart(backbone, packed, inputs, visibility(packed, backbone.layout, context), **options), inputs


def told(backbone: Backbone, apart: Apart) -> Tensor:
    """A loss of the texts alone."""
    return backbone.family.head(backbone.model)(apart.text).logsumexp(-1).sum()


def found(backbone: Backbone, apart: Apart) -> Tensor:
    """A loss of the embeddings alone."""
    return backbone.pool(apart.embed)[:, :7].sum()


def moved(weights: Any) -> bool:
    """Whether any of the weights has a gradient that is not exactly zero."""
    return any(weight.grad is not None and bool((weight.grad != 0).any()) for weight in weights)


@pytest.mark.parametrize("context", CONTEXTS)
def test_apart_gives_the_numbers_of_one_pass(models: dict[str, Any], context: Context) -> None:
    """Query, thoughts, embed tokens and texts in one padded sequence, with hidden thoughts and without."""
    backbone = models["shared"]._backbone
    packed = packed_of(backbone)
    for limit in (None, torch.tensor([1, 4])):
        mask = visibility(packed, backbone.layout, context, limit)
        with torch.no_grad():
            inputs = backbone.inputs(packed)
            whole = backbone.run(inputs, packed.positions, mask)
            apart = run_apart(backbone, packed, inputs, mask)
        said = packed.segments[:, packed.text] >= 0
        for one, other in (
            (whole[:, packed.think], apart.think),
            (whole[:, packed.embed], apart.embed),
            (whole[:, packed.text][said], apart.text[said]),
        ):
            torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", list(WAYS))
def test_stop_gradient_changes_no_number_and_keeps_the_embedding_from_the_thoughts(
    name: str, learner: Callable[[str], Backbone]
) -> None:
    backbone = learner(name)
    think = packed_of(backbone).think
    apart, inputs = passed(backbone)
    found(backbone, apart).backward()
    joint = inputs.grad
    assert joint is not None
    assert (joint[:, think] != 0).all(dim=-1).all(), "jointly, the embedding's loss reaches every think token"
    stopped, inputs = passed(backbone, fixed_thoughts=True)
    torch.testing.assert_close(stopped.embed, apart.embed, atol=0, rtol=0)
    (found(backbone, stopped) + 0 * told(backbone, stopped)).backward()
    assert inputs.grad is not None
    assert (inputs.grad[:, think] == 0).all(), "not a bit of it may reach a think token"
    assert (inputs.grad[0, : think.start] != 0).any(), "the query belongs to both tasks"
    stopped, inputs = passed(backbone, fixed_thoughts=True)
    told(backbone, stopped).backward()
    assert inputs.grad is not None
    assert (inputs.grad[:, think] != 0).any(dim=-1).all(), "the text's loss does"


def test_two_adapters_learn_from_their_own_tasks(learner: Callable[[str], Backbone]) -> None:
    backbone = learner("dual_adapter")
    think, embed = (adapter_weights(backbone.model, role).values() for role in ("think", "embed"))

    def reached(loss: Callable[[Backbone, Apart], Tensor], **options: Any) -> tuple[bool, bool]:
        backbone.model.zero_grad(set_to_none=True)
        loss(backbone, passed(backbone, **options)[0]).backward()
        return moved(think), moved(embed)

    assert reached(told) == (True, False)
    assert reached(found) == (True, True)
    assert reached(found, fixed_thoughts=True) == (False, True)


def test_each_adapter_acts_on_its_own_positions(models: dict[str, Any], learner: Callable[[str], Backbone]) -> None:
    """Without adapters the weights are those of `shared`; one set changed moves what is made with it, and nothing else."""
    backbone = learner("dual_adapter")
    first, second = adapter_weights(backbone.model, "think"), adapter_weights(backbone.model, "embed")
    assert all((value != second[name.replace("think", "embed")]).any() for name, value in first.items())
    with torch.no_grad():
        before = passed(backbone)[0]
        for value in second.values():
            value.mul_(1.5)
        after = passed(backbone)[0]
        assert (after.think == before.think).all()
        assert (after.text == before.text).all()
        assert ((after.embed - before.embed).abs().amax(-1) > 1e-3).all()
        for value in (*first.values(), *second.values()):
            value.zero_()
        bare, shared = passed(backbone)[0], passed(models["shared"]._backbone)[0]
    torch.testing.assert_close(bare.embed, shared.embed, atol=1e-5, rtol=0)
    plain = models["shared"]._backbone.model.state_dict()
    assert plain_weights(backbone.model).keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in plain_weights(backbone.model).items())


def test_an_early_exit_keeps_the_text_from_the_layers_above(learner: Callable[[str], Backbone]) -> None:
    backbone = learner("early_exit")
    layers = list(backbone.family.layers(backbone.model))
    told(backbone, passed(backbone)[0]).backward()
    assert [moved(layer.parameters()) for layer in layers] == [True, True, False]
    backbone.model.zero_grad(set_to_none=True)
    found(backbone, passed(backbone)[0]).backward()
    assert [moved(layer.parameters()) for layer in layers] == [True, True, True]
    # The think tokens' state there is what the text's head would read, not that behind the last layer.
    with torch.no_grad():
        packed, apart = packed_of(backbone), passed(backbone)[0]
        mask = visibility(packed, backbone.layout, "latents_only")
        states, positions = backbone.inputs(packed), packed.positions
        for index in range(2):
            states = backbone.family.run_layer(backbone.model, index, states, positions, mask)
        expected = backbone.family.final_norm(backbone.model)(states[:, packed.think])
    torch.testing.assert_close(apart.think, expected, atol=2e-5, rtol=0)


def test_a_second_pass_sees_the_thoughts_of_the_first(models: dict[str, Any]) -> None:
    """By hand: one sequence whose think tokens are the final states of another."""
    backbone = models["two_pass"]._backbone
    packed = packed_of(backbone)
    mask = visibility(packed, backbone.layout, "latents_only")
    with torch.no_grad():
        inputs = backbone.inputs(packed)
        first = backbone.run(inputs, packed.positions, mask)
        inputs[:, packed.think] = first[:, packed.think]
        second = backbone.run(inputs, packed.positions, mask)
        apart = passed(backbone)[0]
    torch.testing.assert_close(apart.think, first[:, packed.think], atol=2e-5, rtol=0)
    torch.testing.assert_close(apart.embed, second[:, packed.embed], atol=2e-5, rtol=0)
    assert ((first - second)[:, packed.embed].abs().amax(-1) > 1e-2).all()


@pytest.mark.parametrize("name", APART)
def test_what_is_read_is_what_was_trained(name: str, models: dict[str, Any]) -> None:
    """Trace, embedding, truncations and scores through the seam equal the pass that a recipe trains."""
    model = models[name]
    backbone, batch = model._backbone, [model.prepare(sample) for sample in SAMPLES]
    packed = packed_of(backbone)
    traces = model.trace(batch)
    with torch.no_grad():
        inputs = backbone.inputs(packed)
        for k in range(5):
            mask = visibility(packed, backbone.layout, "latents_only", torch.tensor([k, k]))
            expected = backbone.pool(run_apart(backbone, packed, inputs, mask).embed).numpy()
            np.testing.assert_allclose([trace.stepwise[k] for trace in traces], expected, atol=1e-5)
        np.testing.assert_allclose(model.embed(batch), expected, atol=1e-5)
        for context in CONTEXTS:
            apart = passed(backbone, context=context)[0]
            readings = backbone.family.head(backbone.model)(apart.text).log_softmax(-1)
            ids = [[*model.text_ids(text), backbone.ids.end] for text in TEXTS]
            for row, score in enumerate(model.score(traces, TEXTS, context=context)):
                wanted = readings[row, range(len(ids[row])), ids[row]].tolist()
                assert score.log_probabilities == pytest.approx(wanted, abs=1e-4)
    for trace, encoded in zip(traces, batch, strict=True):
        np.testing.assert_allclose(trace.attention.sum(-1), 1, atol=1e-5)
        assert trace.latents.shape == (3, 4, 64)
        assert (np.abs(trace.knockout - trace.embedding).max(axis=1) > 1e-4).all()
        [alone] = model.trace([encoded])
        np.testing.assert_allclose(alone.embedding, trace.embedding, atol=1e-5)
        np.testing.assert_allclose(alone.latents, trace.latents, atol=1e-4)


@pytest.mark.parametrize("name", APART)
def test_its_thoughts_are_written_and_can_be_exchanged(name: str, models: dict[str, Any]) -> None:
    """Greedy text is what scoring finds likeliest, in a batch as alone; the probes run."""
    model = models[name]
    traces = model.trace([model.prepare(sample) for sample in SAMPLES])
    for context in CONTEXTS:
        thoughts = model.decode(traces, context=context, max_tokens=5)
        for trace, thought in zip(traces, thoughts, strict=True):
            [alone] = model.decode([trace], context=context, max_tokens=5)
            assert alone.token_ids == thought.token_ids
            [score] = model.score([trace], [thought.text], context=context)
            if tuple(model.text_ids(thought.text)) == thought.token_ids:
                n = len(thought.token_ids)
                assert score.log_probabilities[:n] == pytest.approx(thought.log_probabilities[:n], abs=1e-4)
    swapped = model.decode(traces, max_tokens=5, thoughts_from=traces[::-1])
    assert [thought.token_ids for thought in swapped] == [
        thought.token_ids for thought in reversed(model.decode(traces, max_tokens=5))
    ]
    bare = model.trace([model.prepare(SAMPLES[0])], Keep(latents=False, attention=False, edits=False))
    np.testing.assert_allclose(bare[0].embedding, traces[0].embedding, atol=1e-5)
    for probe in ("decode", "attention", "attention_views", "lens"):
        kind: Any = PROBES.get(probe)
        assert missing(kind, model) is None
        made = kind()
        if isinstance(made, ModelProbe):
            assert made.measure(Subject(trace=traces[0], others=tuple(traces[1:])), model).measures
        else:
            assert made.measure(traces[0]).measures


@pytest.mark.parametrize("name", APART)
def test_maps_are_refused_in_a_sentence(name: str, models: dict[str, Any]) -> None:
    from workbench.resolution import resolve

    model = models[name]
    encoded = model.prepare(SAMPLES[0])
    targets = resolve(parse_target("think"), model, model.trace([encoded])[0], None, None)
    with pytest.raises(Unsupported, match=f"extraction {name}"):
        model.objective(encoded, targets)


def test_edits_follow_the_exit_and_are_refused_elsewhere_in_a_sentence(models: dict[str, Any]) -> None:
    for name in APART:
        model = models[name]
        batch = [model.prepare(sample) for sample in SAMPLES]
        edits = [[Edit(), Edit(hidden=(1, 2))]] * 2
        if name != "early_exit":
            with pytest.raises(Unsupported, match=f"extraction {name}"):
                model.edit(batch, edits)
            continue
        traces = model.trace(batch)
        found = model.edit(batch, edits)
        for trace, (unchanged, hidden) in zip(traces, found, strict=True):
            np.testing.assert_allclose(unchanged.embedding, trace.embedding, atol=1e-5)
            assert np.abs(hidden.embedding - trace.embedding).max() > 1e-4
        for context in CONTEXTS:
            for one, other in zip(
                model.score([unchanged for unchanged, _ in found], TEXTS, context=context),
                model.score(traces, TEXTS, context=context),
                strict=True,
            ):
                assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-4)


def test_a_copy_with_weights_drawn_anew_leaves_the_model_as_it_is(models: dict[str, Any]) -> None:
    model = models["dual_adapter"]
    batch = [model.prepare(SAMPLES[1])]
    before = model.embed(batch)
    assert np.abs(model.randomised(["layer 3"], 0).embed(batch) - before).max() > 1e-3
    np.testing.assert_array_equal(model.embed(batch), before)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"extraction": "early_exit"}, "exit_layer is 0 with the extraction early_exit"),
        ({"exit_layer": 2}, "exit_layer is 2 with the extraction shared"),
        ({"extraction": "two_pass", "think_tokens": []}, "two_pass, which part think tokens"),
        ({"dependency": "stop_gradient", "contexts": []}, "stop_gradient, which part think tokens"),
        ({"extraction": "dual_adapter", "decoder": "latent"}, "dual_adapter, which part think tokens"),
        ({"extraction": "third_pass"}, "built are: shared, dual_adapter, early_exit, two_pass"),
    ],
)
def test_a_layout_that_makes_no_sense_is_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadCheckpoint, match=sentence):
        Layout.from_json({**tte_flash(2).to_json(), **change})


def test_layouts_come_back_from_json() -> None:
    for layout in WAYS.values():
        assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout
    assert "exit_layer" not in WAYS["shared"].to_json(), "older checkpoints keep their layout, and so their hash"


def unnamed(folder: Path) -> None:
    manifest = json.loads((folder / "thinkscope.json").read_text())
    del manifest["adapters"]
    (folder / "thinkscope.json").write_text(json.dumps(manifest))


def other_rank(folder: Path) -> None:
    manifest = json.loads((folder / "thinkscope.json").read_text())
    (folder / "thinkscope.json").write_text(json.dumps(manifest | {"adapters": {"rank": 3}}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / FILE).unlink(), "has no adapters.safetensors"),
        (lambda folder: (folder / FILE).write_bytes(b"torn"), "is damaged"),
        (unnamed, "no 'adapters' with a rank"),
        (other_rank, "does not fit its model: 42 of 84|does not fit its model: 84 of 84"),
    ],
)
def test_spoilt_adapters_are_one_sentence(
    spoil: Callable[[Path], None], sentence: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["dual_adapter"], tmp_path / "copy"))
    spoil(folder)
    with pytest.raises(BadCheckpoint, match=sentence) as refused:
        load_checkpoint(folder, device="cpu", dtype="float32")
    assert "\n" not in str(refused.value)


def test_an_exit_above_the_last_layer_is_one_sentence(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["early_exit"], tmp_path / "copy"))
    text = (folder / "thinkscope.json").read_text().replace('"exit_layer": 2', '"exit_layer": 3')
    (folder / "thinkscope.json").write_text(text)
    with pytest.raises(BadCheckpoint, match="behind layer 3, but has 3 layers"):
        load_checkpoint(folder, device="cpu", dtype="float32")


@pytest.mark.parametrize("name", APART)
def test_it_runs_in_bfloat16(name: str, folders: dict[str, Path], models: dict[str, Any]) -> None:
    rough: Any = load_checkpoint(folders[name], device="cpu", dtype="bfloat16")
    batch = [rough.prepare(sample) for sample in SAMPLES]
    traces = rough.trace(batch)
    exact = models[name].embed([models[name].prepare(sample) for sample in SAMPLES])
    for vectors in (rough.embed(batch), np.stack([trace.embedding for trace in traces])):
        assert (np.sum(vectors * exact, axis=1) > 0.98).all()
    assert all(thought.tokens for thought in rough.decode(traces, max_tokens=3))


@pytest.mark.parametrize("name", APART)
def test_it_is_inspected_like_any_other(name: str, folders: dict[str, Path], tmp_path: Path, capsys: Any) -> None:
    from workbench.cli import main

    image = tmp_path / "a.png"
    image.write_bytes(picture(128, 80).data or b"")
    words = [str(image), "What is at the centre?", "--checkpoint", str(folders[name]), "--device", "cpu"]
    assert main(["inspect", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["thought"]["tokens"]
    assert main(["attribute", *words, "--target", "think"]) == 2
    assert f"extraction {name}" in capsys.readouterr().err
