"""Think and embed tokens kept apart: the numbers of one pass where weights are shared, and each way does what it says.

Gradients that must not flow are zero to the last bit, those that must flow are not; weights that must differ differ.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from apart import CONTEXTS, WAYS, packed_of, passed
from torch import Tensor

from workbench.models.apart import Apart, run_apart
from workbench.models.backbone import Backbone
from workbench.models.dual_adapter import adapter_weights, plain_weights
from workbench.models.sequence import visibility
from workbench.types import Context


@pytest.fixture
def learner(apart_models: dict[str, Any]) -> Callable[[str], Backbone]:
    """extraction -> a copy of its backbone whose weights have gradients."""

    def learner(name: str) -> Backbone:
        backbone = apart_models[name]._backbone
        return replace(backbone, model=copy.deepcopy(backbone.model).requires_grad_(True))

    return learner


def told(backbone: Backbone, apart: Apart) -> Tensor:
    """A loss of the texts alone."""
    return backbone.family.head(backbone.model)(apart.text).logsumexp(-1).sum()


def found(backbone: Backbone, apart: Apart) -> Tensor:
    """A loss of the embeddings alone."""
    return backbone.pool(apart.embed)[:, :7].sum()


def moved(weights: Any) -> bool:
    """Whether any of the weights has a gradient that is not exactly zero."""
    return any(weight.grad is not None and bool((weight.grad != 0).any()) for weight in weights)


@pytest.mark.parametrize("context", CONTEXTS)
def test_apart_gives_the_numbers_of_one_pass(apart_models: dict[str, Any], context: Context) -> None:
    """Query, thoughts, embed tokens and texts in one padded sequence, with hidden thoughts and without."""
    backbone = apart_models["shared"]._backbone
    packed = packed_of(backbone)
    for limit in (None, torch.tensor([1, 4])):
        mask = visibility(packed, backbone.layout, context, limit)
        with torch.no_grad():
            inputs = backbone.inputs(packed)
            whole = backbone.run(inputs, packed.positions, mask)
            apart = run_apart(backbone, packed, inputs, mask)
        said = packed.segments[:, packed.text] >= 0
        for one, other in (
            (whole[:, packed.think], apart.think),
            (whole[:, packed.embed], apart.embed),
            (whole[:, packed.text][said], apart.text[said]),
        ):
            torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", list(WAYS))
def test_stop_gradient_changes_no_number_and_keeps_the_embedding_from_the_thoughts(
    name: str, learner: Callable[[str], Backbone]
) -> None:
    backbone = learner(name)
    think = packed_of(backbone).think
    apart, inputs = passed(backbone)
    found(backbone, apart).backward()
    joint = inputs.grad
    assert joint is not None
    assert (joint[:, think] != 0).all(dim=-1).all(), "jointly, the embedding's loss reaches every think token"
    stopped, inputs = passed(backbone, fixed_thoughts=True)
    torch.testing.assert_close(stopped.embed, apart.embed, atol=0, rtol=0)
    (found(backbone, stopped) + 0 * told(backbone, stopped)).backward()
    assert inputs.grad is not None
    assert (inputs.grad[:, think] == 0).all(), "not a bit of it may reach a think token"
    assert (inputs.grad[0, : think.start] != 0).any(), "the query belongs to both tasks"
    stopped, inputs = passed(backbone, fixed_thoughts=True)
    told(backbone, stopped).backward()
    assert inputs.grad is not None
    assert (inputs.grad[:, think] != 0).any(dim=-1).all(), "the text's loss does"


@pytest.mark.parametrize("fixed", [False, True])
def test_a_stopped_gradient_stops_at_the_think_tokens_of_the_second_pass_too(
    fixed: bool, learner: Callable[[str], Backbone]
) -> None:
    """Its states, keys and values of think tokens are made anew, with weights that have a gradient."""
    backbone = learner("two_pass")
    made: dict[str, list[Tensor]] = {"states": [], "keys": [], "values": []}

    def keeps(kind: str) -> Callable[[Any, Any, Any], None]:
        def keep(_module: Any, _given: Any, output: Any) -> None:
            state = output[0] if isinstance(output, tuple) else output
            if state.shape[1] == 5:  # the second pass: four thoughts and the embed token
                state.retain_grad()
                made[kind].append(state)

        return keep

    layers: Any = backbone.family.layers(backbone.model)
    for layer in layers:
        for kind, module in (("states", layer), ("keys", layer.self_attn.k_proj), ("values", layer.self_attn.v_proj)):
            module.register_forward_hook(keeps(kind))
    found(backbone, passed(backbone, fixed_thoughts=fixed, told=False)[0]).backward()
    # Of the last layer only the embed token's state is read.
    made["states"].pop()
    for kind, states in made.items():
        assert len(states) == (2 if kind == "states" else 3)
        for state in states:
            assert state.grad is not None
            assert (state.grad[:, -1] != 0).any()
            reached = (state.grad[:, :-1] != 0).any(dim=-1)
            assert not reached.any() if fixed else reached.all()


def test_two_adapters_learn_from_their_own_tasks(learner: Callable[[str], Backbone]) -> None:
    backbone = learner("dual_adapter")
    think, embed = (adapter_weights(backbone.model, role).values() for role in ("think", "embed"))

    def reached(loss: Callable[[Backbone, Apart], Tensor], **options: Any) -> tuple[bool, bool]:
        backbone.model.zero_grad(set_to_none=True)
        loss(backbone, passed(backbone, **options)[0]).backward()
        return moved(think), moved(embed)

    assert reached(told) == (True, False)
    assert reached(found) == (True, True)
    assert reached(found, fixed_thoughts=True) == (False, True)


def test_each_adapter_acts_on_its_own_positions(
    apart_models: dict[str, Any], learner: Callable[[str], Backbone]
) -> None:
    """Without adapters the weights are those of `shared`; one set changed moves what is made with it, and nothing else."""
    backbone = learner("dual_adapter")
    first, second = adapter_weights(backbone.model, "think"), adapter_weights(backbone.model, "embed")
    assert all((value != second[name.replace("think", "embed")]).any() for name, value in first.items())
    with torch.no_grad():
        before = passed(backbone)[0]
        for value in second.values():
            value.mul_(1.5)
        after = passed(backbone)[0]
        assert (after.think == before.think).all()
        assert (after.text == before.text).all()
        assert ((after.embed - before.embed).abs().amax(-1) > 1e-3).all()
        for value in (*first.values(), *second.values()):
            value.zero_()
        bare, shared = passed(backbone)[0], passed(apart_models["shared"]._backbone)[0]
    torch.testing.assert_close(bare.embed, shared.embed, atol=1e-5, rtol=0)
    plain = apart_models["shared"]._backbone.model.state_dict()
    assert plain_weights(backbone.model).keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in plain_weights(backbone.model).items())


def test_an_early_exit_keeps_the_text_from_the_layers_above(learner: Callable[[str], Backbone]) -> None:
    backbone = learner("early_exit")
    layers = list(backbone.family.layers(backbone.model))
    told(backbone, passed(backbone)[0]).backward()
    assert [moved(layer.parameters()) for layer in layers] == [True, True, False]
    backbone.model.zero_grad(set_to_none=True)
    found(backbone, passed(backbone)[0]).backward()
    assert [moved(layer.parameters()) for layer in layers] == [True, True, True]
    # The think tokens' state there is what the text's head would read, not that behind the last layer.
    with torch.no_grad():
        packed, apart = packed_of(backbone), passed(backbone)[0]
        mask = visibility(packed, backbone.layout, "latents_only")
        states, positions = backbone.inputs(packed), packed.positions
        for index in range(2):
            states = backbone.family.run_layer(backbone.model, index, states, positions, mask)
        expected = backbone.family.final_norm(backbone.model)(states[:, packed.think])
    torch.testing.assert_close(apart.think, expected, atol=2e-5, rtol=0)


def test_a_second_pass_sees_the_thoughts_of_the_first(apart_models: dict[str, Any]) -> None:
    """By hand: one sequence whose think tokens are the final states of another."""
    backbone = apart_models["two_pass"]._backbone
    packed = packed_of(backbone)
    mask = visibility(packed, backbone.layout, "latents_only")
    with torch.no_grad():
        inputs = backbone.inputs(packed)
        first = backbone.run(inputs, packed.positions, mask)
        inputs[:, packed.think] = first[:, packed.think]
        second = backbone.run(inputs, packed.positions, mask)
        apart = passed(backbone)[0]
    torch.testing.assert_close(apart.think, first[:, packed.think], atol=2e-5, rtol=0)
    torch.testing.assert_close(apart.embed, second[:, packed.embed], atol=2e-5, rtol=0)
    assert ((first - second)[:, packed.embed].abs().amax(-1) > 1e-2).all()
