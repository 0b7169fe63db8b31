"""What every probe promises, whoever wrote it: found by itself, documented, repeatable, stored and drawn everywhere."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planted import PlantedModel, planted_sample, planted_trace

from workbench import store
from workbench.errors import Unsupported
from workbench.probe import PROBES, ModelProbe, Probe, Subject, TraceProbe, build, missing, parameters, traced_probes
from workbench.render.html import panel_html
from workbench.render.text import panel_text
from workbench.types import ProbeResult, Sample
from workbench.views import Bars, Heatmap, Lines, Overlay, Scatter, Table, Words

NAMES = tuple(traced_probes())
UNIT_WORDS = ("nats", "share", "probability", "cosine", "units")
LIMIT_WORDS = ("mislead", "misleads")

OF_IMAGES = ("attention_views",)
"""Probes that say nothing without an image, and refuse with that reason."""
TWO_IMAGES = planted_sample((" red", " cir", "cle", "."), sizes=((50, 30), (30, 70)), hot=(4, 1))
TEXT_ONLY = Sample(id="text", text="what is red ?", metadata={"thought": (" blue", " square")})
OTHERS = tuple(planted_trace(planted_sample((" blue", " left"), id=f"other {i}")) for i in range(2))
IMAGES = [Image.new("RGB", (50, 30)), Image.new("RGB", (30, 70))]


def measure(probe: Probe, sample: Sample) -> ProbeResult:
    trace = planted_trace(sample)
    match probe:
        case TraceProbe():
            return probe.measure(trace)
        case ModelProbe():
            return probe.measure(Subject(trace=trace, others=OTHERS), PlantedModel())
    raise AssertionError(f"{probe} is neither a trace probe nor a model probe")


def variants(kind: type[Probe]) -> Iterator[dict[str, Any]]:
    """The defaults, then every choice and switch turned once."""
    yield {}
    for parameter in parameters(kind):
        for choice in parameter.choices:
            yield {parameter.name: choice}
        if parameter.type is bool:
            yield {parameter.name: not parameter.default}


CASES = [
    pytest.param(name, values, sample, id=f"{name}-{values}-{sample.id}")
    for name in NAMES
    for values in variants(PROBES.get(name))
    for sample in (TWO_IMAGES, TEXT_ONLY)
    if sample.images or name not in OF_IMAGES
]


def test_the_built_in_probes_are_found() -> None:
    assert {"attention", "decode", "lens"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_docstring_names_units_source_and_limits(name: str) -> None:
    kind = PROBES.get(name)
    text = kind.__doc__ or ""
    assert any(word in text for word in UNIT_WORDS)
    assert any(word in text for word in LIMIT_WORDS)
    assert kind.version >= 1
    assert kind.title
    assert kind.reference
    assert kind.name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_a_control_with_a_plain_sentence(name: str) -> None:
    for parameter in parameters(PROBES.get(name)):
        assert parameter.type in (bool, int, float, str)
        assert parameter.control.help.strip().endswith(".")
        assert parameter.default is not dataclasses.MISSING
        if parameter.choices:
            assert parameter.default in parameter.choices


@pytest.mark.parametrize("name", NAMES)
def test_probe_is_final_frozen_and_runs_on_a_capable_model(name: str) -> None:
    kind = PROBES.get(name)
    assert getattr(kind, "__final__", False)
    assert missing(kind, PlantedModel()) is None
    probe = build(kind, {})
    assert hash(probe) == hash(build(kind, {}))
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError, AttributeError)):
        probe.title = "changed"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", OF_IMAGES)
def test_text_alone_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(Unsupported, match="no image"):
        measure(build(PROBES.get(name), {}), TEXT_ONLY)


@pytest.mark.parametrize(("name", "values", "sample"), CASES)
def test_measures_have_units_and_axes_and_numbers(name: str, values: dict[str, Any], sample: Sample) -> None:
    result = measure(build(PROBES.get(name), values), sample)
    assert (result.probe, result.sample_id) == (name, sample.id)
    assert result.parameters == dataclasses.asdict(build(PROBES.get(name), values))  # pyright: ignore[reportArgumentType]
    names = [found.name for found in result.measures]
    assert names
    assert len(set(names)) == len(names)
    for found in result.measures:
        assert found.units, found.name
        assert found.values.dtype in (np.float32, np.int64) or found.values.dtype.kind == "U", found.name
        assert len(set(found.dims)) == len(found.dims), found.name


@pytest.mark.parametrize(("name", "values", "sample"), CASES)
def test_every_result_has_a_control_with_a_meaning(name: str, values: dict[str, Any], sample: Sample) -> None:
    checks = measure(build(PROBES.get(name), values), sample).checks
    assert checks
    for check in checks:
        assert check.name
        assert check.about
        assert isinstance(check.passed, bool)


@pytest.mark.parametrize(("name", "values", "sample"), CASES)
def test_result_is_repeatable_and_survives_json(name: str, values: dict[str, Any], sample: Sample) -> None:
    probe = build(PROBES.get(name), values)
    text = store.dumps(measure(probe, sample))
    assert text == store.dumps(measure(probe, sample))
    back = store.loads(ProbeResult, text)
    assert store.dumps(back) == text
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    for first, second in zip(measure(probe, sample).measures, back.measures, strict=True):
        np.testing.assert_array_equal(first.values, second.values)


@pytest.mark.parametrize(("name", "values", "sample"), CASES)
def test_every_panel_names_what_is_there_and_is_drawn(name: str, values: dict[str, Any], sample: Sample) -> None:
    probe = build(PROBES.get(name), values)
    result = measure(probe, sample)
    panels = probe.view(result)
    assert panels
    for panel in panels:
        match panel:
            case Table():
                assert all(result.measure(column).values.ndim >= 1 for column in panel.measures)
            case Heatmap() | Overlay() | Words() | Lines() | Bars() | Scatter():
                assert result.measure(panel.measure).values.size
        for images in (None, IMAGES[: len(sample.images)]):
            assert panel_html(panel, result, images).strip()
            assert panel_text(panel, result, images).strip()


@pytest.mark.parametrize("name", NAMES)
def test_probe_does_not_change_the_trace(name: str) -> None:
    trace = planted_trace(TWO_IMAGES)
    before = store.dumps(trace)
    probe = build(PROBES.get(name), {})
    match probe:
        case TraceProbe():
            probe.measure(trace)
        case ModelProbe():
            probe.measure(Subject(trace=trace, others=OTHERS), PlantedModel())
    assert store.dumps(trace) == before
