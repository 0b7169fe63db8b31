"""What a trace takes out of a running model: think rows of attention, latents, keys and values, and copies of the embed token.

The only place that hooks into a model. A capture travels *as the attention mask* of one call: transformers hands the mask
through to the attention function untouched, so nothing is shared between threads and nothing stays behind. Latents come
through forward hooks, which a context manager removes again and which answer only to the call that made them.

Facts it rests on, tested in tests/models/test_capture.py: scoring the K+1 rows beside the normal kernel equals eager
attention; a copy of the embed token at the embed token's own position, with a mask row of its own and seen by nobody,
gives the embedding of a separate pass under that mask.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from workbench.models.one_query import AttendOne, attend_one, suits_one_query

ATTENTION = "thinkscope"


@final
class Capture:
    """Takes attention rows and keys and values of one forward pass, layer by layer.

    Args:
        n_main: columns of the sequence proper; later columns are copies of the embed tokens.
        rows: columns whose attention is scored (think and embed tokens; the last columns of the sequence proper). Of the
            last layer, only the states from here on are read; a stack may leave out those before them.
        main: mask of the sequence proper, None for plain causal.
        copies: mask of the copies over everything, None when there are none.
        block: copies that may see each other, counted off in order; `copies` is then a mask over the sequence proper and
            the copies of the row's own block. 0 where all may.
        cache: columns whose keys and values are kept, None for none.
        attention: whether rows are scored at all.
        past: columns, from the first, that the pass has from an earlier one: their keys and values come from its cache.
    """

    def __init__(
        self,
        *,
        n_main: int,
        rows: slice,
        main: Bool[Tensor, "batch 1 main main"] | None,
        copies: Bool[Tensor, "batch 1 copies all"] | None,
        cache: slice | None,
        attention: bool,
        block: int = 0,
        past: int = 0,
    ) -> None:
        self.n_main = n_main
        self.past = past
        self.rows = rows
        self.main = main
        self.copies = copies
        self.block = block
        self.cache = cache
        self.score = attention
        self.attention: list[Float[Tensor, "batch heads rows main"]] = []
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """Attention output of one layer (batch seq heads width), taking what is asked for on the way."""
        n = self.n_main
        left_out = key.shape[2] - query.shape[2]
        own_key, own_value = key[:, :, :n], value[:, :, :n]
        main = self.main[:, :, left_out:] if self.main is not None else None
        if left_out and main is None:
            main = self._causal(slice(left_out, n), key.device)[None, None]
        out, _ = sdpa_attention_forward(
            module, query[:, :, : n - left_out], own_key, own_value, main, scaling=scaling, is_causal=main is None
        )
        if self.score:
            rows = slice(self.rows.start - left_out, self.rows.stop - left_out)
            self.attention.append(self._rows(query[:, :, rows], own_key, scaling))
        if self.cache is not None:
            self.keys.append(key[:, :, self.cache].detach().clone())
            self.values.append(value[:, :, self.cache].detach().clone())
        if self.copies is None:
            return out
        return torch.cat([out, *self._copied(module, query[:, :, n - left_out :], key, value, scaling)], dim=1)

    def _copied(
        self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scaling: float | None
    ) -> Iterator[Tensor]:
        assert self.copies is not None
        n, copies = self.n_main, query.shape[2]
        size = self.block or copies
        for begin in range(0, copies, size):
            # Key by key most of what a copy could see belongs to other blocks, and would be scored only to be masked.
            own = slice(n + begin, n + begin + size)
            held = [
                part if size == copies else torch.cat([part[:, :, :n], part[:, :, own]], 2) for part in (key, value)
            ]
            asked, mask = query[:, :, begin : begin + size], self.copies[:, :, begin : begin + size]
            width = held[0].shape[2]
            yield sdpa_attention_forward(
                module, asked, held[0], held[1], mask[..., :width], scaling=scaling, is_causal=False
            )[0]

    def _rows(self, query: Tensor, key: Tensor, scaling: float | None) -> Float[Tensor, "batch heads rows main"]:
        batch, heads, rows, width = query.shape
        groups = heads // key.shape[1]
        grouped = query.reshape(batch, key.shape[1], groups, rows, width).float()
        scores = torch.einsum("bgqrd,bgnd->bgqrn", grouped, key.float()) * (scaling or width**-0.5)
        scores = scores.reshape(batch, heads, rows, -1)
        seen = self.main[:, :, self.rows] if self.main is not None else self._causal(self.rows, key.device)
        return scores.masked_fill(~seen, float("-inf")).softmax(-1)

    def _causal(self, rows: slice, device: torch.device) -> Bool[Tensor, "rows main"]:
        places = torch.arange(self.n_main, device=device)
        return places[None, :] <= places[rows, None]


@final
class AttentionTap:
    """Computes one layer's attention the plain way, so that its weights can be differentiated."""

    def __init__(self, mask: Bool[Tensor, "batch 1 seq seq"]) -> None:
        self.mask = mask
        self.weights: Float[Tensor, "batch heads seq seq"] = torch.empty(0)

    def attend(self, _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """Attention output of the layer (batch seq heads width)."""
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        scores = query.float() @ key.float().mT * (scaling or query.shape[-1] ** -0.5)
        self.weights = scores.masked_fill(~self.mask, float("-inf")).softmax(-1)
        return (self.weights @ value.float()).to(query.dtype).transpose(1, 2).contiguous()


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    if isinstance(attention_mask, Capture | AttentionTap | AttendOne):
        return attention_mask.attend(module, query, key, value, scaling), None
    if suits_one_query(query, key):
        return attend_one(query, key, value, attention_mask, scaling), None
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **options
    )


# Registered once, at import, and never changed: without a Capture it is plain SDPA. The mask function of the same name
# is needed too, or transformers ignores the padding of calls that go through it (research/tools.md 3.0, pitfall 4).
AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)

_current: ContextVar["LatentTap | None"] = ContextVar("latent_tap", default=None)
_replacing: ContextVar[object | None] = ContextVar("replacing", default=None)


@final
class LatentTap:
    """Collects the residual stream at some columns after every layer."""

    def __init__(self, columns: slice, *, gradient: bool = False) -> None:
        self.columns = columns
        self.gradient = gradient
        self.states: list[Float[Tensor, "batch think width"]] = []


@contextlib.contextmanager
def tapped(
    layers: Sequence[nn.Module] | nn.ModuleList, columns: slice, *, gradient: bool = False
) -> Iterator[LatentTap]:
    """While the block runs, this thread's forward passes leave their states at `columns` in the tap.

    As float32 and without gradient, or with `gradient` as they are.
    """
    tap = LatentTap(columns, gradient=gradient)

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        # Hooks are global to the model; another thread's pass must not land in our tap.
        if _current.get() is tap:
            states = output[0] if isinstance(output, tuple) else output
            found = states[:, tap.columns]
            tap.states.append(found if tap.gradient else found.detach().float())

    handles = [layer.register_forward_hook(keep) for layer in layers]
    token = _current.set(tap)
    try:
        yield tap
    finally:
        _current.reset(token)
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def replacing(layers: Sequence[nn.Module] | nn.ModuleList, change: Callable[[int, Tensor], None]) -> Iterator[None]:
    """While the block runs, this thread's forward passes have every layer's output changed in place before it goes on.

    `change` is given the layer's number, from 0, and its output (batch seq width).
    """
    here = object()

    def alter(number: int, _module: nn.Module, _inputs: Any, output: Any) -> None:
        # As above: another thread's pass must not be changed.
        if _replacing.get() is here:
            change(number, output[0] if isinstance(output, tuple) else output)

    handles = [layer.register_forward_hook(partial(alter, number)) for number, layer in enumerate(layers)]
    token = _replacing.set(here)
    try:
        yield
    finally:
        _replacing.reset(token)
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a module was called."""

    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


_calls: ContextVar[list[Call] | None] = ContextVar("calls", default=None)


@contextlib.contextmanager
def overheard(modules: Sequence[nn.Module] | nn.ModuleList) -> Iterator[list[Call]]:
    """While the block runs, this thread's calls of the modules are written down, in order."""
    heard: list[Call] = []

    def listen(_module: nn.Module, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        # As above: another thread's pass must not land in our list.
        if _calls.get() is heard:
            heard.append(Call(arguments=arguments, options=dict(options)))

    handles = [module.register_forward_pre_hook(listen, with_kwargs=True) for module in modules]
    token = _calls.set(heard)
    try:
        yield heard
    finally:
        _calls.reset(token)
        for handle in handles:
            handle.remove()
