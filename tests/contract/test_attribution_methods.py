"""What every attribution method promises, whoever wrote it, on a real (random, tiny) Qwen2-VL.

Left padding cannot matter to a map: an objective holds one sample, so there is none.
"""

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from workbench import store
from workbench.attribution import AttributionProbe, cells_of, methods
from workbench.errors import Unsupported
from workbench.probe import build, missing, parameters, traced_probes
from workbench.resolution import resolve
from workbench.samples import make_sample
from workbench.targets import parse_target
from workbench.types import ProbeResult

METHODS = methods()
CHEAP = {"steps": 7, "draws": 2, "samples": 16, "orders": 2, "block": 4}
OURS = {
    "saliency",
    "input_x_gradient",
    "integrated_gradients",
    "gradient_shap",
    "feature_ablation",
    "occlusion",
    "shapley_sampling",
    "kernel_shap",
}


def cheap(name: str, **values: Any) -> AttributionProbe:
    kind = METHODS[name]
    few = {field.name: CHEAP[field.name] for field in parameters(kind) if field.name in CHEAP}
    made = build(kind, few | values)
    assert isinstance(made, AttributionProbe)
    return made


def levels(name: str) -> tuple[str, ...]:
    [level] = [field for field in parameters(METHODS[name]) if field.name == "level"]
    return level.choices


CASES = [pytest.param(name, level, id=f"{name}-{level}") for name in METHODS for level in levels(name)]


def test_the_built_in_methods_are_found_and_none_runs_unasked() -> None:
    assert set(METHODS) >= OURS
    assert not set(METHODS) & set(traced_probes())


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is(name: str, tiny_model: Any) -> None:
    kind = METHODS[name]
    assert getattr(kind, "__final__", False)
    assert kind.name == name
    assert kind.title
    assert kind.reference
    assert kind.version >= 1
    assert isinstance(kind.signed, bool)
    assert "mislead" in (kind.__doc__ or "")
    assert missing(kind, tiny_model) is None
    for field in parameters(kind):
        assert field.control.help.endswith(".")
        assert field.default is not dataclasses.MISSING
        if field.control.low is not None:
            assert field.control.low <= field.default
        if field.control.high is not None:
            assert field.default <= field.control.high


@pytest.mark.parametrize(("name", "level"), CASES)
def test_maps_have_the_images_shapes_and_repeat(name: str, level: str, tiny_objective: Any, tiny_trace: Any) -> None:
    objective = tiny_objective(level)
    method = cheap(name, level=level)
    result = method.explain(objective, tiny_trace)
    for number, grid in enumerate(objective.grids):
        found = result.measure(f"attribution_image_{number}")
        assert grid.rows != grid.cols
        assert found.values.shape == (len(objective.targets), grid.rows, grid.cols)
        assert found.coords["target"] == tuple(target.label for target in objective.targets)
        assert found.units
        assert found.signed == method.signed
        assert method.signed or found.values.min() >= 0
    cells = cells_of(result)
    assert np.isfinite(cells).all()
    assert (np.abs(cells).max(axis=1) > 0).all()
    assert result.measure("passes").values >= 1
    text = store.dumps(result)
    assert store.dumps(method.explain(objective, tiny_trace)) == text
    assert store.dumps(store.loads(ProbeResult, text)) == text
    assert method.view(result)
    if method.complete:
        total = cells.sum(axis=1)
        change = result.measure("value").values - result.measure("baseline_value").values
        gap = result.measure("completeness_gap").values
        np.testing.assert_allclose(np.abs(total - change), gap * np.abs(change), atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_one_target_among_many_is_as_alone(name: str, tiny_model: Any, tiny_encoded: Any, tiny_objective: Any) -> None:
    whole = tiny_objective("tokens")
    alone = tiny_model.objective(tiny_encoded, whole.targets[1:2])
    together, single = (cheap(name).attribute(objective).relevance for objective in (whole, alone))
    np.testing.assert_allclose(together[1], single[0], atol=1e-4 * np.abs(single).max())


@pytest.mark.parametrize("name", METHODS)
def test_two_threads_do_not_disturb_each_other(name: str, tiny_objective: Any) -> None:
    objective, method = tiny_objective("tokens"), cheap(name)
    alone = method.attribute(objective).relevance
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda _: method.attribute(objective).relevance, range(2)):
            np.testing.assert_allclose(found, alone, atol=1e-6 + 1e-5 * np.abs(alone).max())


@pytest.mark.parametrize("name", METHODS)
def test_an_exception_from_the_tick_goes_through(name: str, tiny_objective: Any) -> None:
    told: list[float] = []
    cheap(name).attribute(tiny_objective("tokens"), lambda share, doing: told.append(share))
    assert told
    assert all(0 <= share <= 1 for share in told)

    def stop(_share: float, _doing: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        cheap(name).attribute(tiny_objective("tokens"), stop)


def test_a_sample_without_images_is_refused_with_a_sentence(tiny_model: Any) -> None:
    encoded = tiny_model.prepare(make_sample([], "what is it ?"))
    [trace] = tiny_model.trace([encoded])
    targets = resolve(parse_target("think"), tiny_model, trace, None, None)
    with pytest.raises(Unsupported, match="image"):
        tiny_model.objective(encoded, targets)


def test_listing_the_methods_imports_neither_torch_nor_captum() -> None:
    code = (
        "import sys; from workbench.probe import PROBES, parameters; [parameters(p) for _, p in PROBES.items()]; "
        "sys.exit(bool({'torch', 'captum', 'matplotlib'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
