"""The Map page: a data set in; its thoughts or embeddings laid out on a map that answers questions out."""

from typing import Any

import gradio as gr

from workbench.data.shapes import SPLITS
from workbench.render.map_html import script, style
from workbench.ui import map_handlers, map_work
from workbench.ui.desk import SHAPES, Desk
from workbench.ui.explore import LIGHT, PRESS, ExploreInputs
from workbench.ui.guard import answered, told
from workbench.ui.theme import read_script

_OF = [
    ("Thoughts, step by step", "thoughts"),
    ("Thoughts, averaged", "pooled-thoughts"),
    ("Embeddings", "embedding"),
]


def place_map(desk: Desk, pages: gr.Tabs, explore: ExploreInputs) -> gr.Dropdown:
    """Place the page and wire it; call inside a tab. `pages` and `explore` are where a sample is opened.

    Returns where the data sets are offered.
    """
    with gr.Row(elem_id="ts-map"):
        with gr.Column(scale=1, min_width=250):
            inputs, draw = _place_inputs(desk)
        with gr.Column(scale=5, min_width=560):
            result = _place_map(desk)
    _wire_draw(desk, draw, inputs, result)
    _wire_open(desk, pages, explore, result)
    return inputs[2]


def _place_inputs(desk: Desk) -> tuple[list[Any], gr.Button]:
    names = list(desk.checkpoints)
    data = gr.Dropdown(
        list(desk.datasets),
        value=SHAPES,
        label="Data set",
        info="For your own, upload a zip on the page Export, or start the app with --data PATH.",
        elem_id="ts-map-data",
    )
    with gr.Row():
        split = gr.Dropdown(
            list(SPLITS), value="test", label="Split", allow_custom_value=True, min_width=90, elem_id="ts-map-split"
        )
        n = gr.Number(300, label="Samples", precision=0, min_width=90, elem_id="ts-map-n")
    checkpoint = gr.Dropdown(names, value=desk.first_checkpoint, label="Checkpoint", elem_id="ts-map-checkpoint")
    of = gr.Dropdown(
        _OF,
        value="thoughts",
        label="What is laid out",
        info="Step by step: a point for every think token; else one for every sample.",
        elem_id="ts-map-of",
    )
    draw = gr.Button("Draw the map", variant="primary", elem_id="ts-map-draw")
    with gr.Accordion("More settings", open=False):
        second = gr.Dropdown(
            [("none", ""), *((name, name) for name in names)],
            value="",
            label="Compare with",
            info="A second checkpoint on the same map, with lines between the two places of a sample.",
            elem_id="ts-map-second",
        )
        # No `gr.Number`: Gradio 6.31 turns an empty one into 0 as soon as it is seen.
        layer = gr.Textbox(
            "", label="Layer", info="Counted from 0; empty for the last.", max_lines=1, elem_id="ts-map-layer"
        )
        projection = gr.Radio(
            [("UMAP, after PCA", "umap"), ("PCA alone", "pca")], value="umap", label="Projection", elem_id="ts-map-how"
        )
        neighbours = gr.Slider(
            2, 100, 15, step=1, label="Neighbours", info="Few show detail, many the whole.", elem_id="ts-map-neighbours"
        )
    # A zip has one part only.
    data.change(
        lambda name: gr.Dropdown(interactive=str(name) in desk.datasets), data, split, preprocess=False, **LIGHT
    )
    return [checkpoint, second, data, split, n, of, layer, neighbours, projection], draw


def _place_map(desk: Desk) -> gr.HTML:
    @answered
    def fetch_engine(asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        return map_handlers.fetch_engine()

    @answered
    def look_map(asked: dict[str, Any]) -> dict[str, Any]:
        return map_work.look_map(desk, asked)

    @answered
    def cancel_map(asked: dict[str, Any]) -> dict[str, Any]:
        desk.jobs.cancel(asked.get("job"))
        return {}

    @answered
    def fetch_map(asked: dict[str, Any]) -> dict[str, Any]:
        return map_handlers.fetch_map(desk, asked)

    @answered
    def fetch_samples(asked: dict[str, Any]) -> dict[str, Any]:
        return map_handlers.fetch_samples(desk, asked)

    @answered
    def find_inside(asked: dict[str, Any]) -> dict[str, Any]:
        return map_handlers.find_inside(desk, asked)

    @answered
    def find_text(asked: dict[str, Any]) -> dict[str, Any]:
        return map_handlers.find_text(desk, asked)

    @answered
    def fetch_near(asked: dict[str, Any]) -> dict[str, Any]:
        return map_handlers.fetch_near(desk, asked)

    @answered
    def save_map(asked: dict[str, Any]) -> dict[str, Any]:
        return map_handlers.save_map(desk, asked)

    return gr.HTML(
        value="",
        html_template='<div class="mp-root" data-testid="map"></div>',
        # Gradio nests this sheet in the component's own selector, where dark mode is an ancestor, `&` the component.
        css_template=style(dark=".dark &"),
        js_on_load=f"{script()}\n{read_script('map', shared=False)}",
        server_functions=[
            fetch_engine,
            look_map,
            cancel_map,
            fetch_map,
            fetch_samples,
            find_inside,
            find_text,
            fetch_near,
            save_map,
        ],
        apply_default_css=False,
        elem_id="ts-map-result",
        min_height=240,
    )


def _wire_draw(desk: Desk, draw: gr.Button, inputs: list[Any], result: gr.HTML) -> None:
    @told
    def start(request: gr.Request, *values: Any) -> str:
        checkpoint, second, data, split, n, of, layer, neighbours, projection = values
        asked = map_work.MapAsked(
            checkpoint=checkpoint,
            second=second,
            data=data,
            split=split,
            n=n,
            of=of,
            layer=layer,
            neighbours=neighbours,
            projection=projection,
        )
        return map_work.start_map(desk, asked, request.session_hash)

    # Without preprocessing what the browser sends comes as it is, and our own checks say what is wrong with it.
    draw.click(start, inputs, result, preprocess=False, trigger_mode="once", **LIGHT)


def _wire_open(desk: Desk, pages: gr.Tabs, explore: ExploreInputs, result: gr.HTML) -> None:
    @told
    def open_sample(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        asked = {name: getattr(event, name, None) for name in ("map", "sample", "checkpoint")}
        images, query, checkpoint = map_handlers.open_sample(desk, asked, request.session_hash)
        first = images[0] if images else None
        return gr.Tabs(selected="explore"), first, images[1:] or None, query, checkpoint

    filled = [pages, explore.image, explore.more, explore.query, explore.checkpoint]
    result.select(open_sample, None, filled, **LIGHT).success(None, None, None, js=PRESS, api_visibility="private")
