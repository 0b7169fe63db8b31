"""Attention rollout of the reading rows: through the decoder, and through the vision tower to the patches."""

from dataclasses import dataclass
from typing import Annotated, final

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Level, Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRollout(AttributionProbe):
    """Follow the attention of the rows that a target is read from back through every layer, half of each as residual.

    Units: share of attention; a row starts as 1, and what does not end on an image ends on text. Source: Abnar and Zuidema
    2020 (arXiv 2005.00928), as row vectors, so that no patches x patches matrix is formed. At the level of pixels the
    rows go on through the vision tower to the patches, whose order is undone; at that of tokens they end before it.

    It misleads as an explanation: no gradient enters, so all targets read from one row share one map, and attention that
    changes nothing counts like any other. Deep stacks blur: each layer spreads the mass further, and in a causal decoder
    it gathers at the first tokens whatever they say.
    """

    name = "attention_rollout"
    title = "Attention rollout"
    version = 1
    reference = "Abnar and Zuidema 2020, arXiv 2005.00928"
    signed = False
    units = "share of attention"

    level: Annotated[Level, Control(help="Stop at the visual tokens, or go on through the vision tower.")] = "pixels"

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        rows = objective.reading()
        for done, attention in enumerate(objective.attention(), start=1):
            rows = 0.5 * rows + 0.5 * rows @ attention.mean(dim=0)
            tick(done / (objective.n_layers + 1), f"Layer {objective.n_layers - done + 1}")
        cells = rows[:, list(objective.columns)]
        if self.level == "pixels":
            cells = objective.through_vision(cells)
        tick(1.0, "Vision tower")
        return Attribution(relevance=cells.cpu().numpy(), passes=2)
