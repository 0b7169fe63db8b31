"""Does the target follow the map? Insertion and deletion curves, comprehensiveness, sufficiency, against maps without sense."""

from dataclasses import dataclass
from typing import Annotated, final

import numpy as np
from jaxtyping import Float, Int

from workbench import stats
from workbench.attribution import Tick
from workbench.embedder import Filling
from workbench.perturbation import (
    SHARES,
    Curves,
    centre_map,
    count_at,
    order_of,
    points,
    random_orders,
    trace_curves,
)
from workbench.probe import Control, register_probe
from workbench.stages import quiet
from workbench.trust import MapCase, MapCheck
from workbench.types import Check, Measure, ProbeResult
from workbench.views import Bars, Lines, Note, Panel

_FILLINGS: tuple[Filling, ...] = ("blur", "mean")
_ORDERS = ("map", "random maps", "centre map")
_LEAST_DROP = 0.05
"""A fill that moves a target by less than this (probability or cosine) cannot tell a good map from a bad one."""


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Faithfulness(MapCheck):
    """Fill cells in the map's order and watch the target: a map that names the evidence moves it first.

    Cells are filled in image space with the blurred image, and again with its mean colour, at a grid held constant. Deletion
    fills the most relevant cells first: the area under its curve is low for a good map. Insertion shows them first on a
    filled image: its area is high (arXiv 1806.07421). Comprehensiveness is what is lost without the top share of cells,
    sufficiency what is lost with nothing but them (arXiv 1911.03429). Infidelity (arXiv 1901.09392) is the share of the
    effects of random fillings that sums of the map's numbers do not explain. All in the target's units, except that the
    log-probability of a word is read as its probability.

    Random maps and a map of the image's centre go through the same fillings; the interval is a bootstrap over the random
    maps. On large grids the curve has `steps` points, not one for each cell.

    It misleads where a filled image is unlike anything that the model has seen: the target then falls for strangeness, not
    for lack of evidence. Where blur and mean disagree, believe neither. If the fill moves the target by less than 0.05 the
    curves say nothing.
    """

    name = "faithfulness"
    title = "Faithfulness of the map"
    version = 1
    reference = "RISE (arXiv 1806.07421); ERASER (arXiv 1911.03429); infidelity (arXiv 1901.09392)"

    steps: Annotated[int, Control(help="Points of a curve at most; small grids have one for each cell.", low=2)] = 20
    randoms: Annotated[int, Control(help="How many random maps the map is compared with.", low=2, high=200)] = 10
    seed: Annotated[int, Control(help="Seed of the random maps.", low=0)] = 0

    def judge(self, case: MapCase, tick: Tick = quiet) -> ProbeResult:
        objective = case.objective("pixels")
        relevance = case.relevance
        n_cells = relevance.shape[1]
        centre = order_of(centre_map(objective.grids), self.seed)[None]
        randoms = random_orders(self.randoms, n_cells, self.seed)
        orders = np.concatenate([order_of(relevance, self.seed), randoms, centre])
        counts = points(n_cells, min(self.steps, n_cells))
        found: dict[Filling, Curves] = {}
        for place, filling in enumerate(_FILLINGS):

            def part(share: float, doing: str, place: int = place) -> None:
                tick((place + share) / len(_FILLINGS), doing)

            found[filling] = trace_curves(objective, orders, counts, filling, part)
        measures: list[Measure] = []
        checks: list[Check] = []
        for filling, curves in found.items():
            measures += self._curves(filling, curves, case.labels)
            measures += _parts(filling, curves, case.labels)
            measures.append(_infidelity(filling, curves, relevance, randoms, case.labels))
            checks += self._verdicts(filling, curves, len(relevance))
        if len(counts) < n_cells + 1:
            said = f"Curves have {len(counts)} points for {n_cells} cells."
            measures.append(Measure(name="remarks", values=np.array([said]), dims=("remark",), units="text"))
        return self.found(case, measures, checks)

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        panels: list[Panel] = []
        for filling in _FILLINGS:
            named = {"deletion": "Filling the best cells first (low is good)", "insertion": "Showing them first (high)"}
            panels += [
                Lines(measure=f"{which}_{filling}", x="share", series="order", title=f"{said}, {filling}")
                for which, said in named.items()
            ]
        panels += [
            Bars(measure=f"areas_{filling}", x="target", series="curve", title=f"Areas by target, {filling}")
            for filling in _FILLINGS
        ]
        kinds = {True: "info", False: "warning"}
        panels += [Note(text=f"{c.name}: {c.about}", kind=kinds[c.passed]) for c in result.checks]  # pyright: ignore[reportArgumentType]
        return tuple(panels)

    def _curves(self, filling: Filling, curves: Curves, labels: tuple[str, ...]) -> list[Measure]:
        n_cells = int(curves.counts[-1])
        # The drawn curve has even steps; the areas use every point.
        even = np.isin(curves.counts, np.round(np.linspace(0, n_cells, min(self.steps, n_cells) + 1)))
        shares = tuple(f"{count / n_cells:.0%}" for count in curves.counts[even])
        areas = np.stack([_own(curves.area(which), len(labels)) for which in ("deletion", "insertion")])
        drawn = [
            Measure(
                name=f"{which}_{filling}",
                values=_three(getattr(curves, which)[:, even], len(labels)).mean(axis=-1).astype(np.float32),
                dims=("order", "share"),
                units="value, mean of the targets",
                coords={"order": _ORDERS, "share": shares},
                better="lower" if which == "deletion" else "higher",
                about=f"the target when a share of the cells is {'filled' if which == 'deletion' else 'shown'}",
            )
            for which in ("deletion", "insertion")
        ]
        by_target = Measure(
            name=f"areas_{filling}",
            values=areas.T.astype(np.float32),
            dims=("target", "curve"),
            units="value",
            coords={"target": labels, "curve": ("deletion", "insertion")},
            about="mean height of each curve: low is good for deletion, high for insertion",
        )
        return [*drawn, by_target]

    def _verdicts(self, filling: Filling, curves: Curves, n_targets: int) -> list[Check]:
        # One number for an order: how far insertion runs above deletion, mean of the targets.
        gain = curves.area("insertion") - curves.area("deletion")
        own = float(_own(gain, n_targets).mean())
        randoms, centre = gain[n_targets:-1].mean(axis=1), float(gain[-1].mean())
        above = stats.bootstrap_interval(own - randoms, seed=self.seed)
        drop = float(np.abs(curves.full - curves.empty).min())
        against = f"insertion runs {own:.3f} above deletion"
        return [
            Check(
                name=f"better than random maps ({filling})",
                value=above.value,
                tolerance=0.0,
                passed=above.low > 0,
                about=f"{against}; for {len(randoms)} random maps {randoms.mean():.3f} "
                f"(the map leads by {above.low:.3f} to {above.high:.3f})",
            ),
            Check(
                name=f"better than the image's centre ({filling})",
                value=own - centre,
                tolerance=0.0,
                passed=own > centre,
                about=f"{against}; for a map of the image's centre {centre:.3f}",
            ),
            Check(
                name=f"the fill matters ({filling})",
                value=drop,
                tolerance=_LEAST_DROP,
                passed=drop >= _LEAST_DROP,
                about=f"filling the whole image moves the target by {drop:.3f} at least; "
                f"under {_LEAST_DROP} the curves say nothing",
            ),
        ]


def _own(by_order: Float[np.ndarray, "orders targets"], n_targets: int) -> Float[np.ndarray, " targets"]:
    """Each target under its own order; the first orders are the targets'."""
    return np.diagonal(by_order[:n_targets]).copy()


def _three(
    curves: Float[np.ndarray, "orders points targets"], n_targets: int
) -> Float[np.ndarray, "three points targets"]:
    """The curves of the map, of the random maps (their mean) and of the centre."""
    own = np.stack([curves[target, :, target] for target in range(n_targets)], axis=1)
    return np.stack([own, curves[n_targets:-1].mean(axis=0), curves[-1]])


def _parts(filling: Filling, curves: Curves, labels: tuple[str, ...]) -> list[Measure]:
    n_targets, n_cells = len(labels), int(curves.counts[-1])
    at = np.searchsorted(curves.counts, [count_at(share, n_cells) for share in SHARES])
    measures = []
    for name, which in (("comprehensiveness", "deletion"), ("sufficiency", "insertion")):
        three = _three(getattr(curves, which)[:, at], n_targets)
        measures.append(
            Measure(
                name=f"{name}_{filling}",
                values=(curves.full - three).astype(np.float32),
                dims=("order", "share", "target"),
                units="value",
                coords={"order": _ORDERS, "share": tuple(f"{share:.0%}" for share in SHARES), "target": labels},
                signed=True,
                better="higher" if which == "deletion" else "lower",
                about=f"what is lost {'without' if which == 'deletion' else 'with nothing but'} the top share of cells",
            )
        )
    return measures


def _infidelity(
    filling: Filling,
    curves: Curves,
    relevance: Float[np.ndarray, "targets cells"],
    randoms: Int[np.ndarray, "orders cells"],
    labels: tuple[str, ...],
) -> Measure:
    sums = relevance[:, randoms].cumsum(axis=-1)
    inner = curves.counts[1:-1]
    predicted = sums[:, :, inner - 1].reshape(len(labels), -1)
    effects = curves.full - curves.deletion[len(labels) : -1, 1:-1]
    actual = np.moveaxis(effects, -1, 0).reshape(len(labels), -1)
    return Measure(
        name=f"infidelity_{filling}",
        values=stats.infidelity(predicted.astype(np.float64), actual).astype(np.float32),
        dims=("target",),
        units="share of the squared effect",
        coords={"target": labels},
        better="lower",
        about="what of the effects of random fillings the map's sums do not explain; unsigned maps cannot reach 0",
    )
