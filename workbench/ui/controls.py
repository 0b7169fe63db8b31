"""Probe parameters as controls: a choice is a dropdown, a yes or no a checkbox, a range a slider, any other a field."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from workbench.probe import Parameter, Probe, build, parameters, traced_probes

_ON_THE_FIGURE = ("attention",)
"""Probes whose parameters the heatmap's own controls stand for, without asking the server again."""
_SLIDER_SPAN = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeControl:
    """A control on the page and the parameter that it sets."""

    probe: str
    parameter: str
    component: Component


def place_controls() -> tuple[ProbeControl, ...]:
    """Place the controls of every registered probe, one group each; call inside a Blocks context."""
    placed: list[ProbeControl] = []
    for name, probe in traced_probes().items():
        offered = () if name in _ON_THE_FIGURE else parameters(probe)
        if offered:
            gr.Markdown(f"**{probe.title}**")
        for parameter in offered:
            placed.append(ProbeControl(probe=name, parameter=parameter.name, component=control_for(parameter)))
    return tuple(placed)


def control_for(parameter: Parameter) -> Component:
    """The control that fits a parameter's type."""
    label, help_ = parameter.name.replace("_", " "), parameter.control.help
    low, high = parameter.control.low, parameter.control.high
    if parameter.choices:
        return gr.Dropdown(list(parameter.choices), value=parameter.default, label=label, info=help_)
    if parameter.type is bool:
        return gr.Checkbox(value=parameter.default, label=label, info=help_)
    if parameter.type is str:
        return gr.Textbox(value=parameter.default, label=label, info=help_)
    whole = parameter.type is int
    if low is not None and high is not None and high - low <= _SLIDER_SPAN:
        return gr.Slider(low, high, value=parameter.default, step=1 if whole else 0.05, label=label, info=help_)
    return gr.Number(
        value=parameter.default, precision=0 if whole else None, minimum=low, maximum=high, label=label, info=help_
    )


def probes_from(controls: Sequence[tuple[str, str]], values: Sequence[Any]) -> tuple[Probe, ...]:
    """Build every registered probe from what the controls say.

    Args:
        controls: (probe, parameter) of each control.
        values: what each control holds, as the browser sent it.

    Raises:
        WorkbenchError: for a value out of range.
    """
    probes = traced_probes()
    given: dict[str, dict[str, Any]] = {name: {} for name in probes}
    kinds = {name: {p.name: p for p in parameters(probe)} for name, probe in probes.items()}
    for (probe, parameter), value in zip(controls, values, strict=True):
        given[probe][parameter] = typed(kinds[probe][parameter], value)
    return tuple(build(probes[name], chosen) for name, chosen in given.items())


def typed(parameter: Parameter, value: Any) -> Any:
    """A value of a parameter as the browser sent it, in the parameter's own type; other kinds of value stay as they are."""
    # Browsers know one kind of number: 5 may come back as 5.0, and must not make another cache key.
    if parameter.type is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if parameter.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
