"""What happens when somebody clicks on the Explore page: plain functions from values to values."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.assets import CheckpointCard, examples, read_card
from workbench.errors import BadCheckpoint, BadInput
from workbench.evaluation.card_words import way
from workbench.images import refer
from workbench.models.layout import Layout
from workbench.samples import Candidate, make_sample, text_candidates
from workbench.stages import Progress
from workbench.types import ImageRef
from workbench.ui.attributions import offer
from workbench.ui.controls import probes_from
from workbench.ui.desk import Desk
from workbench.ui.payload import head_planes, to_json

MAX_IMAGES = 4
_CONTENT_TYPES = {"json": "application/json", "html": "text/html"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What stands in the input column when the button is pressed, as the browser sent it."""

    image: Mapping[str, Any] | None
    """The main upload as Gradio describes a file."""
    more: Sequence[Mapping[str, Any]] = ()
    query: str = ""
    checkpoint: str | None = None
    """A name that the page offered."""
    listed: str = ""
    """Candidates, one a line; empty takes the shipped ones."""


def read_thought(
    desk: Desk, asked: Asked, controls: Sequence[tuple[str, str]], settings: Sequence[Any], progress: Progress
) -> str:
    """Inspect what was given and describe the result for the page.

    Args:
        desk: the app's session and shelf.
        asked: the inputs.
        controls: (probe, parameter) of each entry of `settings`.
        settings: values of the probes' controls.
        progress: is told how far it has come.

    Raises:
        WorkbenchError: when something cannot be used as given.
    """
    files = ([asked.image] if asked.image else []) + list(asked.more)
    if len(files) > MAX_IMAGES:
        raise BadInput(f"{len(files)} images were given, but the page takes at most {MAX_IMAGES}; remove some.")
    if not asked.query.strip():
        raise BadInput("The question is empty; type what you want to know about the image, or pick an example.")
    sample = make_sample([open_upload(desk, file) for file in files], asked.query)
    candidates, source = _candidates(desk, asked.listed)
    checkpoint = desk.path_of(asked.checkpoint)
    inspection = desk.session.inspect(
        sample,
        checkpoint=checkpoint,
        probes=probes_from(controls, settings),
        candidates=candidates,
        progress=progress,
    )
    methods = offer(inspection, desk.session.model(checkpoint))
    return to_json(inspection, desk.shelf.put(inspection), candidates_from=source, attribution=methods)


def accept(desk: Desk, files: Sequence[Mapping[str, Any]], tab: str | None) -> None:
    """Look at uploads as soon as they arrive: a bad one is refused before anything is typed, all go with their tab.

    Raises BadInput for the first that is no image that may be opened.
    """
    for file in files:
        desk.uploads.hold(tab, str(file.get("path")))
    for file in files:
        open_upload(desk, file)


def open_upload(desk: Desk, file: Mapping[str, Any]) -> ImageRef:
    """Check an uploaded file. Raises BadInput when it is no image that may be opened."""
    path = file.get("path")
    # The path comes from the browser, and without its type mark Gradio 6.31 lets any path pass.
    if not isinstance(path, str) or not desk.uploads.contains(Path(path)) or not Path(path).is_file():
        raise BadInput("The uploaded image is no longer here; give it again.")
    return refer(Path(path), name=str(file.get("orig_name") or Path(path).name))


def pick_example(name: object) -> tuple[str | None, str]:
    """Image path and question of a bundled example. Raises BadInput for a number that was not offered."""
    offered = examples()
    if not isinstance(name, int) or not 0 <= name < len(offered):
        raise BadInput("There is no such example; reload the page.")
    return str(offered[name].image), offered[name].query


def describe_checkpoint(desk: Desk, name: str | None) -> str:
    """One line about the chosen checkpoint, as HTML."""
    card = read_card(Path(desk.path_of(name)))
    parts = (card.description, _way(card), f"Trained on: {card.knows}" if card.knows else "")
    about = " ".join(filter(None, parts))
    return f"<p class='ts-hint'>{html.escape(about or 'Its files do not say what it is.')}</p>"


def export_file(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON or HTML file of a shown result, for the browser to save."""
    from workbench.export.documents import inspection_html, inspection_json

    inspection, kind = desk.shelf.get(asked.get("id")), asked.get("kind")
    if kind not in _CONTENT_TYPES:
        raise BadInput("A result is saved as 'json' or 'html'.")
    text = (
        inspection_html(inspection) if kind == "html" else json.dumps(inspection_json(inspection), ensure_ascii=False)
    )
    return {"text": text, "type": _CONTENT_TYPES[kind], "name": f"thinkscope-{asked['id']}.{kind}"}


def fetch_head(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Maps of one head of a shown result, for models whose heads are too many to send along."""
    inspection, head = desk.shelf.get(asked.get("id")), asked.get("head")
    n_heads = inspection.trace.attention.shape[1]
    if not isinstance(head, int) or not 0 <= head < n_heads:
        raise BadInput(f"There is no such head; this model has {n_heads}.")
    return {"planes": head_planes(inspection, head)}


def _way(card: CheckpointCard) -> str:
    """How the checkpoint comes to its embedding; empty where its files do not say, or not in a form that can be read."""
    try:
        layout = Layout.from_json(card.layout)
    except BadCheckpoint:
        return ""  # whoever loads it is told what is wrong
    return f"A model {way(layout.to_json())}"


def _candidates(desk: Desk, listed: str) -> tuple[Sequence[Candidate], str]:
    if listed.strip():
        return text_candidates(listed.splitlines()), " of your list"
    return desk.default_candidates, " of the Shapes world"
