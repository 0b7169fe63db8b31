"""Think and embed tokens that are kept apart in training: what is refused, which stage a step is in, and what learns in it."""

from typing import Any

import torch
from torch import nn

from workbench.errors import BadCheckpoint, BadInput
from workbench.models.backbone import Backbone
from workbench.models.layout import Layout, tte_flash
from workbench.recipes.config import TrainConfig


def parted_layout(config: TrainConfig) -> Layout:
    """The TTE-Flash layout that the settings ask for. Raises BadInput for settings that make no sense together."""
    model, n_layers = config.model, config.model.layers
    early = model.extraction == "early_exit"
    exit_layer = (model.exit_layer or (0 if model.backbone else max(1, n_layers // 2))) if early else model.exit_layer
    if early and model.backbone and not exit_layer:
        raise BadInput(
            "early_exit from a given backbone needs model.exit_layer, the number of layers behind which text is read."
        )
    try:
        layout = tte_flash(
            model.think,
            contexts=model.contexts,
            extraction=model.extraction,
            exit_layer=exit_layer,
            dependency=model.dependency,
        )
    except BadCheckpoint as error:
        raise BadInput(f"{error} Change model.think, model.contexts, model.extraction or model.exit_layer.") from error
    if layout.is_parted and model.gradient_checkpointing:
        raise BadInput(
            f"model.gradient_checkpointing makes layers again without their cache, which {_named(layout)} goes on from; set it to false."
        )
    if layout.extraction == "dual_adapter":
        if model.lora_rank:
            raise BadInput(
                "dual_adapter has two LoRA sets of its own; leave model.lora_rank at 0 and set model.adapter_rank, and "
                "model.adapters_alone=true to keep the backbone as it is."
            )
        if model.adapter_rank < 1:
            raise BadInput(f"model.adapter_rank is {model.adapter_rank}, but dual_adapter needs 1 or more.")
    elif model.adapters_alone:
        raise BadInput(
            "model.adapters_alone needs model.extraction=dual_adapter; for one set of adapters there is model.lora_rank."
        )
    if layout.dependency == "sequential":
        _check_sequence(config)
    return layout


def _check_sequence(config: TrainConfig) -> None:
    if not 0 < config.model.thoughts_first < 1:
        raise BadInput(
            f"model.thoughts_first is {config.model.thoughts_first}, but sequential needs a share above 0 and below 1."
        )
    if not config.loss.text or not config.loss.contrastive:
        raise BadInput(
            "sequential trains the text's loss, then the contrastive one; loss.text and loss.contrastive must be above 0."
        )
    if config.model.lora_rank:
        raise BadInput(
            "With model.lora_rank thoughts and embedding share one set of adapters, and sequential would leave the second stage "
            "nothing to learn with; take dual_adapter with model.adapters_alone=true."
        )


def _named(layout: Layout) -> str:
    return layout.extraction if layout.extraction != "shared" else layout.dependency


def first_stage(config: TrainConfig) -> int:
    """Steps in which the text's loss alone is trained, of a run that begins; 0 where both are trained together."""
    if config.model.dependency != "sequential":
        return 0
    steps = config.optimiser.steps
    return min(max(1, round(config.model.thoughts_first * steps)), max(1, steps - 1))


def embedding_only(backbone: Backbone) -> set[int]:
    """Ids of the weights upon which no thought and no text of it depends.

    Beside the embed tokens' rows they are what `sequential` trains in its second stage. With `dual_adapter` the embed tokens'
    set, with `early_exit` the layers above the exit; with `shared` and `two_pass` none, so that of the whole model those rows
    learn alone.
    """
    layout, model = backbone.layout, backbone.model
    if layout.extraction == "dual_adapter":
        from workbench.models.dual_adapter import adapter_weights

        return {id(weights) for weights in adapter_weights(model, "embed").values()}
    if layout.extraction == "early_exit":
        upper: Any = list(backbone.family.layers(model))[layout.exit_layer :]
        return {id(weights) for layer in upper for weights in layer.parameters()}
    return set()


def freeze_thoughts(backbone: Backbone, weights: nn.Module) -> None:
    """Drop the gradients of everything that a thought depends on, between gradient and update.

    The embed tokens' rows keep theirs. No thought and no text reads them as inputs; but in a head that shares the table they
    are words like others, whose logits take part in every probability of the text.
    """
    learns = embedding_only(backbone)
    table = backbone.family.token_embedding(backbone.model).weight
    for parameter in weights.parameters():
        if parameter is table and parameter.grad is not None:
            rows = torch.zeros(len(table), 1, device=table.device, dtype=table.dtype)
            rows[list(backbone.ids.embed)] = 1
            parameter.grad.mul_(rows)
        elif id(parameter) not in learns:
            parameter.grad = None


def attach_dual(backbone: Backbone, config: TrainConfig) -> tuple[nn.Parameter, ...]:
    """Give a backbone the two LoRA sets that its layout asks for, in place.

    Returns the embedding tables of which only the layout's rows learn, which weight decay must leave alone.
    """
    from workbench.models.dual_adapter import attach_sets
    from workbench.recipes.adapters import rows_alone

    if config.model.adapters_alone:
        backbone.model.requires_grad_(False)
    # peft draws from the process's own generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.optimiser.seed + 1)
        attach_sets(backbone.model, config.model.adapter_rank)
    return rows_alone(backbone) if config.model.adapters_alone else ()
