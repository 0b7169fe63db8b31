"""transformers' own Qwen2-VL layers where no gradient is asked for: the same numbers, with fewer passes over memory.

A model keeps its modules, weights and hooks; only what some layers do between their matrix products is written here with
operations in place, in transformers' order but for the vision MLP and the norms in float32, which are fused, and attention,
whose kernel is chosen by shape. The numbers are transformers' within 1e-5 in float32. With gradients, in training, and for calls
that ask for anything unusual, transformers' code runs. Needed because on a CPU a third of a small model's time, and a tenth of a
large one's, is temporaries.
"""

from itertools import groupby
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.activations import QuickGELUActivation, SiLUActivation
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.qwen2_vl import modeling_qwen2_vl as stock

from workbench.models.capture import Capture

_SLOPE = 1.702


def lean_(model: stock.Qwen2VLForConditionalGeneration) -> None:
    """Let a model's layers run as this file says where they can. Layers that are not transformers' own stay as they are."""
    model.model.visual.patch_embed.proj.__class__ = _PatchProjection
    for module in model.modules():
        lean = _LEAN.get(type(module))
        if lean is not None:
            module.__class__ = lean


class _PatchProjection(nn.Conv3d):
    """A convolution over inputs as large as its kernel, which is a matrix product and several times faster as one."""

    def forward(
        self, input: Float[Tensor, "patches channels frames rows cols"]
    ) -> Float[Tensor, "patches width 1 1 1"]:
        return nn.functional.linear(input.flatten(1), self.weight.flatten(1), self.bias)[..., None, None, None]


class _VisionMlp(stock.VisionMlp):
    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not isinstance(self.act, QuickGELUActivation):
            return super().forward(x)
        if type(self.fc1) is nn.Linear and type(self.fc2) is nn.Linear and x.dtype == torch.float32:
            # x sigmoid(s x) is silu(s x) / s, and matrix products scale for nothing.
            inner = torch.addmm(self.fc1.bias, x, self.fc1.weight.t(), beta=_SLOPE, alpha=_SLOPE)
            inner = nn.functional.silu(inner, inplace=True)
            return torch.addmm(self.fc2.bias, inner, self.fc2.weight.t(), alpha=1 / _SLOPE)
        inner = self.fc1(x)
        return self.fc2(inner.mul_((_SLOPE * inner).sigmoid_()))


class _VisionAttention(stock.VisionAttention):
    """Patches of images of one size that stand side by side attend in one call."""

    def forward(
        self,
        hidden_states: Tensor,
        cu_seqlens: Tensor,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        max_seqlen: int | None = None,
        **kwargs: Any,
    ) -> Tensor:
        if torch.is_grad_enabled() or self.config._attn_implementation != "sdpa" or position_embeddings is None:
            return super().forward(hidden_states, cu_seqlens, position_embeddings, max_seqlen, **kwargs)
        n = len(hidden_states)
        mixed = self.qkv(hidden_states).view(n, 3, self.num_heads, self.head_dim)
        cos, sin = (part[:, None, None].float() for part in position_embeddings)
        turned = _turn(mixed[:, :2].float(), cos, _signed(sin)).to(mixed.dtype)
        out = torch.empty_like(mixed[:, 0])
        begin = 0
        for length, run in groupby(cu_seqlens.diff().tolist()):
            end = begin + length * len(list(run))
            query, key, value = (
                part[begin:end].view(-1, length, self.num_heads, self.head_dim).transpose(1, 2)
                for part in (turned[:, 0], turned[:, 1], mixed[:, 2])
            )
            seen = nn.functional.scaled_dot_product_attention(query, key, value, scale=self.scaling)
            out[begin:end].view(-1, length, self.num_heads, self.head_dim).copy_(seen.transpose(1, 2))
            begin = end
        return self.proj(out.view(n, -1))


class _VisionBlock(stock.Qwen2VLVisionBlock):
    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(hidden_states, *args, **kwargs)
        hidden_states = self.attn(self.norm1(hidden_states), *args, **kwargs).add_(hidden_states)
        return self.mlp(self.norm2(hidden_states)).add_(hidden_states)


class _Norm(stock.Qwen2VLRMSNorm):
    def forward(self, hidden_states: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(hidden_states)
        return _normed(self, hidden_states)


class _Mlp(stock.Qwen2MLP):
    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not isinstance(self.act_fn, SiLUActivation):
            return super().forward(x)
        gate = nn.functional.silu(self.gate_proj(x), inplace=True)
        return self.down_proj(gate.mul_(self.up_proj(x)))


class _Attention(stock.Qwen2VLAttention):
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - transformers' own annotation names what it no longer takes
        self,
        hidden_states: Tensor,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        if torch.is_grad_enabled() or position_embeddings is None:
            return super().forward(  # pyright: ignore[reportReturnType]
                hidden_states,
                attention_mask=attention_mask,
                position_ids=position_ids,  # pyright: ignore[reportArgumentType]
                past_key_values=past_key_values,
                position_embeddings=position_embeddings,
                **kwargs,
            )
        batch, columns, _ = hidden_states.shape
        begin = _first_read(self, attention_mask)
        asking = hidden_states[:, begin:]
        cos, sin = (part.unsqueeze(2) for part in position_embeddings)
        signed = _signed(sin)
        query = self.q_proj(asking).view(batch, columns - begin, -1, self.head_dim)
        query = _turn(query, cos[:, begin:], signed[:, begin:]).transpose(1, 2)
        key = self.k_proj(hidden_states).view(batch, columns, -1, self.head_dim)
        key = _turn(key, cos, signed).transpose(1, 2)
        value = self.v_proj(hidden_states).view(batch, columns, -1, self.head_dim).transpose(1, 2)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        out, weights = _attention_function(self.config)(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=0.0,
            scaling=self.scaling,
            sliding_window=self.sliding_window,
            position_ids=position_ids,
            **kwargs,
        )
        return self.o_proj(out.reshape(batch, columns - begin, -1)), weights


class _Layer(stock.Qwen2VLDecoderLayer):
    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(hidden_states, *args, **kwargs)
        out, _ = self.self_attn(self.input_layernorm(hidden_states), *args, **kwargs)
        begin = hidden_states.shape[1] - out.shape[1]
        states = out.add_(hidden_states[:, begin:])
        states = self.mlp(self.post_attention_layernorm(states)).add_(states)
        if not begin:
            return states
        whole = torch.zeros_like(hidden_states)
        whole[:, begin:] = states
        return whole


@final
class LeanStack:
    """A model's decoder, called as `Family.text_stack` says."""

    def __init__(self, stack: stock.Qwen2VLTextModel) -> None:
        self._stack = stack

    def __call__(
        self,
        *,
        inputs_embeds: Float[Tensor, "batch seq width"],
        position_ids: Tensor,
        attention_mask: dict[str, Any],
        past_key_values: Any,
        use_cache: bool,
        stop: int | None = None,
    ) -> BaseModelOutputWithPast:
        stack = self._stack
        if torch.is_grad_enabled() and past_key_values is None and stop is None:
            return stack(
                inputs_embeds=inputs_embeds,
                position_ids=position_ids,
                attention_mask=attention_mask,
                past_key_values=past_key_values,
                use_cache=use_cache,
            )
        turns = stack.rotary_emb(inputs_embeds, position_ids)
        bare = inputs_embeds.shape[1] == 1 and past_key_values is not None and not torch.is_grad_enabled()
        if bare and all(map(_is_plain, stack.layers)):
            hidden = self._step(inputs_embeds, attention_mask, turns, past_key_values, stop)
        else:
            hidden = inputs_embeds
            for layer, kind in self._layers()[:stop]:
                hidden = layer(
                    hidden,
                    attention_mask=attention_mask[kind],
                    position_embeddings=turns,
                    past_key_values=past_key_values,
                )
        return BaseModelOutputWithPast(last_hidden_state=stack.norm(hidden), past_key_values=past_key_values)

    def _layers(self) -> list[tuple[Any, str]]:
        return list(zip(self._stack.layers, self._stack.config.layer_types or (), strict=True))

    def _step(
        self, hidden: Tensor, masks: dict[str, Any], turns: tuple[Tensor, Tensor], past: Any, stop: int | None
    ) -> Tensor:
        """The layers for one more token in each row: nothing but the operations, since asking for them is what takes time."""
        cos, sin = turns
        signed = _signed(sin)
        states = hidden[:, 0]
        rows, linear = len(states), nn.functional.linear
        attend = _attention_function(self._stack.config)
        for layer, kind in self._layers()[:stop]:
            attention, mlp = layer.self_attn, layer.mlp
            normed = _normed(layer.input_layernorm, states)
            query = linear(normed, attention.q_proj.weight, attention.q_proj.bias)
            key = linear(normed, attention.k_proj.weight, attention.k_proj.bias)
            value = linear(normed, attention.v_proj.weight, attention.v_proj.bias)
            both = torch.cat([query, key], dim=1).view(rows, -1, attention.head_dim)
            both = _turn(both, cos, signed)[:, :, None]
            query, key = both.split([attention.num_heads, attention.num_key_value_heads], dim=1)
            value = value.view(rows, -1, 1, attention.head_dim)
            key, value = past.update(key, value, attention.layer_idx)
            out, _ = attend(attention, query, key, value, masks[kind], scaling=attention.scaling)
            states = torch.addmm(states, out.reshape(rows, -1), attention.o_proj.weight.t())
            normed = _normed(layer.post_attention_layernorm, states)
            gate = nn.functional.silu(linear(normed, mlp.gate_proj.weight), inplace=True)
            gate.mul_(linear(normed, mlp.up_proj.weight))
            states = torch.addmm(states, gate, mlp.down_proj.weight.t())
        return states[:, None]


def _attention_function(config: Any) -> Any:
    return ALL_ATTENTION_FUNCTIONS.get_interface(config._attn_implementation, stock.eager_attention_forward)


def _first_read(attention: stock.Qwen2VLAttention, mask: Any) -> int:
    """The column from which on the states behind a layer are read: all of them, but for a trace's last layer."""
    last = attention.layer_idx == attention.config.num_hidden_layers - 1
    return mask.rows.start - mask.past if last and isinstance(mask, Capture) else 0


def _normed(norm: stock.Qwen2VLRMSNorm, states: Tensor) -> Tensor:
    if states.dtype == torch.float32:
        return nn.functional.rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)
    exact = states.float()
    scale = exact.pow(2).mean(-1, keepdim=True).add_(norm.variance_epsilon).rsqrt_()
    return (exact * scale).to(states.dtype).mul_(norm.weight)


def _turn(states: Tensor, cos: Tensor, signed: Tensor) -> Tensor:
    """Rotate by position: each coordinate with the one half the width away (RoPE, arXiv 2104.09864).

    `signed` is the sine with its first half negated.
    """
    first, second = states.chunk(2, dim=-1)
    turned = torch.cat([second, first], dim=-1).mul_(signed)
    return turned.add_(states * cos)


def _signed(sin: Tensor) -> Tensor:
    first, second = sin.chunk(2, dim=-1)
    return torch.cat([-first, second], dim=-1)


def _is_plain(layer: nn.Module) -> bool:
    """Whether a decoder layer is what its class says: no adapter and no quantised matrix within, and nobody listening."""
    attention, mlp = layer.self_attn, layer.mlp
    if type(layer) is not _Layer or type(attention) is not _Attention or type(mlp) is not _Mlp:
        return False
    linear = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    linear += (mlp.gate_proj, mlp.up_proj, mlp.down_proj)
    whole = (layer, attention, mlp, *linear)
    return (
        all(type(matrix) is nn.Linear for matrix in linear)
        and isinstance(mlp.act_fn, SiLUActivation)
        and not any(module._forward_hooks or module._forward_pre_hooks for module in whole)
    )


_LEAN: dict[type[nn.Module], type[nn.Module]] = {
    stock.VisionMlp: _VisionMlp,
    stock.VisionAttention: _VisionAttention,
    stock.Qwen2VLVisionBlock: _VisionBlock,
    stock.Qwen2VLRMSNorm: _Norm,
    stock.Qwen2MLP: _Mlp,
    stock.Qwen2VLAttention: _Attention,
    stock.Qwen2VLDecoderLayer: _Layer,
}
