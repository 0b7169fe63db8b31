"""Panels as interactive plotly figures, for pages that can show them. Plotly is imported when a figure is asked for."""

from typing import TYPE_CHECKING, assert_never

from workbench.errors import MissingExtra
from workbench.render import values
from workbench.render.svg import PALETTE
from workbench.types import Measure, ProbeResult
from workbench.views import Bars, Heatmap, Lines, Scatter

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Charted = Lines | Bars | Scatter | Heatmap
"""The panels that plotly draws; the others are words, tables and pictures."""


def figure(panel: Charted, result: ProbeResult) -> "Figure":
    """Draw one panel as a figure with a see-through background. Raises MissingExtra when plotly is not installed."""
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise MissingExtra("Interactive charts need plotly, which is not installed: pip install plotly") from error

    measure = result.measure(panel.measure)
    drawn = graph_objects.Figure()
    match panel:
        case Lines() | Bars():
            drawn.add_traces(_series(panel, measure))
            drawn.update_layout(barmode="group", xaxis_title=panel.x, yaxis_title=measure.units)
        case Scatter():
            found = values.points(measure, panel, result)
            drawn.add_traces(_points(found))
            drawn.update_layout(xaxis_title=found.axes[0], yaxis_title=found.axes[1])
        case Heatmap():
            drawn.add_trace(_heatmap(panel, measure, result))
            drawn.update_layout(xaxis_title=panel.cols, yaxis={"title": panel.rows, "autorange": "reversed"})
        case _:
            assert_never(panel)
    drawn.update_layout(
        title=_plain(panel.title),
        colorway=list(PALETTE),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 50, "r": 10, "t": 40, "b": 40},
    )
    return drawn


def _series(panel: Lines | Bars, measure: Measure) -> list[dict[str, object]]:
    found = values.series(measure, panel)
    kind = {"type": "bar"} if isinstance(panel, Bars) else {"type": "scatter", "mode": "lines+markers"}
    return [
        {**kind, "x": [_plain(x) for x in found.x], "y": line.tolist(), "name": _plain(name), "showlegend": bool(name)}
        for name, line in zip(found.names, found.values, strict=True)
    ]


def _points(found: values.Points) -> list[dict[str, object]]:
    traces = []
    for group in dict.fromkeys(found.groups):
        members = [i for i, other in enumerate(found.groups) if other == group]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": found.places[members, 0].tolist(),
                "y": found.places[members, 1].tolist(),
                "text": [_plain(found.names[i]) for i in members],
                "name": _plain(group),
                "showlegend": bool(group),
            }
        )
    return traces


def _heatmap(panel: Heatmap, measure: Measure, result: ProbeResult) -> dict[str, object]:
    low, high = values.limits(measure)
    words = None if panel.words is None else values.matrix(result.measure(panel.words), panel.rows, panel.cols)
    return {
        "type": "heatmap",
        "z": values.matrix(measure, panel.rows, panel.cols).tolist(),
        "x": [_plain(name) for name in values.labels(measure, panel.cols)],
        "y": [_plain(name) for name in values.labels(measure, panel.rows)],
        "text": None if words is None else [[_plain(values.token(word)) for word in row] for row in words],
        "texttemplate": None if words is None else "%{text}",
        "zmin": low,
        "zmax": high,
        "colorscale": "RdBu_r" if measure.signed else "Viridis",
        "colorbar": {"title": {"text": measure.units}},
    }


def _plain(text: str) -> str:
    # Plotly reads a few tags in every text, links among them, and decoded text is untrusted.
    return values.printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
