"""The Compare page: two or more checkpoints and a data set in; what differs, and one sample side by side, out."""

from typing import Any

import gradio as gr

from workbench.data.shapes import SPLITS
from workbench.errors import WorkbenchError
from workbench.render.comparison_parts import style
from workbench.ui import compare_view, compare_work
from workbench.ui.desk import SHAPES, Desk
from workbench.ui.explore import LIGHT
from workbench.ui.guard import answered, told
from workbench.ui.theme import read_script, read_style


def place_compare(desk: Desk, pages: gr.Tabs) -> None:
    """Place the page and wire it; call inside a tab. `pages` turns to it when an address asks for a comparison."""
    with gr.Row(elem_id="ts-compare"):
        with gr.Column(scale=1, min_width=250):
            inputs, start = _place_inputs(desk)
        with gr.Column(scale=5, min_width=560):
            result = _place_result(desk)
    _wire(desk, pages, inputs, start, result)


def _place_inputs(desk: Desk) -> tuple[list[Any], gr.Button]:
    names = list(desk.checkpoints)
    first = gr.Dropdown(
        names,
        value=desk.first_checkpoint,
        label="Checkpoint",
        info="The reference: others are compared with it.",
        elem_id="ts-compare-first",
    )
    others = gr.Dropdown(
        names,
        value=[name for name in names if name != desk.first_checkpoint][-1:],  # the user's own, where there is one
        label="Compare with",
        info="One or more. Start the app with --checkpoint FOLDER to offer your own.",
        multiselect=True,
        elem_id="ts-compare-others",
    )
    data = gr.Dropdown(
        list(desk.datasets),
        value=SHAPES,
        label="Data set",
        info="Start the app with --data PATH to offer your own.",
        elem_id="ts-compare-data",
    )
    with gr.Row():
        split = gr.Dropdown(
            list(SPLITS), value="test", label="Split", allow_custom_value=True, min_width=90, elem_id="ts-compare-split"
        )
        n = gr.Number(100, label="Samples", precision=0, min_width=90, elem_id="ts-compare-n")
    start = gr.Button("Compare", variant="primary", elem_id="ts-compare-start")
    return [first, others, data, split, n], start


def _place_result(desk: Desk) -> gr.HTML:
    @answered
    def look_compare(asked: dict[str, Any]) -> dict[str, Any]:
        return compare_work.look_compare(desk, asked)

    @answered
    def cancel_compare(asked: dict[str, Any]) -> dict[str, Any]:
        return compare_work.cancel_compare(desk, asked)

    @answered
    def check_address(asked: dict[str, Any]) -> dict[str, Any]:
        compare_work.check_asked(desk, compare_work.read_address(asked))
        return {}

    @answered
    def fetch_comparison(asked: dict[str, Any]) -> dict[str, Any]:
        return compare_view.fetch_comparison(desk, asked)

    @answered
    def fetch_sample(asked: dict[str, Any]) -> dict[str, Any]:
        return compare_view.fetch_sample(desk, asked)

    @answered
    def start_maps(asked: dict[str, Any]) -> dict[str, Any]:
        return compare_view.start_maps(desk, asked)

    @answered
    def look_maps(asked: dict[str, Any]) -> dict[str, Any]:
        return desk.jobs.look(asked.get("job"))

    @answered
    def cancel_maps(asked: dict[str, Any]) -> dict[str, Any]:
        desk.jobs.cancel(asked.get("job"))
        return {}

    @answered
    def save_comparison(asked: dict[str, Any]) -> dict[str, Any]:
        return compare_view.save_comparison(desk, asked)

    return gr.HTML(
        value="",
        html_template='<div class="tv-root cp" data-testid="compare"></div>',
        # Gradio nests this sheet in the component's own selector, where dark mode is an ancestor, `&` the component.
        css_template=f"{read_style('explore.css')}\n{style()}\n{read_style('compare.css')}",
        js_on_load=read_script("compare", "job.js", "asking.js"),
        server_functions=[
            look_compare,
            cancel_compare,
            check_address,
            fetch_comparison,
            fetch_sample,
            start_maps,
            look_maps,
            cancel_maps,
            save_comparison,
        ],
        apply_default_css=False,
        elem_id="ts-compare-result",
        min_height=240,
    )


def _wire(desk: Desk, pages: gr.Tabs, inputs: list[Any], start: gr.Button, result: gr.HTML) -> None:
    @told
    def begin(request: gr.Request, *values: Any) -> str:
        first, others, data, split, n = values
        asked = compare_work.CompareAsked(first=first, others=others, data=data, split=split, n=n)
        return compare_work.start_compare(desk, asked, request.session_hash)

    @told
    def arrive(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        given = {name: getattr(event, name, None) for name in ("compare", "data", "split", "n")}
        asked = compare_work.read_address(given)
        try:
            order = compare_work.check_asked(desk, asked)
        except WorkbenchError:
            # The script has asked before and shows the sentence; here only the page is turned to it.
            return gr.Tabs(selected="compare"), *[gr.skip()] * (len(inputs) + 1)
        begun = compare_work.start_compare(desk, asked, request.session_hash)
        first, *others = order.checkpoints
        return gr.Tabs(selected="compare"), first, others, order.data, order.split, order.n, begun

    # Without preprocessing what the browser sends comes as it is, and our own checks say what is wrong with it.
    start.click(begin, inputs, result, preprocess=False, trigger_mode="once", **LIGHT)
    # The address that the page was opened with names a comparison.
    result.select(arrive, None, [pages, *inputs, result], **LIGHT)
