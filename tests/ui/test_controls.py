"""Every probe parameter is a control of the right kind that says what it does; the examples belong to the Shapes world."""

import runpy
from pathlib import Path

import gradio as gr
import pytest

from workbench.assets import assets_dir, examples
from workbench.probe import Control, Parameter, parameters, traced_probes
from workbench.ui.controls import control_for

EVERY = [parameter for probe in traced_probes().values() for parameter in parameters(probe)]


@pytest.mark.parametrize("parameter", EVERY, ids=lambda p: p.name)
def test_every_parameter_is_explained_and_starts_at_its_default(parameter: Parameter) -> None:
    control = control_for(parameter)
    assert getattr(control, "info", None) == parameter.control.help
    assert control.value == parameter.default  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("kind", "choices", "low", "high", "expected"),
    [
        (bool, (), None, None, gr.Checkbox),
        (str, ("a", "b"), None, None, gr.Dropdown),
        (str, (), None, None, gr.Textbox),
        (int, (), 1, 50, gr.Slider),
        (int, (), 0, None, gr.Number),
        (float, (), 0.05, 5.0, gr.Slider),
    ],
)
def test_the_kind_of_control_follows_the_type(
    kind: type, choices: tuple[str, ...], low: float | None, high: float | None, expected: type
) -> None:
    default = choices[0] if choices else kind(low or 0)
    parameter = Parameter(
        name="x", type=kind, default=default, choices=choices, control=Control(help="h", low=low, high=high)
    )
    assert isinstance(control_for(parameter), expected)


def test_the_shipped_examples_are_what_the_script_makes() -> None:
    """If this fails, the Shapes world has changed: run `python docs/examples.py`."""
    script = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "examples.py"))
    config = script["ShapesConfig"]()
    chosen = script["pick_examples"](config)
    assert [example.query for example in examples()] == [sample.query for sample in chosen]
    listed = (assets_dir() / "examples" / "candidates.txt").read_text(encoding="utf-8").splitlines()
    assert listed == script["candidates"](config, chosen)
    assert len(set(listed)) == len(listed) >= 200
