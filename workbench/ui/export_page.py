"""The Export page: a data set in; the decoded thought of every row out, as files to download."""

import html
from typing import Any

import gradio as gr

from workbench.data.shapes import SPLITS
from workbench.data.unpacking import MAX_FILES, MAX_UNPACKED
from workbench.ui import export_asked, export_view, export_work
from workbench.ui.desk import SHAPES, Desk
from workbench.ui.explore import LIGHT
from workbench.ui.guard import answered, told
from workbench.ui.theme import read_script, read_style

N_SHAPES = 100
_EXTRAS = [
    ("Latents: hidden states of the think tokens", "latents"),
    ("Embedding of the sample", "embedding"),
    ("Attention over the image", "attention"),
    ("Logit lens: words of every layer", "lens"),
    ("Knock-out: what hiding a think token changes", "knockout"),
]


def place_export(desk: Desk, offered: gr.Dropdown) -> None:
    """Place the page and wire it; call inside a tab. `offered` is where the page Map offers data sets."""
    with gr.Row(elem_id="ts-export"):
        with gr.Column(scale=2, min_width=310):
            upload, hint, inputs, start = _place_inputs(desk)
        with gr.Column(scale=5, min_width=560):
            result = _place_result(desk)
    _wire_upload(desk, upload, hint, inputs, offered)
    _wire_start(desk, start, inputs, result)


def _place_inputs(desk: Desk) -> tuple[gr.File, gr.HTML, list[Any], gr.Button]:
    data = gr.Dropdown(
        list(desk.datasets),
        value=SHAPES,
        label="Data set",
        info="Start the app with --data PATH to offer your own, or upload a zip.",
        elem_id="ts-export-data",
    )
    split = gr.Dropdown(list(SPLITS), value="test", label="Split", allow_custom_value=True, elem_id="ts-export-split")
    upload = gr.File(
        label="Or a zip: images with CSV or JSONL",
        file_types=[".zip"],
        height=190,
        elem_id="ts-export-zip",
    )
    hint = gr.HTML(_about_zip(), elem_id="ts-export-hint")
    n = gr.Number(
        100, label="Rows", info="The first so many; empty for all of them.", precision=0, elem_id="ts-export-n"
    )
    checkpoint = gr.Dropdown(
        list(desk.checkpoints), value=desk.first_checkpoint, label="Checkpoint", elem_id="ts-export-checkpoint"
    )
    with gr.Accordion("What else is written", open=False):
        extras = gr.CheckboxGroup(_EXTRAS, label="Beside the thoughts", elem_id="ts-export-extras")
        parquet = gr.Checkbox(label="Parquet too", info="One flat row for each sample.", elem_id="ts-export-parquet")
    start = gr.Button("Export the thoughts", variant="primary", elem_id="ts-export-start")
    return upload, hint, [checkpoint, data, split, upload, n, extras, parquet], start


def _place_result(desk: Desk) -> gr.HTML:
    @answered
    def look_export(asked: dict[str, Any]) -> dict[str, Any]:
        return export_work.look_export(desk, asked.get("export"))

    @answered
    def cancel_export(asked: dict[str, Any]) -> dict[str, Any]:
        return export_work.cancel_export(desk, asked.get("export"))

    @answered
    def resume_export(asked: dict[str, Any]) -> dict[str, Any]:
        return export_work.resume_export(desk, asked.get("export"))

    @answered
    def make_file(asked: dict[str, Any]) -> dict[str, Any]:
        return export_view.make_file(desk.exports.get(asked.get("export")), asked.get("kind"))

    return gr.HTML(
        value="",
        html_template='<div class="tv-root" data-testid="export"></div>',
        # Gradio nests this sheet in the component's own selector, where dark mode is an ancestor, `&` the component.
        css_template=f"{read_style('explore.css')}\n{read_style('export.css')}",
        js_on_load=read_script("export"),
        server_functions=[look_export, cancel_export, resume_export, make_file],
        apply_default_css=False,
        elem_id="ts-export-result",
        min_height=240,
    )


def _wire_upload(desk: Desk, upload: gr.File, hint: gr.HTML, inputs: list[Any], offered: gr.Dropdown) -> None:
    _, data, split, _, n, *_ = inputs

    @told
    def check(request: gr.Request, file: dict[str, Any] | None) -> tuple[str, Any, Any, None, Any]:
        said = export_asked.check_upload(desk, file, request.session_hash)
        offers = gr.Dropdown(choices=desk.offers(request.session_hash))
        return f"<p class='ts-hint'>{html.escape(said)}</p>", *_usable(False), None, offers

    def offer() -> tuple[str, Any, Any, int]:
        return _about_zip(), *_usable(True), N_SHAPES

    filled = [hint, data, split, n]
    # Without preprocessing Gradio hands over where the file lies, and our own checks come before any unpacking.
    checked = upload.upload(check, upload, [*filled, offered], preprocess=False, **LIGHT)
    checked.failure(lambda: (None, *offer()), None, [upload, *filled], **LIGHT)
    upload.clear(offer, None, filled, **LIGHT)


def _wire_start(desk: Desk, start: gr.Button, inputs: list[Any], result: gr.HTML) -> None:
    @told
    def begin(request: gr.Request, *values: Any) -> str:
        checkpoint, data, split, upload, n, extras, parquet = values
        asked = export_asked.ExportAsked(
            checkpoint=checkpoint, data=data, split=split, upload=upload, n=n, extras=extras or (), parquet=parquet
        )
        return export_work.start_export(desk, asked, request.session_hash).key

    @told
    def adopt(event: gr.EventData, request: gr.Request) -> None:
        desk.exports.adopt(getattr(event, "export", None), request.session_hash)

    # Without preprocessing what the browser sends comes as it is, and our own checks say what is wrong with it.
    start.click(begin, inputs, result, preprocess=False, trigger_mode="once", **LIGHT)
    # The page was loaded again and remembers its export.
    result.select(adopt, None, None, **LIGHT)


def _usable(yes: bool) -> tuple[gr.Dropdown, gr.Dropdown]:
    """Data set and split, which a zip stands in for."""
    return gr.Dropdown(interactive=yes), gr.Dropdown(interactive=yes)


def _about_zip() -> str:
    return (
        "<p class='ts-hint'>Columns of the table: <code>query</code> and <code>image</code> (a path in the zip), if you like "
        f"<code>id</code>. Up to {MAX_FILES:,} files and {MAX_UNPACKED // 2**30} GB unpacked.</p>"
    )
