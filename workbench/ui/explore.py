"""The Explore page: one image and one question in; the thought, what it looks at and how sure it is out."""

import html
from dataclasses import dataclass
from typing import Any

import gradio as gr

from workbench.assets import examples
from workbench.images import open_image, refer
from workbench.render.html import STYLE
from workbench.stages import Progress
from workbench.ui import attributions, handlers
from workbench.ui.controls import ProbeControl, place_controls
from workbench.ui.desk import Desk
from workbench.ui.guard import answered, told
from workbench.ui.pictures import data_uri
from workbench.ui.theme import read_script, read_style

MODEL_LANE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
"""Every event that runs a model waits in this one lane: a second run at once would only slow both down."""
LIGHT: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}

_PICK = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-example]");
  if (!button) return;
  for (const other of element.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
  trigger("select", { example: Number(button.dataset.example) });
});
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreInputs:
    """What another page fills in to open a sample here, in this order; then it presses the button."""

    image: gr.Image
    more: gr.File
    query: gr.Textbox
    checkpoint: gr.Dropdown


PRESS = "() => document.getElementById('ts-run').click()"
"""Script that presses the button, for a page that has filled in the inputs."""


def place_explore(desk: Desk) -> ExploreInputs:
    """Place the page and wire it; call inside a tab."""
    gallery = _place_examples()
    with gr.Row(elem_id="ts-explore"):
        with gr.Column(scale=2, min_width=310):
            image, query, run, more, checkpoint, hint, listed, controls = _place_inputs(desk)
        with gr.Column(scale=5, min_width=560):
            result = _place_result(desk)
    _wire_inputs(desk, gallery, image, more, query, checkpoint, hint)
    _wire_run(desk, run, query, [image, more, query, checkpoint, listed], controls, result)
    return ExploreInputs(image=image, more=more, query=query, checkpoint=checkpoint)


def _place_examples() -> gr.HTML | None:
    offered = examples()
    if not offered:
        return None
    cards = "".join(
        f'<button type="button" data-example="{number}" data-testid="example-{number}" aria-pressed="false">'
        f'<img class="ts-thumb" alt="" src="{data_uri(open_image(refer(example.image)))}"><span>{html.escape(example.query)}</span></button>'
        for number, example in enumerate(offered)
    )
    hint = '<p class="ts-hint">Examples from the Shapes world: click one to fill in its image and question.</p>'
    return gr.HTML(f'{hint}<div class="ts-examples">{cards}</div>', js_on_load=_PICK, elem_id="ts-gallery")


def _place_inputs(desk: Desk) -> tuple[Any, ...]:
    image = gr.Image(
        label="Image",
        placeholder="# Drop an image here, or click\nJPEG, PNG, WebP, GIF or BMP, up to 25 MB",
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        height=260,
        elem_id="ts-image",
    )
    query = gr.Textbox(
        label="Question",
        info="What the model is asked about the image. Enter starts it, Shift and Enter begins a new line.",
        placeholder="What is at the top left?",
        lines=1,
        max_lines=6,
        elem_id="ts-query",
    )
    run = gr.Button("Read the thought", variant="primary", elem_id="ts-run")
    names = list(desk.checkpoints)
    checkpoint = gr.Dropdown(
        names,
        value=desk.first_checkpoint,
        label="Checkpoint",
        info="Which trained model reads it. Start the app with a folder to offer your own.",
        elem_id="ts-checkpoint",
    )
    hint = gr.HTML()
    with gr.Accordion("Candidates", open=False):
        listed = gr.Textbox(
            label="Texts to rank, one a line",
            info=f"The embedding is compared with each. Left empty, {len(desk.default_candidates)} Shapes texts are used.",
            lines=4,
            max_lines=10,
            elem_id="ts-candidates",
        )
    with gr.Accordion("More images", open=False):
        more = gr.File(label="Further images of the same question, at most three", file_count="multiple", height=120)
    with gr.Accordion("Settings of the measurements", open=False):
        controls = place_controls()
    return image, query, run, more, checkpoint, hint, listed, controls


def _place_result(desk: Desk) -> gr.HTML:
    @answered
    def head_maps(asked: dict[str, Any]) -> dict[str, Any]:
        return handlers.fetch_head(desk, asked)

    @answered
    def export_file(asked: dict[str, Any]) -> dict[str, Any]:
        return handlers.export_file(desk, asked)

    @answered
    def start_attribution(asked: dict[str, Any]) -> dict[str, Any]:
        return attributions.start_attribution(desk, asked)

    @answered
    def look_attribution(asked: dict[str, Any]) -> dict[str, Any]:
        return desk.jobs.look(asked.get("job"))

    @answered
    def cancel_attribution(asked: dict[str, Any]) -> dict[str, Any]:
        desk.jobs.cancel(asked.get("job"))
        return {}

    @answered
    def export_explanation(asked: dict[str, Any]) -> dict[str, Any]:
        return attributions.export_explanation(desk, asked)

    return gr.HTML(
        value="",
        html_template='<div class="tv-root" data-testid="result"></div>',
        # Gradio nests this sheet in the component's own selector, where dark mode is an ancestor, `&` the component.
        css_template=f"{read_style('explore.css')}\n{STYLE.replace('.dark .ts', '.dark & .ts')}",
        js_on_load=read_script("explore", "asking.js"),
        server_functions=[
            head_maps,
            export_file,
            start_attribution,
            look_attribution,
            cancel_attribution,
            export_explanation,
        ],
        apply_default_css=False,
        elem_id="ts-result",
        min_height=240,
    )


def _wire_inputs(
    desk: Desk,
    gallery: gr.HTML | None,
    image: gr.Image,
    more: gr.File,
    query: gr.Textbox,
    checkpoint: gr.Dropdown,
    hint: gr.HTML,
) -> None:
    @told
    def pick(event: gr.EventData) -> tuple[str | None, str]:
        return handlers.pick_example(getattr(event, "example", None))

    @told
    def describe(name: str | None) -> str:
        return handlers.describe_checkpoint(desk, name)

    @told
    def check(request: gr.Request, given: dict[str, Any] | list[dict[str, Any]] | None) -> None:
        handlers.accept(desk, given if isinstance(given, list) else [given] if given else [], request.session_hash)

    if gallery is not None:
        gallery.select(pick, None, [image, query], **LIGHT)
    # Without preprocessing Gradio hands over where the file lies, and our own checks come before any decoding.
    for box in (image, more):
        box.upload(check, box, None, preprocess=False, **LIGHT).failure(lambda: None, None, box, **LIGHT)
    if desk.first_checkpoint is not None:
        hint.value = handlers.describe_checkpoint(desk, desk.first_checkpoint)
    checkpoint.change(describe, checkpoint, hint, preprocess=False, **LIGHT)


def _wire_run(
    desk: Desk,
    run: gr.Button,
    query: gr.Textbox,
    inputs: list[Any],
    controls: tuple[ProbeControl, ...],
    result: gr.HTML,
) -> None:
    names = [(control.probe, control.parameter) for control in controls]

    @told
    def read(
        image: dict[str, Any] | None,
        more: list[dict[str, Any]] | None,
        text: str | None,
        checkpoint: str | None,
        listed: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio finds the bar by this default
        *settings: Any,
    ) -> str:
        asked = handlers.Asked(
            image=image,
            more=more or [],
            query=text or "",
            checkpoint=checkpoint,
            listed=listed or "",
        )
        return handlers.read_thought(desk, asked, names, settings, told_to(progress))

    gr.on(
        [run.click, query.submit],
        read,
        [*inputs, *(control.component for control in controls)],
        result,
        preprocess=False,
        trigger_mode="once",
        api_visibility="private",
        show_progress="full",
        **MODEL_LANE,
    )


def told_to(bar: gr.Progress) -> Progress:
    """The runner's progress, shown on Gradio's bar."""

    def tell(done: float, message: str) -> None:
        bar(done, desc=message)

    return tell
