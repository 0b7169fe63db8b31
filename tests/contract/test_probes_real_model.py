"""The probes' contract on a real (random, tiny) Qwen2-VL: what the planted model cannot show."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import TINY, write_layout
from PIL import Image

from workbench import store
from workbench.embedder import DecodesThoughts
from workbench.errors import BadInput, Unsupported
from workbench.models.layout import explicit_cot, lame, no_think, tte_flash
from workbench.probe import PROBES, ModelProbe, Probe, Subject, TraceProbe, build, missing, traced_probes
from workbench.render.html import panel_html
from workbench.render.text import panel_text
from workbench.samples import make_sample
from workbench.types import ProbeResult

TEXTS = ("what is at the top left ?", "a red circle is left of the blue square .", "how many green triangles ?")


LAYOUTS = {
    "tte-flash": tte_flash(4, contexts=("latents_only", "query_and_latents")),
    "lame": lame(4),
    "explicit-cot": explicit_cot(),
    "no-think": no_think(),
}


@pytest.fixture(scope="module", params=LAYOUTS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from workbench.models.checkpoint import load_checkpoint
    from workbench.models.creation import give_layout, small_backbone, small_tokenizer

    backbone = give_layout(*small_backbone(TINY, small_tokenizer(TEXTS), seed=1), LAYOUTS[request.param])
    return load_checkpoint(write_layout(tmp_path_factory.mktemp("tiny") / request.param, backbone))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / "wide.png", folder / "tall.png"]
    noise = np.random.default_rng(0).integers(0, 256, size=(2, 160, 160, 3), dtype=np.uint8)
    Image.fromarray(noise[0, :96]).save(paths[0])
    Image.fromarray(noise[1, :, :80]).save(paths[1])
    return paths


@pytest.fixture(scope="module", params=[2, 1, 0], ids=["two images", "one image", "text only"])
def subject(request: pytest.FixtureRequest, model: Any, pictures: list[Path]) -> Subject:
    samples = [make_sample(pictures[: request.param], TEXTS[0]), make_sample(pictures[1:], TEXTS[2])]
    trace, other = model.trace([model.prepare(sample) for sample in samples])
    return Subject(trace=trace, others=(other,))


def measure(probe: Probe, subject: Subject, model: Any) -> ProbeResult:
    if isinstance(probe, TraceProbe):
        return probe.measure(subject.trace)
    assert isinstance(probe, ModelProbe)
    return probe.measure(subject, model)


@pytest.mark.parametrize("name", tuple(traced_probes()))
def test_probe_runs_repeats_is_stored_and_drawn(name: str, subject: Subject, model: Any) -> None:
    if reason := missing(PROBES.get(name), model):
        pytest.skip(reason)
    probe = build(PROBES.get(name), {})
    try:
        result = measure(probe, subject, model)
    except Unsupported as error:
        assert "no image" in str(error)
        assert not subject.trace.grids
        return
    except BadInput as error:
        assert not model.info.n_think  # what measures thoughts alone says so in its own words
        assert str(error).endswith(".")
        return
    text = store.dumps(result)
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert text == store.dumps(measure(probe, subject, model))
    assert store.dumps(store.loads(ProbeResult, text)) == text
    for panel in probe.view(result):
        assert panel_html(panel, result).strip()
        assert panel_text(panel, result).strip()


def test_attention_is_that_of_the_trace(subject: Subject, model: Any) -> None:
    result = measure(build(PROBES.get("attention"), {"layer": 2, "head": 3}), subject, model)
    for number, grid in enumerate(subject.trace.grids):
        shown = result.measure(f"attention_image_{number}").values
        assert shown.shape[1:] == (grid.rows, grid.cols)
        assert grid.rows != grid.cols
        for row, col in ((0, grid.cols - 1), (grid.rows - 1, 0)):
            position = grid.start + row * grid.cols + col
            np.testing.assert_array_equal(shown[:, row, col], subject.trace.attention[1, 2, :, position])
    assert {check.name: check.passed for check in result.checks}["rows sum to 1"]


def test_lens_of_the_last_layer_is_the_heads_own_reading(subject: Subject, model: Any) -> None:
    if not model.info.n_think:
        pytest.skip("there is no think token to read")
    result = measure(build(PROBES.get("lens"), {}), subject, model)
    logits = model.vocabulary(subject.trace.latents[-1])
    assert result.measure("word").values[-1, :, 0].tolist() == model.words(logits.argmax(axis=-1))


def test_decoding_is_read_again_with_the_same_probabilities(subject: Subject, model: Any) -> None:
    if not isinstance(model, DecodesThoughts):
        pytest.skip("it writes nothing")
    result = measure(build(PROBES.get("decode"), {"max_tokens": 8}), subject, model)
    agreement = [check for check in result.checks if check.name == "score agrees with decoding"]
    assert all(check.passed for check in agreement)
    text = str(result.measure("text").values)
    [own] = model.score([subject.trace], [text])
    [swapped] = model.score([subject.trace], [text], thoughts_from=subject.others)
    difference = np.subtract(own.log_probabilities, swapped.log_probabilities)[:-1].sum()
    assert result.measure("total_image_dependence").values == pytest.approx(difference, abs=1e-3)


def test_trace_from_disk_gives_the_same_measurements(subject: Subject, tmp_path: Path) -> None:
    store.save_traces(tmp_path, [subject.trace])
    [back] = store.load_traces(tmp_path)
    probe = build(PROBES.get("attention"), {})
    assert isinstance(probe, TraceProbe)
    assert store.dumps(probe.measure(back)) == store.dumps(probe.measure(subject.trace))
