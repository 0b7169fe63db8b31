"""Attention-gradient relevance: attention that mattered to the target, followed back through the decoder."""

from dataclasses import dataclass
from typing import Annotated, Literal, final

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Chefer(AttributionProbe):
    """Follow each target from its reading rows to the visual tokens along attention that had a positive gradient.

    Units: share of relevance, which starts as 1 at the rows that the target is read from. Source: Chefer, Gur and Wolf
    2021 (arXiv 2103.15679), rule for self-attention, R <- R + A' R with A' = mean over heads of relu(attention x its
    gradient). Only the rows that the target is read from are followed, as row vectors from the last layer to the first:
    the same numbers as the seq x seq matrix R, of which no more than one layer's A' is ever held.

    It misleads as a magnitude: gradients enter unnormalised, so maps of two targets compare in shape, not in height. It
    shows support only, never what speaks against a target, is blind to what attention weights do not carry (values and
    MLPs that cancel), and ends at the merged visual tokens, which the vision tower has mixed with their neighbours.
    """

    name = "chefer"
    title = "Attention-gradient relevance"
    version = 1
    reference = "Chefer, Gur and Wolf 2021, arXiv 2103.15679"
    signed = False
    units = "share of relevance"

    level: Annotated[Literal["tokens"], Control(help="Relevance ends at the visual tokens.")] = "tokens"

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        relevance = objective.reading()
        n_targets = len(relevance)
        for done, (target, attention, gradient) in enumerate(objective.attention_gradients()):
            supported = (attention * gradient).clamp(min=0).mean(dim=0)
            relevance[target] += relevance[target] @ supported
            tick((done + 1) / (n_targets * objective.n_layers), f"Layer {objective.n_layers - done // n_targets}")
        cells = relevance[:, list(objective.columns)]
        return Attribution(relevance=cells.cpu().numpy(), passes=2)
