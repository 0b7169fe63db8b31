"""Attention of the think tokens seen two further ways: on the patches behind the tokens, and beside a generic prompt."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal, final

import numpy as np
from jaxtyping import Float

from workbench.attention_rows import grid_measure, image_positions, reduced_rows, row_names
from workbench.embedder import ComposesVision, Keep
from workbench.errors import BadInput, Unsupported
from workbench.probe import Control, ModelProbe, Subject, register_probe
from workbench.types import Check, Measure, PatchGrid, ProbeResult, Trace
from workbench.views import Note, Overlay, Panel

_KEPT = 1e-3
_ALIKE = 0.02
_FLOOR = 0.1
"""Shares below a tenth of an even share count as that: a ratio of two rounding errors would outshine everything."""


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionViews(ModelProbe):
    """Follow the think rows' attention through the vision tower, and hold it against a prompt that asks for nothing.

    Units: share of attention for the composed maps; for the relative ones, difference of the shares of the images' whole
    attention, or doublings (log2 of their ratio). Sources: row-vector rollout through the tower after Abnar and Zuidema
    2020 (arXiv 2005.00928), half of each layer as residual, which keeps each row's mass and never forms a patches x patches
    matrix; attention relative to a generic prompt after Zhang et al. 2025 (arXiv 2502.17422), which takes away what every
    query looks at, sinks among it. Control: how far the maps are from those of the generic prompt.

    It misleads in three ways. Composed maps blur, for the tower gathers global facts in few patches. A relative map always
    has a brightest patch, also where the query changed nothing: read `distance_from_generic` first. And attention is not
    attribution, seen from wherever.
    """

    name = "attention_views"
    title = "Attention, composed and relative"
    version = 1
    reference = "rollout: arXiv 2005.00928; relative attention: arXiv 2502.17422"
    needs = (ComposesVision,)

    layer: Annotated[int, Control(help="One layer, counted from 1; 0 takes all layers together.", low=0)] = 0
    head: Annotated[int, Control(help="One head, counted from 1; 0 reduces over the heads.", low=0)] = 0
    reduce: Annotated[
        Literal["mean", "top"],
        Control(help="How heads become one map: their mean, or the mean of the heads most on the image."),
    ] = "mean"
    top_heads: Annotated[int, Control(help="How many heads 'top' takes, over all chosen layers.", low=1)] = 4
    generic: Annotated[str, Control(help="The prompt that asks for nothing in particular.")] = "Describe this image."
    compare: Annotated[
        Literal["difference", "ratio"], Control(help="Relative maps as difference of shares, or as doublings.")
    ] = "difference"

    def measure(self, subject: Subject, model: Any) -> ProbeResult:
        trace = subject.trace
        if not trace.grids:
            raise Unsupported(f"The sample '{trace.sample.id}' has no image, so there is no map to compose or compare.")
        if not self.generic.strip():
            raise BadInput("The generic prompt is empty; write one, as 'Describe this image.'.")
        encoded = model.prepare(trace.sample)
        own = self._cells(trace)
        composed = model.through_vision(encoded, own)
        plain = model.prepare(replace(trace.sample, text=self.generic))
        [other] = model.trace([plain], Keep(latents=False, edits=False, continuation=False))
        mine, theirs = _shares(own), _shares(self._cells(other, as_for=trace))
        relative = _relative(mine, theirs, self.compare)
        distance = 0.5 * np.abs(mine - theirs).sum(axis=1)
        names = row_names(trace)
        units = "difference of shares of the images' attention" if self.compare == "difference" else "doublings"
        return ProbeResult(
            probe=self.name,
            version=self.version,
            sample_id=trace.sample.id,
            parameters=asdict(self),
            measures=(
                *_maps("composed", composed, trace.grids, "share of attention", names, signed=False),
                *_maps("relative", relative, trace.grids, units, names, signed=True),
                Measure(
                    name="distance_from_generic",
                    values=distance.astype(np.float32),
                    dims=("row",),
                    units="share of the images' attention that lies elsewhere",
                    coords={"row": names},
                    about="0: the row looks where it looks for the generic prompt, so its relative map says nothing",
                ),
            ),
            checks=(_mass(own, composed), _different(distance, self.generic)),
            provenance=trace.provenance,
        )

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        names = [measure.name for measure in result.measures]
        n_images = sum(name.startswith("composed_image_") for name in names)
        titles = {"composed": "Attention on the patches of", "relative": "More or less than for a generic prompt:"}
        panels: list[Panel] = [
            Overlay(measure=f"{kind}_image_{i}", image=i, each="row", title=f"{title} image {i + 1}")
            for kind, title in titles.items()
            for i in range(n_images)
        ]
        warnings = [Note(text=f"{c.name}: {c.about}", kind="warning") for c in result.checks if not c.passed]
        return (*panels, *warnings, Note(text="Attention is not attribution: much weight need not mean much effect."))

    def _cells(self, trace: Trace, as_for: Trace | None = None) -> Float[np.ndarray, "rows cells"]:
        """The rows' weights on all images' visual tokens, one image after the other, under the heads chosen for `as_for`."""
        rows, _ = reduced_rows(trace, self.layer, self.head, self.reduce, self.top_heads, as_for=as_for)
        return np.ascontiguousarray(rows[:, image_positions(trace)])


def _shares(cells: Float[np.ndarray, "rows cells"]) -> Float[np.ndarray, "rows cells"]:
    """Each row's weights as shares of what it gives to the images; a row that gives nothing is even."""
    total = cells.sum(axis=1, keepdims=True)
    even = np.full_like(cells, 1 / cells.shape[1])
    return np.divide(cells, total, out=even, where=total > 0)


def _relative(
    mine: Float[np.ndarray, "rows cells"], theirs: Float[np.ndarray, "rows cells"], compare: str
) -> Float[np.ndarray, "rows cells"]:
    if compare == "difference":
        return mine - theirs
    floor = np.float32(_FLOOR / mine.shape[1])
    return np.log2(np.maximum(mine, floor) / np.maximum(theirs, floor))


def _maps(
    kind: str,
    cells: Float[np.ndarray, "rows cells"],
    grids: Sequence[PatchGrid],
    units: str,
    names: tuple[str, ...],
    *,
    signed: bool,
) -> list[Measure]:
    found, begin = [], 0
    for number, grid in enumerate(grids):
        part = cells[:, begin : begin + grid.n_tokens].astype(np.float32)
        begin += grid.n_tokens
        found.append(grid_measure(f"{kind}_image_{number}", part, grid, units, {"row": names}, signed=signed))
    return found


def _mass(own: Float[np.ndarray, "rows cells"], composed: Float[np.ndarray, "rows cells"]) -> Check:
    gap = float(np.abs(own.sum(axis=1) - composed.sum(axis=1)).max())
    about = "largest attention that a row won or lost on its way through the vision tower"
    return Check(name="the tower keeps the mass", value=gap, tolerance=_KEPT, passed=gap <= _KEPT, about=about)


def _different(distance: Float[np.ndarray, " rows"], generic: str) -> Check:
    value = float(distance.mean())
    about = f"{value:.1%} of the images' attention lies elsewhere than for '{generic}'; near 0 relative maps are noise"
    return Check(
        name="rows against a generic prompt", value=value, tolerance=_ALIKE, passed=value > _ALIKE, about=about
    )
