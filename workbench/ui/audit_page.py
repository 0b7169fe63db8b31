"""The Audit page: a checkpoint and a data set in; whether its think tokens do anything, out."""

from typing import Any

import gradio as gr

from workbench.data.shapes import SPLITS
from workbench.render.audit_parts import style
from workbench.ui import audit_work
from workbench.ui.desk import SHAPES, Desk
from workbench.ui.explore import LIGHT
from workbench.ui.guard import answered, told
from workbench.ui.theme import read_script, read_style


def place_audit(desk: Desk) -> None:
    """Place the page and wire it; call inside a tab."""
    with gr.Row(elem_id="ts-audit"):
        with gr.Column(scale=1, min_width=250):
            inputs, start = _place_inputs(desk)
        with gr.Column(scale=5, min_width=560):
            result = _place_result(desk)

    @told
    def begin(request: gr.Request, *values: Any) -> str:
        return audit_work.start_audit(desk, audit_work.check_asked(desk, *values), request.session_hash)

    # Without preprocessing what the browser sends comes as it is, and our own checks say what is wrong with it.
    start.click(begin, inputs, result, preprocess=False, trigger_mode="once", **LIGHT)


def _place_inputs(desk: Desk) -> tuple[list[Any], gr.Button]:
    checkpoint = gr.Dropdown(
        list(desk.checkpoints),
        value=desk.first_checkpoint,
        label="Checkpoint",
        info="Start the app with --checkpoint FOLDER to offer your own.",
        elem_id="ts-audit-checkpoint",
    )
    data = gr.Dropdown(
        list(desk.datasets),
        value=SHAPES,
        label="Data set",
        info="Start the app with --data PATH to offer your own.",
        elem_id="ts-audit-data",
    )
    with gr.Row():
        split = gr.Dropdown(
            list(SPLITS), value="test", label="Split", allow_custom_value=True, min_width=90, elem_id="ts-audit-split"
        )
        n = gr.Number(100, label="Samples", precision=0, min_width=90, elem_id="ts-audit-n")
        seed = gr.Number(0, label="Seed", precision=0, min_width=70, elem_id="ts-audit-seed")
    start = gr.Button("Audit", variant="primary", elem_id="ts-audit-start")
    return [checkpoint, data, split, n, seed], start


def _place_result(desk: Desk) -> gr.HTML:
    @answered
    def look_audit(asked: dict[str, Any]) -> dict[str, Any]:
        return audit_work.look_audit(desk, asked)

    @answered
    def cancel_audit(asked: dict[str, Any]) -> dict[str, Any]:
        return audit_work.cancel_audit(desk, asked)

    @answered
    def fetch_audit(asked: dict[str, Any]) -> dict[str, Any]:
        return audit_work.fetch_audit(desk, asked)

    @answered
    def save_audit(asked: dict[str, Any]) -> dict[str, Any]:
        return audit_work.save_audit(desk, asked)

    return gr.HTML(
        value="",
        html_template='<div class="tv-root cp" data-testid="audit"></div>',
        # Gradio nests this sheet in the component's own selector, where dark mode is an ancestor, `&` the component.
        css_template=f"{read_style('explore.css')}\n{style()}",
        js_on_load=read_script("audit", "job.js"),
        server_functions=[look_audit, cancel_audit, fetch_audit, save_audit],
        apply_default_css=False,
        elem_id="ts-audit-result",
        min_height=240,
    )
