"""The app: places the pages that are built, and says how it is served. It knows no page's inside."""

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from workbench.assets import assets_dir, examples
from workbench.errors import WorkbenchError
from workbench.render.static import read_static
from workbench.runner import Session
from workbench.samples import make_sample
from workbench.ui.audit_page import place_audit
from workbench.ui.compare_page import place_compare
from workbench.ui.desk import Desk
from workbench.ui.explore import place_explore
from workbench.ui.export_page import place_export
from workbench.ui.map_page import place_map
from workbench.ui.theme import make_theme, read_style

MAX_UPLOAD = "500mb"
"""Of a zip to export. A single image may have as much as `workbench.images` opens, which is less."""
_CACHE = (3600, 86400)
"""Every hour, files older than a day go: what a crash left behind. Uploads of a closed tab go at once."""
_HEADER = """
<h1>Thinkscope</h1>
<p>Some embedding models think before they embed, in hidden states instead of words. Thinkscope reads those states back
as text, shows what they look at in the image, and says how far the text can be trusted.</p>
<p class="ts-notice">The bundled models were trained only on Shapes, a small world of coloured shapes. Other images run too,
but their thoughts will be nonsense.</p>
"""
_log = logging.getLogger(__name__)


def build_app(desk: Desk) -> gr.Blocks:
    """Build the pages over one desk."""

    def leave(request: gr.Request) -> None:
        desk.uploads.release(request.session_hash)
        desk.maps.release(request.session_hash)
        desk.exports.leave(request.session_hash)
        desk.zips.leave(request.session_hash)
        desk.comparisons.leave(request.session_hash)
        desk.audits.leave(request.session_hash)

    def turn(request: gr.Request) -> Any:
        # A page that is not shown does not run, so the one that an address names is shown first; it reads the rest itself.
        return gr.Tabs(selected="compare") if "compare" in request.query_params else gr.skip()

    with gr.Blocks(title="Thinkscope", analytics_enabled=False, fill_width=True, delete_cache=_CACHE) as app:
        gr.HTML(_HEADER, elem_id="ts-header")
        with gr.Tabs() as pages:
            with gr.Tab("Explore", id="explore"):
                explore = place_explore(desk)
            with gr.Tab("Map", id="map"):
                offered = place_map(desk, pages, explore)
            with gr.Tab("Compare", id="compare"):
                place_compare(desk, pages)
            with gr.Tab("Audit", id="audit"):
                place_audit(desk)
            # Placed at once, though hidden: a page that is loaded again finds its export before somebody looks for it.
            with gr.Tab("Export", id="export", render_children=True):
                place_export(desk, offered)
        app.load(turn, None, pages, queue=False, show_progress="hidden", api_visibility="private")
        app.unload(leave)
    app.queue(max_size=32)
    return app


def serve(
    folders: Sequence[Path] = (),
    *,
    data: Sequence[str] = (),
    session: Session | None = None,
    host: str = "127.0.0.1",
    port: int | None = 7860,
    block: bool = True,
) -> tuple[gr.Blocks, str]:
    """Start the app and load the first checkpoint in the background; returns the app and its address when not blocking.

    Args:
        folders: checkpoint folders offered beside the bundled ones.
        data: data sets offered beside Shapes, each as `find_reader` takes it.
        session: runs the models; a new one when not given.
        host: address to listen on.
        port: None takes the first free one from 7860 on.
        block: wait until interrupted.

    Raises:
        BadCheckpoint: for a folder that is no checkpoint.
        BadInput: for data that no reader takes.
        OSError: when the port is taken.
    """
    desk = Desk(session or Session(), folders, data=data, upload_folder=Path(get_upload_folder()))
    app = build_app(desk)
    _, address, _ = app.launch(
        server_name=host, server_port=port, prevent_thread_lock=True, quiet=True, **launch_options()
    )
    threading.Thread(target=warm, args=(desk,), name="warm", daemon=True).start()
    if block:
        app.block_thread()
    return app, address


def launch_options() -> dict[str, Any]:
    """How the app is served: to this machine only, without history, telemetry or anything fetched from outside."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    return {
        "share": False,
        "strict_cors": True,
        "max_file_size": MAX_UPLOAD,
        "allowed_paths": [str(assets_dir() / "examples")],
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": ["gradio"],
        "ssr_mode": False,
        "show_error": False,
        "state_session_capacity": 200,
        "theme": make_theme(),
        "css": f"{read_style('page.css')}\n{read_static('fade.css')}",
    }


def warm(desk: Desk) -> None:
    """Load the first checkpoint and ask it the first example, so that the first click is as fast as any other."""
    offered = examples()
    if desk.first_checkpoint is None or not offered:
        return
    try:
        sample = make_sample([offered[0].image], offered[0].query)
        desk.session.inspect(sample, checkpoint=desk.path_of(desk.first_checkpoint), candidates=desk.default_candidates)
    except WorkbenchError as error:
        # Not hidden: the first click on the page meets the same error and shows it.
        _log.warning("The checkpoint could not be loaded ahead: %s", error)
