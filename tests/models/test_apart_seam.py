"""Checkpoints that keep think and embed tokens apart, through the seam: read as they were trained, written, refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from apart import APART, CONTEXTS, SAMPLES, TEXTS, packed_of, passed
from pictures import picture

from workbench.edits import Edit
from workbench.embedder import Keep
from workbench.errors import Unsupported
from workbench.models.apart import run_apart
from workbench.models.checkpoint import load_checkpoint
from workbench.models.sequence import visibility
from workbench.probe import PROBES, ModelProbe, Subject, missing
from workbench.targets import parse_target


@pytest.mark.parametrize("name", APART)
def test_what_is_read_is_what_was_trained(name: str, apart_models: dict[str, Any]) -> None:
    """Trace, embedding, truncations and scores through the seam equal the pass that a recipe trains."""
    model = apart_models[name]
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
def test_its_thoughts_are_written_and_can_be_exchanged(name: str, apart_models: dict[str, Any]) -> None:
    """Greedy text is what scoring finds likeliest, in a batch as alone; the probes run."""
    model = apart_models[name]
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
def test_maps_are_refused_in_a_sentence(name: str, apart_models: dict[str, Any]) -> None:
    from workbench.resolution import resolve

    model = apart_models[name]
    encoded = model.prepare(SAMPLES[0])
    targets = resolve(parse_target("think"), model, model.trace([encoded])[0], None, None)
    with pytest.raises(Unsupported, match=f"extraction {name}"):
        model.objective(encoded, targets)


def test_edits_follow_the_exit_and_are_refused_elsewhere_in_a_sentence(apart_models: dict[str, Any]) -> None:
    for name in APART:
        model = apart_models[name]
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


def test_a_copy_with_weights_drawn_anew_leaves_the_model_as_it_is(apart_models: dict[str, Any]) -> None:
    model = apart_models["dual_adapter"]
    batch = [model.prepare(SAMPLES[1])]
    before = model.embed(batch)
    assert np.abs(model.randomised(["layer 3"], 0).embed(batch) - before).max() > 1e-3
    np.testing.assert_array_equal(model.embed(batch), before)


@pytest.mark.parametrize("name", APART)
def test_it_runs_in_bfloat16(name: str, apart_folders: dict[str, Path], apart_models: dict[str, Any]) -> None:
    rough: Any = load_checkpoint(apart_folders[name], device="cpu", dtype="bfloat16")
    batch = [rough.prepare(sample) for sample in SAMPLES]
    traces = rough.trace(batch)
    exact = apart_models[name].embed([apart_models[name].prepare(sample) for sample in SAMPLES])
    for vectors in (rough.embed(batch), np.stack([trace.embedding for trace in traces])):
        assert (np.sum(vectors * exact, axis=1) > 0.98).all()
    assert all(thought.tokens for thought in rough.decode(traces, max_tokens=3))


@pytest.mark.parametrize("name", APART)
def test_it_is_inspected_like_any_other(name: str, apart_folders: dict[str, Path], tmp_path: Path, capsys: Any) -> None:
    from workbench.cli import main

    image = tmp_path / "a.png"
    image.write_bytes(picture(128, 80).data or b"")
    words = [str(image), "What is at the centre?", "--checkpoint", str(apart_folders[name]), "--device", "cpu"]
    assert main(["inspect", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["thought"]["tokens"]
    assert main(["attribute", *words, "--target", "think"]) == 2
    assert f"extraction {name}" in capsys.readouterr().err
