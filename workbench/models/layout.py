"""Which think and embed positions a model has, in which order, what each may attend to, how they are filled.

Everything is declared and stored with the checkpoint; nothing is inferred from shapes. The two open questions of the
TTE-Flash abstract (arXiv 2605.16638) have their places: `extraction` (how think and embed tokens come from one backbone)
and `dependency` (how their two tasks hang together in training). What the values mean is said at their types.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from workbench.errors import BadCheckpoint
from workbench.models.attention_rules import Attends, Switch, check, check_context, check_switch, read_attends
from workbench.types import Context
from workbench.words import END, START

Segment = Literal["query", "think", "reasoning", "embed"]
Fill = Literal["learned"]
Extraction = Literal["shared", "dual_adapter", "early_exit", "two_pass"]
"""`shared`: one set of weights and one pass. `dual_adapter`: think tokens (with the text that is written from them) and embed
tokens have LoRA sets of their own over the same weights; the query has none. `early_exit`: the text is read from the thoughts
at a middle layer, `exit_layer`; the layers above serve the embedding alone. `two_pass`: the think tokens' final states are the
inputs of a second pass, of which the embed tokens see them instead of the first one's."""
Dependency = Literal["joint", "stop_gradient", "sequential"]
"""Of training. `joint`: both losses reach everything. `stop_gradient`: the contrastive loss reaches nothing that happens at a
think token, in either pass. `sequential`: first the text's loss alone, then the contrastive loss alone, and in that second stage
no weight moves upon which a thought depends. The probabilities of its text then move only where the head shares its table with
the inputs, and there only by the logits of the embed tokens, whose rows learn."""
Pooling = Literal["last", "mean"]
Decoder = Literal["backbone", "latent"]
Tells = Literal["reasoning", "target"]

BUILT: Mapping[str, tuple[str, ...]] = {
    "fill": get_args(Fill),
    "extraction": get_args(Extraction),
    "dependency": get_args(Dependency),
    "pooling": get_args(Pooling),
    "decoder": get_args(Decoder),
    "tells": get_args(Tells),
}
_LATENT_ORDER: tuple[Segment, ...] = ("query", "think", "embed")
_WRITTEN_ORDER: tuple[Segment, ...] = ("query", "reasoning", "embed")


def _causal() -> Attends:
    return {"query": ("query",), "think": ("query", "think"), "embed": ("query", "think", "embed")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The think-then-embed layout of one model. Sequence order: query, then `order`."""

    think_tokens: tuple[str, ...]
    """Names of the K think tokens, in order. K may be 0 (a model that does not think)."""
    embed_tokens: tuple[str, ...]
    """Names of the embed tokens, at least one."""
    order: tuple[Segment, ...] = _LATENT_ORDER
    """With `reasoning` in the place of the think tokens the model writes its reasoning as text before it embeds a query;
    documents are embedded without. The text sees, and is seen, as the query is."""
    attends: Attends = field(default_factory=_causal)
    """For each segment, the segments it may attend to (always causally). Finer rules, for image and words of the query, for
    single think tokens and for the written text, are told in `attention_rules`."""
    switches: tuple[Switch, ...] = ()
    """Other rules for samples whose query holds certain tokens; of several that fit, the first."""
    fill: Fill = "learned"
    extraction: Extraction = "shared"
    exit_layer: int = 0
    """Of `early_exit`: the number of layers, from the first, behind which thoughts are read. Otherwise 0."""
    dependency: Dependency = "joint"
    pooling: Pooling = "last"
    """How the hidden states of several embed tokens become one vector."""
    contexts: tuple[Context, ...] = ("latents_only",)
    """Decoder contexts the model was trained for, default first: does written text see only the thoughts, or the query too?"""
    decoder: Decoder = "backbone"
    """Who writes the text: the backbone's own generation head, or a small language model beside it that is given the
    think tokens' final states alone (LaME)."""
    tells: Tells = "reasoning"
    """What the text is trained to say: the reasoning, or the text of the retrieval target."""
    decoder_start: str = START
    decoder_end: str = END

    def __post_init__(self) -> None:
        if not self.embed_tokens:
            raise BadCheckpoint("The layout names no embed token; at least one is needed.")
        if self.order not in (_LATENT_ORDER, _WRITTEN_ORDER):
            raise BadCheckpoint(
                f"The layout's order is {self.order}; only query, think, embed is built, and query, reasoning, embed."
            )
        check(self.attends, self.think_tokens)
        for switch in self.switches:
            check_switch(switch, self.attends, self.think_tokens)
        for context in self.contexts:
            for attends in self.rules:
                check_context(attends, self.think_tokens, context)
        if self.writes_first and (self.think_tokens or self.decoder == "latent" or not self.is_causal):
            raise BadCheckpoint(
                "The layout's order has written reasoning, which goes with no think tokens, no latent decoder and causal attention."
            )
        if self.decoder == "latent" and self.restricts_text:
            raise BadCheckpoint(
                "The layout's decoder is 'latent', which reads every think token; an 'attends' of reasoning goes with none."
            )
        if self.decoder == "latent" and (not self.think_tokens or self.contexts != ("latents_only",)):
            raise BadCheckpoint(
                "The layout's decoder is 'latent', which reads think tokens and nothing else: it needs at least one of them, and "
                f"the contexts latents_only; given: {self.n_think} tokens, {', '.join(self.contexts) or 'no context'}."
            )
        self._check_parting()

    def _check_parting(self) -> None:
        """Refuse a parting of think and embed tokens that the rest of the layout leaves no sense."""
        parted = [name for name in (self.extraction, self.dependency) if name not in ("shared", "joint")]
        if parted and (not self.think_tokens or not self.contexts or self.decoder != "backbone"):
            raise BadCheckpoint(
                f"The layout has {' and '.join(parted)}, which part think tokens from embed tokens: it needs think tokens whose text "
                "the backbone itself writes."
            )
        if not isinstance(self.exit_layer, int) or (self.exit_layer > 0) != (self.extraction == "early_exit"):
            raise BadCheckpoint(
                f"The layout's exit_layer is {self.exit_layer} with the extraction {self.extraction}; early_exit needs 1 or more, the "
                "others 0."
            )

    @property
    def is_parted(self) -> bool:
        """Whether think and embed tokens are kept apart, in the pass or in training."""
        return self.extraction != "shared" or self.dependency != "joint"

    @property
    def writes_first(self) -> bool:
        """Whether the reasoning is written as text before a query is embedded."""
        return self.order == _WRITTEN_ORDER

    @property
    def n_think(self) -> int:
        return len(self.think_tokens)

    @property
    def n_embed(self) -> int:
        return len(self.embed_tokens)

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Every token the layout adds to the tokenizer."""
        return (*self.think_tokens, *self.embed_tokens, self.decoder_start, self.decoder_end)

    @property
    def is_causal(self) -> bool:
        """Whether everything before a position is visible to it, so that no mask is needed."""
        named = {key: set(value) for key, value in self.attends.items()}
        return not self.switches and named == {key: set(value) for key, value in _causal().items()}

    @property
    def rules(self) -> tuple[Attends, ...]:
        """The layout's own rules, then those that hold under each switch."""
        return (self.attends, *({**self.attends, **switch.attends} for switch in self.switches))

    @property
    def restricts_text(self) -> bool:
        """Whether the written text sees less than its context shows."""
        return any("reasoning" in attends for attends in self.rules)

    def to_json(self) -> dict[str, Any]:
        """The layout as JSON values. What only some recipes set is left out where it is not set."""
        values = dataclasses.asdict(self)
        return {key: value for key, value in values.items() if key not in _LATER or value != _LATER[key]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Layout":
        """Read a layout. Raises BadCheckpoint naming the key that is missing, unknown or wrong."""
        if not isinstance(values, Mapping):
            raise BadCheckpoint("The layout, and its 'attends', must be JSON objects.")
        known = {item.name for item in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise BadCheckpoint(
                f"The layout has unknown keys: {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
            )
        missing = sorted({"think_tokens", "embed_tokens"} - set(values))
        if missing:
            raise BadCheckpoint(f"The layout lacks: {', '.join(missing)}.")
        for key in ("think_tokens", "embed_tokens"):
            if not isinstance(values[key], list | tuple) or not all(isinstance(name, str) for name in values[key]):
                raise BadCheckpoint(f"The layout's {key} must be a list of token names.")
        read: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        for name, built in BUILT.items():
            if name in read and read[name] not in built:
                raise BadCheckpoint(f"The layout's {name} is '{read[name]}'; built are: {', '.join(built)}.")
        strange = sorted(set(read.get("contexts", ())) - set(get_args(Context)))
        if strange:
            raise BadCheckpoint(f"The layout names unknown decoder contexts: {', '.join(strange)}.")
        if "attends" in read:
            read["attends"] = read_attends(read["attends"])
        if not isinstance(read.get("switches", ()), tuple):
            raise BadCheckpoint("The layout's switches must be a list.")
        read["switches"] = tuple(Switch.from_json(switch) for switch in read.get("switches", ()))
        return cls(**read)


_LATER: Mapping[str, Any] = {"switches": (), "decoder": "backbone", "tells": "reasoning", "exit_layer": 0}
"""Fields that came after the first checkpoints, with the values that those have."""


def tte_flash(
    n_think: int,
    *,
    contexts: tuple[Context, ...] = ("latents_only",),
    extraction: Extraction = "shared",
    exit_layer: int = 0,
    dependency: Dependency = "joint",
) -> Layout:
    """The TTE-Flash layout: `n_think` learned think tokens after the query, then one embed token."""
    return Layout(
        think_tokens=tuple(f"<|think_{k}|>" for k in range(1, n_think + 1)),
        embed_tokens=("<|embed_1|>",),
        contexts=contexts,
        extraction=extraction,
        exit_layer=exit_layer,
        dependency=dependency,
    )


def no_think() -> Layout:
    """One embed token after the query, which as last token is the embedding; nothing is thought and nothing written."""
    return Layout(think_tokens=(), embed_tokens=("<|embed_1|>",), contexts=())


def explicit_cot() -> Layout:
    """Query, the reasoning as written text, then one embed token that sees both."""
    return Layout(think_tokens=(), embed_tokens=("<|embed_1|>",), order=_WRITTEN_ORDER, contexts=("query_and_latents",))


def lame(n_think: int, *, embed_sees_query: bool = True) -> Layout:
    """The LaME layout: `n_think` learned [REASON] tokens after the query, read by a latent decoder, then one embed token."""
    seen = ("query", "think", "embed") if embed_sees_query else ("think", "embed")
    return Layout(
        think_tokens=tuple(f"<|reason_{k}|>" for k in range(1, n_think + 1)),
        embed_tokens=("<|embed_1|>",),
        attends={**_causal(), "embed": seen},
        decoder="latent",
        tells="target",
    )
