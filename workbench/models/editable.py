"""Whether the thoughts of a checkpoint can be edited, known from its layout before any weights are read."""

from pathlib import Path

from workbench.errors import Unsupported
from workbench.models.checkpoint import find_format
from workbench.models.layout import Layout

_TWICE = ("dual_adapter", "two_pass")
"""Extractions whose think and embed tokens do not come from one pass with shared weights."""


def why_not_editable(layout: Layout, name: str) -> str | None:
    """Why thoughts of a model of this layout and name cannot be edited, as one sentence; None where they can."""
    if not layout.n_think:
        return (
            f"'{name}' has no think tokens (K = 0), so it has no thoughts to edit or audit; choose a checkpoint that thinks in "
            "latents."
        )
    if not layout.contexts:
        return f"'{name}' writes no text from its thoughts, and edits of thoughts are built for models that do."
    if layout.extraction in _TWICE:
        return (
            f"'{name}' has the extraction {layout.extraction}, and edits of thoughts are built for models whose think and embed "
            "tokens come from one pass with shared weights; its traces can be read."
        )
    return None


def check_editable(folder: Path) -> None:
    """Refuse a checkpoint whose thoughts cannot be edited, from the JSON in its folder alone.

    A folder of no known format passes, and one whose format tells its layout with the weights: loading it says what is wrong,
    and a model without the ability `Editable` is refused then.

    Raises:
        Unsupported: for thoughts that cannot be edited, or none.
        BadCheckpoint: for a layout that cannot be read.
    """
    known = find_format(folder)
    layout = None if known is None else known.layout(folder)
    if layout is not None and (reason := why_not_editable(layout, folder.name)) is not None:
        raise Unsupported(reason)
