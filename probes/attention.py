"""What each think token and the embed token attend to: maps over the patches, shares of text and images, sinks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, final

import numpy as np
from jaxtyping import Bool, Float

from workbench import stats
from workbench.attention_rows import grid_measure, image_positions, reduced_rows, row_names
from workbench.probe import Control, TraceProbe, register_probe
from workbench.types import Check, Measure, PatchGrid, ProbeResult, Trace
from workbench.views import Bars, Heatmap, Note, Overlay, Panel

_ROW_SUM = 1e-3
_SINK_RATIO, _SINK_TOP = 5.0, 0.1
_NEARLY_EVEN = 0.98


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Attention(TraceProbe):
    """Read the attention rows of the think tokens and the embed token, per layer and head or reduced.

    Units: share of attention, where everything that one row looks at sums to 1. `reduce=max` takes the largest share that
    any chosen head gives to a patch, so its maps do not sum to anything; the shares of text and image are then means.

    Sinks are image tokens that draw attention whatever they show (arXiv 2503.03321). That paper finds them by massive
    activations, which a trace does not hold; here a sink is a patch whose attention, mean over all layers, heads and rows,
    is more than 5 times the image's median, and which is among the top tenth of the image for every row alike. The rule
    can miss sinks, and it marks a true object when every row attends to it.

    A model that writes its reasoning before it embeds has the part `reasoning`: the words that it wrote, apart from those of the
    query; the marks around them are among `control`.

    It misleads as an explanation: attention is not attribution. A patch with much weight may carry a value that changes
    nothing, and the vision tower has mixed each patch with its neighbours. A nearly even row (`evenness` near 1) says
    nothing at all, however vivid a map scaled for itself may look.
    """

    name = "attention"
    title = "Attention on image and text"
    version = 2
    reference = "rows of softmax(QK^T); sinks after arXiv 2503.03321; attention is not explanation: arXiv 1902.10186"

    layer: Annotated[int, Control(help="One layer, counted from 1; 0 takes all layers together.", low=0)] = 0
    head: Annotated[int, Control(help="One head, counted from 1; 0 reduces over the heads.", low=0)] = 0
    reduce: Annotated[
        Literal["mean", "max", "top"],
        Control(help="How heads become one map: mean, largest value, or mean of the heads most on the image."),
    ] = "mean"
    top_heads: Annotated[int, Control(help="How many heads 'top' takes, over all chosen layers.", low=1)] = 4
    drop_sinks: Annotated[bool, Control(help="Set sink patches to 0 in the maps; shares stay as they are.")] = False

    def measure(self, trace: Trace) -> ProbeResult:
        reduced, used = reduced_rows(trace, self.layer, self.head, self.reduce, self.top_heads)
        names = row_names(trace)
        measures, checks = [_shares(trace, used, names)], [_row_sums(trace)]
        if self.reduce == "top" and not trace.grids:
            checks.append(_no_top_heads(trace))
        if trace.grids:
            evenness = _evenness(trace, reduced, names)
            measures += [evenness, *_heads(trace, names)]
            checks.append(_uniform(evenness))
        for number, grid in enumerate(trace.grids):
            sinks = _sinks(trace, grid)
            weights = reduced[:, grid.positions]
            weights = np.where(sinks, np.float32(0), weights) if self.drop_sinks else weights
            measures.append(
                grid_measure(f"attention_image_{number}", weights, grid, "share of attention", {"row": names})
            )
            measures.append(grid_measure(f"sinks_image_{number}", sinks.astype(np.int64), grid, "1 marks a sink", {}))
        return ProbeResult(
            probe=self.name,
            version=self.version,
            sample_id=trace.sample.id,
            parameters=asdict(self),
            measures=tuple(measures),
            checks=tuple(checks),
            provenance=trace.provenance,
        )

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        names = {measure.name for measure in result.measures}
        images = [number for number in range(len(names)) if f"attention_image_{number}" in names]
        panels: list[Panel] = [
            Overlay(measure=f"attention_image_{i}", image=i, each="row", title=f"Attention on image {i + 1}")
            for i in images
        ]
        if images:
            n_sinks = sum(int(result.measure(f"sinks_image_{number}").values.sum()) for number in images)
            shown = "set to 0" if result.parameters["drop_sinks"] else "shown"
            caution = "Attention is not attribution: much weight need not mean much effect."
            panels.append(Note(text=f"{caution} Patches that look like sinks: {n_sinks}, {shown}."))
        else:
            panels.append(Note(text="The sample has no image, so there are only the shares of the text."))
        panels += [Note(text=f"{c.name}: {c.about}", kind="warning") for c in result.checks if not c.passed]
        panels.append(Bars(measure="share", x="row", series="part", title="Where the attention goes"))
        if images:
            panels.append(Heatmap(measure="head_image_share", rows="layer", cols="head", title="Heads on the image"))
        return tuple(panels)


def _shares(trace: Trace, rows: Float[np.ndarray, "rows seq"], names: Sequence[str]) -> Measure:
    kinds = np.array(trace.tokens.kinds)
    image = image_positions(trace)
    parts: dict[str, np.ndarray] = {"text": rows[:, kinds == "text"].sum(axis=1)}
    parts["control"] = rows[:, (kinds == "control") | ((kinds == "image") & ~image)].sum(axis=1)
    parts |= {f"image {i + 1}": rows[:, grid.positions].sum(axis=1) for i, grid in enumerate(trace.grids)}
    written = ("reasoning",) if "reasoning" in kinds else ()
    parts |= {kind: rows[:, kinds == kind].sum(axis=1) for kind in ("think", *written, "embed")}
    return Measure(
        name="share",
        values=np.stack(list(parts.values()), axis=1),
        dims=("row", "part"),
        units="share of attention",
        coords={"row": tuple(names), "part": tuple(parts)},
        about="each row sums to 1; 'control' are marks of the chat template and of a written text, which often act as sinks",
    )


def _heads(trace: Trace, names: Sequence[str]) -> list[Measure]:
    values = trace.attention[..., image_positions(trace)].sum(axis=-1)
    coords = {dim: tuple(range(1, size + 1)) for dim, size in zip(("layer", "head"), values.shape, strict=False)}
    row, units = {"row": tuple(names)}, "share of attention"
    each, mean = ("layer", "head", "row"), ("layer", "head")
    return [
        Measure(name="per_head_image_share", values=values, dims=each, units=units, coords=coords | row),
        Measure(name="head_image_share", values=values.mean(axis=-1), dims=mean, units=units, coords=coords),
    ]


def _sinks(trace: Trace, grid: PatchGrid) -> Bool[np.ndarray, " tokens"]:
    by_row = trace.attention[..., grid.positions].mean(axis=(0, 1))
    mean = by_row.mean(axis=0)
    n_top = max(1, int(_SINK_TOP * grid.n_tokens))
    in_top = (by_row >= np.partition(by_row, -n_top, axis=1)[:, -n_top, None]).all(axis=0)
    return in_top & (mean > _SINK_RATIO * np.median(mean))


def _evenness(trace: Trace, rows: Float[np.ndarray, "rows seq"], names: Sequence[str]) -> Measure:
    columns = []
    for grid in trace.grids:
        weights = rows[:, grid.positions]
        total = weights.sum(axis=1, keepdims=True)
        spread = np.divide(weights, total, out=np.full_like(weights, 1 / grid.n_tokens), where=total > 0)
        most = np.log(grid.n_tokens)
        columns.append(stats.entropy(spread) / most if most > 0 else np.ones(len(rows), dtype=rows.dtype))
    return Measure(
        name="evenness",
        values=np.stack(columns, axis=1).astype(np.float32),
        dims=("row", "image"),
        units="share of the entropy of uniform attention",
        coords={"row": tuple(names), "image": tuple(range(1, len(columns) + 1))},
        about="1: the row looks at all patches of the image alike, so its map says nothing",
    )


def _uniform(evenness: Measure) -> Check:
    value = float(evenness.values.mean())
    passed, about = (
        value < _NEARLY_EVEN,
        f"the maps hold {value:.2f} of the entropy of uniform attention; 1 says nothing",
    )
    return Check(name="maps against uniform", value=value, tolerance=_NEARLY_EVEN, passed=passed, about=about)


def _row_sums(trace: Trace) -> Check:
    gap = float(np.abs(trace.attention.sum(axis=-1) - 1).max())
    about = "largest distance of a row's sum from 1, over all layers and heads"
    return Check(name="rows sum to 1", value=gap, tolerance=_ROW_SUM, passed=gap <= _ROW_SUM, about=about)


def _no_top_heads(trace: Trace) -> Check:
    about = "the sample has no image, so no head is most on one: the shares are the mean of all heads"
    n_heads = float(trace.attention.shape[0] * trace.attention.shape[1])
    return Check(name="top heads", value=n_heads, tolerance=None, passed=False, about=about)
