"""Two LoRA sets over one text stack, through peft: one for think tokens and the text written from them, one for embed tokens.

peft makes, names and initialises the adapters; only which columns each of them is added at is said here, since peft chooses
a set for a whole sample and not for a position. The only file of this room that knows peft; nothing is imported from it
unless a layout asks for it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from peft import LoraConfig, LoraModel, PeftConfig
from peft.tuners.lora import Linear as LoraLinear
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workbench.errors import BadCheckpoint
from workbench.models.roles import ROLES, Role, current_roles

TEXT_MATRICES = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
FILE = "adapters.safetensors"


@final
class _ByRole(LoraLinear):
    """A linear map with one low-rank addition for the columns of each role."""

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        result = self.base_layer(x)
        roles = current_roles()
        for role in ROLES:
            place = roles.of(role, x.shape[1])
            if place.stop > place.start:
                added = self.lora_B[role](self.lora_A[role](x[:, place])) * self.scaling[role]
                result[:, place] += added.to(result.dtype)
        return result


def attach_sets(model: nn.Module, rank: int) -> None:
    """Add both sets to the matrices of the text stack, in place. What learned before still does, and so do both sets.

    The second factor of a set begins at zero, so that the model is at first what it was without; the first factors differ.
    """
    learning = {id(weights) for weights in model.parameters() if weights.requires_grad}
    sets: dict[str, PeftConfig] = {
        role: LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TEXT_MATRICES) for role in ROLES
    }
    tuner = LoraModel(model, sets, ROLES[0])
    for role in ROLES[1:]:
        tuner.inject_adapter(model, role)
    for module in model.modules():
        if type(module) is LoraLinear:
            module.__class__ = _ByRole
            like: Any = module.base_layer.weight
            module.to(dtype=like.dtype)
    added = {id(weights) for role in ROLES for weights in adapter_weights(model, role).values()}
    for weights in model.parameters():
        weights.requires_grad_(id(weights) in learning or id(weights) in added)


def adapter_weights(model: nn.Module, role: Role) -> dict[str, nn.Parameter]:
    """The weights of one set, by name."""
    return {name: weights for name, weights in model.named_parameters() if _role(name) == role}


def plain_weights(model: nn.Module) -> dict[str, Tensor]:
    """All other weights, under the names that they have in a model without adapters."""
    return {name.replace(".base_layer", ""): value for name, value in model.state_dict().items() if _role(name) is None}


def save_sets(model: nn.Module, folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Write both sets; returns what the manifest says of them."""
    sets = {role: adapter_weights(model, role) for role in ROLES}
    held = {name: value.detach().to(dtype).contiguous() for part in sets.values() for name, value in part.items()}
    save_file(held, folder / FILE)
    first = next(value for name, value in sets["think"].items() if ".lora_A." in name)
    return {"adapters": {"rank": first.shape[0]}}


def load_sets(model: nn.Module, folder: Path, settings: Any) -> None:
    """Add both sets as the folder holds them. Raises BadCheckpoint."""
    rank = settings.get("rank") if isinstance(settings, Mapping) else None
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= 4096:
        raise BadCheckpoint(
            f"thinkscope.json of '{folder.name}' has the extraction dual_adapter but no 'adapters' with a rank from 1 to 4,096."
        )
    try:
        found = load_file(folder / FILE)
    except FileNotFoundError as error:
        raise BadCheckpoint(
            f"'{folder.name}' has no {FILE}, which holds the two LoRA sets of its extraction dual_adapter."
        ) from error
    except (SafetensorError, OSError) as error:
        raise BadCheckpoint(f"{FILE} of '{folder.name}' is damaged ({error}); copy the file again.") from error
    attach_sets(model, rank)
    wanted = {name: weights for role in ROLES for name, weights in adapter_weights(model, role).items()}
    wrong = [name for name in wanted.keys() | found.keys() if _shape(wanted, name) != _shape(found, name)]
    if wrong:
        raise BadCheckpoint(
            f"{FILE} of '{folder.name}' does not fit its model: {len(wrong)} of {len(wanted)} tensors are missing, further or of "
            f"another shape, {sorted(wrong)[0]} among them."
        )
    with torch.no_grad():
        for name, weights in wanted.items():
            weights.copy_(found[name])


def _role(name: str) -> Role | None:
    return next((role for role in ROLES if name.endswith((f".lora_A.{role}.weight", f".lora_B.{role}.weight"))), None)


def _shape(held: Mapping[str, Tensor], name: str) -> torch.Size | None:
    return held[name].shape if name in held else None
