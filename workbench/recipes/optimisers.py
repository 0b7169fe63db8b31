"""AdamW for everything, or Muon for the weight matrices and AdamW for the rest."""

from collections.abc import Iterable

import torch
from torch import nn

from workbench.models.backbone import Backbone
from workbench.recipes.config import OptimiserSettings
from workbench.recipes.muon import Muon


def make_optimisers(
    backbone: Backbone,
    module: nn.Module,
    settings: OptimiserSettings,
    tables: Iterable[torch.Tensor] = (),
    towers: Iterable[nn.Module] = (),
) -> list[torch.optim.Optimizer]:
    """Optimisers that together train each trainable parameter of `module` once.

    Every group carries `scale`, its learning rate as a share of the run's. Embedding tables, given as `tables` where only
    some of their rows learn, are not decayed. `towers` are trained as the backbone's own are.
    """
    vision = {id(parameter) for parameter in backbone.family.vision_parameters(backbone.model)}
    undecayed = {id(table) for table in tables}
    matrices = _matrices(backbone, towers) if settings.method == "muon" else set()
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            key = (
                id(parameter) in matrices,
                id(parameter) in vision,
                parameter.ndim > 1 and id(parameter) not in undecayed,
            )
            groups.setdefault(key, []).append(parameter)

    def chosen(by_muon: bool) -> list[dict[str, object]]:
        return [
            {
                "params": members,
                "scale": settings.vision_scale if is_vision else 1.0,
                "weight_decay": settings.weight_decay if decays else 0.0,
            }
            for (is_matrix, is_vision, decays), members in sorted(groups.items())
            if is_matrix == by_muon
        ]

    made: list[torch.optim.Optimizer] = [torch.optim.AdamW(chosen(False), lr=settings.learning_rate, betas=(0.9, 0.98))]
    if matrices:
        made.append(Muon(chosen(True), lr=settings.learning_rate))
    return made


def _matrices(backbone: Backbone, towers: Iterable[nn.Module]) -> set[int]:
    """The weights of the towers' linear maps; not embeddings and not what reads them out."""
    parts = [part for tower in (backbone.model, *towers) for part in tower.modules()]
    tables = {id(part.weight) for part in parts if isinstance(part, nn.Embedding)}
    tables.add(id(backbone.family.head(backbone.model).weight))
    return {
        id(part.weight)
        for part in parts
        if isinstance(part, nn.Linear) and id(part.weight) not in tables and part.weight.requires_grad
    }
