"""Which optimiser trains which weight."""

from typing import Any

import pytest
import torch
from torch import nn

from workbench.models.backbone import Backbone
from workbench.models.creation import SmallSize, give_layout, small_backbone, small_tokenizer
from workbench.models.layout import tte_flash
from workbench.recipes.adapters import Adapters
from workbench.recipes.config import Method, OptimiserSettings, TrainConfig
from workbench.recipes.dense import DenseLabels
from workbench.recipes.muon import Muon
from workbench.recipes.optimisers import make_optimisers
from workbench.recipes.perception import PerceptionHeads
from workbench.recipes.tte_flash import TteFlashStep

SIZE = SmallSize(
    width=16, layers=2, heads=2, key_value_heads=1, mlp=24, vision_width=32, vision_layers=1, vision_heads=2
)
LABELS = DenseLabels(sizes=("small",), colours=("red",), shapes=("star",))


@pytest.fixture
def backbone() -> Backbone:
    model, processor = small_backbone(SIZE, small_tokenizer(["a red star"]), seed=0)
    return give_layout(model, processor, tte_flash(2), seed=0)


def make(backbone: Backbone, method: Method, lora_rank: int = 0) -> tuple[nn.Module, list[Any]]:
    adapters = Adapters.attach(backbone, lora_rank)
    module = TteFlashStep(backbone, TrainConfig(), None if lora_rank else PerceptionHeads(16, LABELS))
    settings = OptimiserSettings(method=method, vision_scale=0.4, weight_decay=0.02)
    return module, make_optimisers(backbone, module, settings, adapters.tables)


def members(optimisers: list[Any]) -> dict[nn.Parameter, tuple[type, dict[str, Any]]]:
    """For each parameter, its optimiser and group; each must have one."""
    found: dict[nn.Parameter, tuple[type, dict[str, Any]]] = {}
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                assert parameter not in found
                found[parameter] = type(optimiser), group
    return found


@pytest.mark.parametrize("method", ["adamw", "muon"])
@pytest.mark.parametrize("lora_rank", [0, 2])
def test_every_trainable_weight_is_trained_once(backbone: Backbone, method: Method, lora_rank: int) -> None:
    module, optimisers = make(backbone, method, lora_rank)
    assert set(members(optimisers)) == {parameter for parameter in module.parameters() if parameter.requires_grad}


def test_muon_takes_the_matrices_of_the_two_towers_alone(backbone: Backbone) -> None:
    module, optimisers = make(backbone, "muon")
    found = members(optimisers)
    by_muon = {name for name, p in module.named_parameters() if found[p][0] is Muon}
    by_adamw = {name for name, p in module.named_parameters() if found[p][0] is torch.optim.AdamW}
    assert {"qkv", "proj", "q_proj", "o_proj", "down_proj"} <= {name.split(".")[-2] for name in by_muon}
    assert all(name.endswith(".weight") for name in by_muon)
    for part in ("embed_tokens", "norm", "patch_embed", "heads.", "bias"):
        assert any(part in name for name in by_adamw), part
        assert not any(part in name for name in by_muon), part
    assert found[backbone.family.head(backbone.model).weight][0] is torch.optim.AdamW


@pytest.mark.parametrize("method", ["adamw", "muon"])
def test_vision_learns_at_its_scale_and_only_matrices_decay(backbone: Backbone, method: Method) -> None:
    module, optimisers = make(backbone, method)
    vision = set(backbone.family.vision_parameters(backbone.model))
    for parameter, (_, group) in members(optimisers).items():
        assert group["scale"] == (0.4 if parameter in vision else 1.0)
        assert group["weight_decay"] == (0.02 if parameter.ndim > 1 else 0.0)
    assert len(vision) < len(list(module.parameters()))


def test_muon_takes_adapters_and_leaves_the_tables_undecayed(backbone: Backbone) -> None:
    """Beside adapters only the layout's rows of a table learn; decay would move the others."""
    module, optimisers = make(backbone, "muon", lora_rank=2)
    found = members(optimisers)
    kinds = {name.split(".")[-3]: found[p][0] for name, p in module.named_parameters() if "lora_" in name}
    assert kinds == {"lora_A": Muon, "lora_B": Muon}
    table = backbone.family.token_embedding(backbone.model).weight
    kind, group = found[table]
    assert (kind, group["weight_decay"]) == (torch.optim.AdamW, 0.0)
